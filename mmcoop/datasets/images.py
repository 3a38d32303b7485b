"""Reading image files, and looking at them before the expensive work."""
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, List, Optional, Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image, ImageOps

DECODED = 5000  # more images than this are looked at by their heads only

_readable = set()  # stamps of files that were decoded


def read_image(file: Union[str, BinaryIO],
               exif_rotation: bool = False,
               small: bool = False) -> Image.Image:
    """Decode an image to RGB, as the published code does.

    Args:
        file: Path or open file.
        exif_rotation: Turn it as its EXIF tag says.
        small: Decode a JPEG at an eighth of its size, to look at it quickly.

    Raises:
        ValueError: Pixels that have no obvious 8-bit form.
    """
    with Image.open(file) as image:
        if small:
            image.draft('RGB', (1, 1))
        image.load()
        if exif_rotation:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith('I'):  # convert('RGB') would cut at 255
            pixels = np.asarray(image, dtype=np.int64)
            if pixels.min() < 0 or pixels.max() > 65535:
                raise ValueError('its pixels are not of 8 or 16 bits')
            image = Image.fromarray((pixels >> 8).astype(np.uint8))
        elif image.mode == 'F':
            raise ValueError('its pixels are floating-point numbers')
        return image.convert('RGB')


def file_stamp(path: str) -> tuple:
    """What changes when a file is written, while a process looks at it."""
    stat = os.stat(path)
    return (path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size,
            stat.st_ino)


def check_images(data_list: List[dict], unreadable: str) -> List[dict]:
    """Find images that are missing or cannot be read.

    Every image is decoded, quickly and once a process; of more than 5000 with
    ``stop`` only the heads are read (then :class:`mmcoop.LoadImage` names a
    damaged body when its turn comes).

    Args:
        data_list: Data infos; those without a local ``img_path`` pass.
        unreadable: ``stop`` or ``skip``.

    Returns:
        The data infos of readable images.

    Raises:
        FileNotFoundError: Some images are missing.
        OSError: Some images are no images.
    """
    decode = unreadable == 'skip' or len(data_list) <= DECODED
    paths = [info.get('img_path') for info in data_list]
    with ThreadPoolExecutor(8) as pool:
        problems = list(pool.map(lambda path: _problem(path, decode), paths))
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
        stamp = file_stamp(path)
        if stamp in _readable:
            return None
        if decode:
            read_image(path, small=True)
            _readable.add(stamp)
        else:
            Image.open(path).close()
    except FileNotFoundError:
        return 'missing'
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return None
