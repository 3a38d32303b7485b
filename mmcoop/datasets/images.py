"""Reading image files, and checking them before the expensive work."""
import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, List, Optional, Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_DECODED = 5000  # of more images only the headers are checked

_readable = set()  # stamps of files that were decoded


def read_image(file: Union[str, BinaryIO],
               as_shown: bool = False,
               small: bool = False) -> Image.Image:
    """Decode an image to RGB as the published code does.

    Args:
        file: The path or an open file.
        as_shown: Whether to decode it as image viewers show it: rotated by
            its EXIF orientation, and on white where it is transparent. The
            published code rotates nothing and drops the transparency, which
            shows whatever colours the transparent pixels have.
        small: Whether to decode a JPEG at an eighth of its size, which is a
            quick check.

    Raises:
        ValueError: If the pixels have no obvious 8-bit form.
    """
    with Image.open(file) as image:
        if small:
            image.draft('RGB', (1, 1))
        image.load()
        if as_shown:
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                image = image.convert('RGBA')
                image = Image.alpha_composite(
                    Image.new('RGBA', image.size, 'white'), image)
        if image.mode.startswith('I'):  # convert('RGB') would clip at 255
            pixels = np.asarray(image, dtype=np.int64)
            if pixels.min() < 0 or pixels.max() > 65535:
                raise ValueError('its pixels are not of 8 or 16 bits')
            image = Image.fromarray((pixels >> 8).astype(np.uint8))
        elif image.mode == 'F':
            raise ValueError('its pixels are floating-point numbers')
        return image.convert('RGB')


def check_is_file(path: str) -> None:
    """Raise OSError for a folder, or a pipe or device, which may never end.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = 'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'
        raise OSError(f'it is no file but {kind}')


def explain(error: Exception) -> str:
    """Why an image could not be read."""
    if isinstance(error, UnidentifiedImageError):  # may name a buffer
        return 'it is no image, or damaged'
    if isinstance(error, Image.DecompressionBombError):
        return f'{str(error).rstrip(".")}; make it smaller'
    return str(error) or type(error).__name__


def get_file_stamp(path: str) -> tuple:
    """Return a tuple that differs after a file was written."""
    found = os.stat(path)
    return (path, found.st_mtime_ns, found.st_ctime_ns, found.st_size,
            found.st_ino)


def check_unreadable(unreadable: str) -> None:
    """Raise ValueError unless the argument is ``stop`` or ``skip``."""
    if unreadable not in ('stop', 'skip'):
        raise ValueError(
            f"unreadable={unreadable!r}: choose 'stop' or 'skip'.")


def check_images(data_list: List[dict], unreadable: str) -> List[dict]:
    """Find images that are missing or cannot be read.

    Every image is decoded at low resolution, once per process. Of more than
    5000 images, and with ``stop``, only the headers are read; then
    :class:`mmcoop.LoadImage` reports a damaged image when it is loaded.

    Args:
        data_list: Data infos. Those without a local ``img_path`` are not
            checked.
        unreadable: ``stop`` raises an error; ``skip`` logs a warning.

    Returns:
        The data infos of readable images.

    Raises:
        FileNotFoundError: If all unreadable images are missing files.
        OSError: If some files cannot be decoded.
    """
    decode = unreadable == 'skip' or len(data_list) <= MAX_DECODED
    paths = [info.get('img_path') for info in data_list]
    with ThreadPoolExecutor(8) as pool:
        problems = list(
            pool.map(lambda path: _find_problem(path, decode), paths))
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


def _find_problem(path: Optional[str], decode: bool) -> Optional[str]:
    if path is None or '://' in path:  # in memory, or another file backend
        return None
    try:
        stamp = get_file_stamp(path)
        if stamp in _readable:
            return None
        check_is_file(path)
        if decode:
            read_image(path, small=True)
            _readable.add(stamp)
        else:
            Image.open(path).close()
    except FileNotFoundError:
        return 'missing'
    except Exception as error:
        return explain(error)
    return None
