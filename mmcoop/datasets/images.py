"""Looking at image files before the expensive work begins."""
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import List, Optional

from mmengine.logging import print_log
from PIL import Image


def check_images(data_list: List[dict], unreadable: str) -> List[dict]:
    """Find images that are missing or cannot be read.

    ``stop`` looks at the file's head only, which is quick (a damaged body is
    named by :class:`mmcoop.LoadImage` when its turn comes); ``skip`` decodes
    every image, because what is left out must be known beforehand.

    Args:
        data_list: Data infos; those without a local ``img_path`` pass.
        unreadable: ``stop`` or ``skip``.

    Returns:
        The data infos of readable images.

    Raises:
        FileNotFoundError: Some images are missing.
        OSError: Some images are no images.
    """
    paths = [info.get('img_path') for info in data_list]
    with ThreadPoolExecutor(8) as pool:
        problems = list(
            pool.map(lambda path: _problem(path, unreadable == 'skip'),
                     paths))
    bad = [(path, problem) for path, problem in zip(paths, problems)
           if problem]
    if not bad:
        return data_list
    listing = '; '.join(f'{path}: {problem}' for path, problem in bad[:5])
    summary = (f'{len(bad)} of {len(data_list)} images cannot be read: '
               f'{listing}' + ('; ...' if len(bad) > 5 else ''))
    if unreadable == 'skip':
        print_log(f'Left out: {summary}', 'current', logging.WARNING)
        return [i for i, problem in zip(data_list, problems) if not problem]
    error = FileNotFoundError if all(p == 'missing' for _, p in bad) \
        else OSError
    raise error(f"{summary}. Mend the files, or set unreadable='skip' on the "
                'data set to leave them out.')


def _problem(path: Optional[str], decode: bool) -> Optional[str]:
    if path is None or '://' in path:  # in memory, or another file backend
        return None
    try:
        with Image.open(path) as image:
            if decode:
                image.load()
    except FileNotFoundError:
        return 'missing'
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return None
