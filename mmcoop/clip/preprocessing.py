"""How images are made ready for a CLIP: it belongs to the weights."""
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

from .weights import CLIPLoadError

INTERPOLATIONS = ('bicubic', 'bilinear')
RESIZE_MODES = ('shortest', 'squash', 'longest')  # open_clip's names
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
CONFIG_FILE = 'open_clip_config.json'


@dataclass(frozen=True)
class Preprocessing:
    """How images are resized and normalised; the size is the tower's.

    Attributes:
        mean: Means (RGB, 0 to 1).
        std: Standard deviations.
        interpolation: ``bicubic`` or ``bilinear``.
        resize_mode: ``shortest`` resizes the shorter edge and crops the
            middle, ``squash`` does not keep the shape, ``longest`` resizes
            the longer edge and pads with black.
        is_known: Whether ``mean`` and ``std`` were said by the user, by a
            file or by a tag; otherwise they are OpenAI's.
    """
    mean: Tuple[float, ...] = OPENAI_MEAN
    std: Tuple[float, ...] = OPENAI_STD
    interpolation: str = 'bicubic'
    resize_mode: str = 'shortest'
    is_known: bool = True


def read_preprocessing(model_name: Optional[str] = None,
                       pretrained: Optional[str] = None,
                       cache_dir: Optional[str] = None,
                       mean: Optional[Sequence[float]] = None,
                       std: Optional[Sequence[float]] = None,
                       interpolation: Optional[str] = None,
                       resize_mode: Optional[str] = None,
                       **options) -> Preprocessing:
    """Find out how images are made ready, without loading weights.

    What an argument says comes first, then the ``preprocess_cfg`` of the
    CLIP's JSON config, then open_clip's entry of the tag, then OpenAI's
    values.

    Args:
        model_name: As in :func:`mmcoop.clip.load_clip`.
        pretrained: As in :func:`mmcoop.clip.load_clip`.
        cache_dir: As in :func:`mmcoop.clip.load_clip`.
        mean: Three means (RGB) of 0 to 1.
        std: Three standard deviations.
        interpolation: See :class:`Preprocessing`.
        resize_mode: See :class:`Preprocessing`.
        **options: Other arguments of :func:`mmcoop.clip.load_clip`; ignored.

    Raises:
        CLIPLoadError: A value cannot be right, or a config cannot be read.
    """
    said = dict(mean=mean, std=std, interpolation=interpolation,
                resize_mode=resize_mode)
    found = {}
    for source, cfg in (('the tag', read_tag(model_name, pretrained)),
                        ('preprocess_cfg', _read_file(model_name, cache_dir)),
                        ('clip', said)):
        for key in said:
            if cfg.get(key) is not None:
                found[key] = _check(cfg[key], key, source)
        if cfg.get('resize_mode') == 'longest' and cfg.get('fill_color'):
            raise CLIPLoadError(
                f'preprocess_cfg: fill_color={cfg["fill_color"]} is not '
                'supported; images are padded with black (0).')
    # without a model config it is a file in OpenAI's layout
    known = model_name is None or {'mean', 'std'} <= set(found)
    return Preprocessing(**found, is_known=known)


def read_model_config(path: Path) -> dict:
    """The content of a CLIP's JSON config.

    Raises:
        CLIPLoadError: There is no such file, or it is no JSON.
    """
    if not path.is_file():
        raise CLIPLoadError(f'no such CLIP model config: {path}')
    try:
        return dict(json.loads(path.read_text(encoding='utf-8')))
    except (ValueError, TypeError) as error:
        raise CLIPLoadError(
            f'cannot read the CLIP model config {path}: {error}') from error


def read_tag(model_name: Optional[str], pretrained: Optional[str]) -> dict:
    """open_clip's entry of a tag; nothing for files."""
    if not model_name or not pretrained or ':' in model_name or \
            os.path.isfile(os.path.expanduser(pretrained)):
        return {}
    from open_clip.pretrained import get_pretrained_cfg
    name = Path(model_name).stem if model_name.endswith('.json') \
        else model_name.replace('/', '-')
    return get_pretrained_cfg(name, pretrained)


def _read_file(model_name: Optional[str], cache_dir: Optional[str]) -> dict:
    """``preprocess_cfg`` of a CLIP's own files."""
    name = model_name or ''
    scheme, _, place = name.partition(':')
    if scheme == 'local-dir':
        path = Path(place) / CONFIG_FILE
    elif scheme == 'hf-hub':
        from open_clip.pretrained import download_pretrained_from_hf
        try:
            path = Path(download_pretrained_from_hf(
                place, filename=CONFIG_FILE, cache_dir=cache_dir))
        except Exception as error:
            raise CLIPLoadError(f'cannot read the config of the CLIP '
                                f'{model_name!r}: {error}') from error
    elif name.endswith('.json'):
        path = Path(name).expanduser()
    else:
        return {}
    return read_model_config(path).get('preprocess_cfg') or {}


def _check(value: Any, key: str, source: str) -> Any:
    """A value that can be right.

    Raises:
        CLIPLoadError: It cannot.
    """
    if key in ('mean', 'std'):
        numbers = [value] * 3 if isinstance(value, (int, float)) else value
        least = 0. if key == 'mean' else 1e-6
        if not isinstance(numbers, (list, tuple)) or len(numbers) != 3 or \
                not all(isinstance(number, (int, float))
                        and least <= number <= 1 for number in numbers):
            raise CLIPLoadError(
                f'{source}.{key}={value}: three numbers of 0 to 1 are needed, '
                f'such as [0.5, 0.5, 0.5] (numbers of 0 to 255 go into '
                f'model.data_preprocessor.{key}).')
        return tuple(float(number) for number in numbers)
    if key == 'interpolation' and value == 'random':
        return 'bicubic'  # as open_clip tests such a CLIP
    known = INTERPOLATIONS if key == 'interpolation' else RESIZE_MODES
    if value not in known:
        raise CLIPLoadError(f'{source}.{key}={value!r}: choose from '
                            f'{", ".join(known)}.')
    return value
