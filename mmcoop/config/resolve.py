"""Variables of a config, and the places that take them.

A place that takes a variable says so: ``shots='${shots}'``. :func:`resolve`
puts the values in once everything has been said (base configs, child configs,
command line); what is written into a place instead of its placeholder is kept.
``'${a.b}'`` takes what stands elsewhere in the config. Beside the variables
that a config sets there are derived ones (:data:`DERIVED`).
"""
import copy
import difflib
import re
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Optional

from ..catalog import PublishedSet, find
from .files import RUNNER_KEYS, check_names, find_unread
from .selection import check_selection, make_validation_draw

if TYPE_CHECKING:
    from mmengine.config import Config

WARMUP_LR = 1e-5  # of the published recipes
PLACEHOLDER = re.compile(r'\$\{([^{}]*)\}')
# values of `dataset` beside the names of the catalogue
OTHER_DATA = {'demo': 'mmcoop.DemoWorld', 'folder': 'mmcoop.FolderDataset'}
# mmengine adds it to what `_base_ = 'mmcoop::...'` brings; the types of these
# configs are mmpretrain's, and ours have a prefix
OUR_SCOPE = ('_scope_', 'mmcoop')
# and the least that each may be
WHOLE_NUMBERS = dict(shots=1, max_epochs=1, steps_per_shot=1, cached_views=1,
                     num_workers=0, seed=0)


def resolve(cfg: 'Config', options: Iterable[str] = ()) -> 'Config':
    """Put every variable into the places that take it.

    Args:
        cfg: A merged config. It is left as it is.
        options: Names that the command line set, so that those which nothing
            reads are refused.

    Returns:
        A plain config: only what runners and tools read, without placeholders
        and variables. mmengine's own ``Runner.from_cfg`` takes it too. A plain
        config is returned as an equal one.

    Raises:
        ValueError: An unknown placeholder, one that contains itself, a
            variable of a wrong type, a name on the command line or in a child
            config that nothing reads, or a selection on test images.
    """
    for name, least in WHOLE_NUMBERS.items():
        _check_number(name, cfg.get(name), least)
    resolver = _Resolver(cfg)
    plain = {key: resolver.fill(value, key) for key, value in cfg.items()
             if key in RUNNER_KEYS}
    if cfg.get('recipe_epochs') and cfg.get('train_dataloader'):
        plain['recipe_epochs'] = _recipe_epochs(resolver)  # results tell it
    known = {*resolver.read, *RUNNER_KEYS}
    check_names(options, known, 'the command line')
    for path, name in find_unread(cfg.filename, cfg.keys(), known):
        if cfg.get(name) is not None:
            check_names([name], known, path)
    _drop_empty_schedules(plain)
    result = copy.copy(cfg)
    # Config guards its attributes
    result.__dict__['_cfg_dict'] = type(cfg._cfg_dict)(plain)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        _check_number(f'{loader}.batch_size',
                      (plain.get(loader) or {}).get('batch_size'), 1)
    check_selection(result)
    return result


def _check_number(place: str, value: Any, least: int) -> None:
    most = 2**32 - 1  # of numpy's seeds
    if value is not None and (
            type(value) is not int or not least <= value <= most):
        raise ValueError(f'{place}={value}: a whole number of at least '
                         f'{least} is needed.')


class _Resolver:
    """Fills placeholders, and remembers which variables were read."""

    def __init__(self, cfg: 'Config') -> None:
        self.cfg = cfg
        self.read = set()
        self._open = []  # names being resolved, to find circles

    def fill(self, part: Any, where: str) -> Any:
        """A copy of a part of the config without placeholders.

        Args:
            part: A value, dict, list or tuple.
            where: Its place, for messages: ``train_dataloader.dataset``.
        """
        if isinstance(part, dict):
            return {key: self.fill(value, f'{where}.{key}')
                    for key, value in part.items()
                    if (key, value) != OUR_SCOPE}
        if isinstance(part, (list, tuple)):
            return type(part)(self.fill(value, f'{where}.{i}')
                              for i, value in enumerate(part))
        if not isinstance(part, str) or '${' not in part:
            return copy.deepcopy(part)
        whole = PLACEHOLDER.fullmatch(part)
        if whole:
            return self.value(whole[1], where)
        return PLACEHOLDER.sub(
            lambda match: str(self.value(match[1], where)), part)

    def value(self, name: str, where: str) -> Any:
        """The value of a variable, or of another place in the config."""
        if name in self._open:
            raise ValueError(
                f'{where}: ${{{name}}} contains itself '
                f'({" -> ".join([*self._open, name])}).')
        self.read.add(name.split('.')[0])
        self._open.append(name)
        try:
            if name in DERIVED:
                return DERIVED[name](self)
            return self.fill(self._look_up(name, where), name)
        finally:
            self._open.pop()

    def _look_up(self, name: str, where: str) -> Any:
        part = self.cfg
        for key in name.split('.'):
            if isinstance(part, (list, tuple)) and key.isdigit() \
                    and int(key) < len(part):
                part = part[int(key)]
            elif hasattr(part, 'keys') and key in part.keys():
                part = part[key]
            else:
                known = [*self.cfg.keys(), *DERIVED]
                like = difflib.get_close_matches(name, known, 1)
                raise ValueError(
                    f'{where}: there is no variable ${{{name}}}'
                    + (f'; did you mean ${{{like[0]}}}?' if like else '.'))
        return part

    def given(self, name: str) -> Any:
        """What a config sets a variable to; None if it does not."""
        self.read.add(name)
        value = self.cfg.get(name)
        return None if value is None else self.fill(value, name)

    def published(self) -> Optional[PublishedSet]:
        """The entry of the catalogue for ``dataset``; None for own data."""
        name = self.given('dataset')
        if name is None or name in OTHER_DATA:
            return None
        try:
            return find(name)
        except ValueError as error:
            raise ValueError(f'{error} Besides: folder (your own photos in '
                             'data_root) and demo.') from None


def _dataset_type(resolver: _Resolver) -> str:
    """The class of the data set that ``dataset`` names."""
    if resolver.published() is not None:
        return 'mmcoop.CoOpDataset'
    return OTHER_DATA.get(resolver.given('dataset'))


def _own_photos(resolver: _Resolver) -> bool:
    """Whether the data are one's own photos, or those of the demo."""
    return resolver.given('dataset') in OTHER_DATA


def _for_own_photos(name: str) -> Callable[[_Resolver], bool]:
    """A switch that is on for one's own photos unless it is set."""

    def switch(resolver: _Resolver) -> bool:
        value = resolver.given(name)
        return _own_photos(resolver) if value is None else bool(value)

    return switch


def _template(resolver: _Resolver) -> str:
    """The data set's hand-written prompt: ``template``, or the published."""
    known = resolver.published()
    return resolver.given('template') or (
        known.template if known else 'a photo of a {}.')


def _recipe_epochs(resolver: _Resolver) -> int:
    """The epochs of the method's published recipe."""
    recipe = resolver.given('recipe_epochs')
    if not isinstance(recipe, dict):
        return recipe
    name = resolver.given('dataset')
    if name in recipe:
        return recipe[name]
    dataset = resolver.value('train_dataloader.dataset', 'recipe_epochs')
    shots, rows = dataset.get('shots'), sorted(recipe['by_shots'].items())
    return [epochs for least, epochs in rows
            if shots is None or least <= shots][-1]


def _max_epochs(resolver: _Resolver) -> int:
    """``max_epochs``, or the epochs of the recipe."""
    return resolver.given('max_epochs') or resolver.value(
        'recipe_epochs', 'max_epochs')


def _warmup_factor(resolver: _Resolver) -> float:
    """The first epoch's learning rate, 1e-5, as a part of the full one."""
    place = 'optim_wrapper.optimizer.lr'
    lr = resolver.value(place, 'warmup_factor')
    if not isinstance(lr, (int, float)) or not lr > 0:
        raise ValueError(f'{place}={lr!r}: a number above 0 is needed.')
    return WARMUP_LR / lr


def _num_classes(resolver: _Resolver) -> int:
    """Classes of a published data set, or of the part that is taken."""
    known = resolver.published()
    if resolver.given('num_classes') or known is None:
        if resolver.given('num_classes') is None:
            raise ValueError('num_classes: this data set is none of the '
                             'published ones; set num_classes=10, say.')
        return resolver.given('num_classes')
    base = -(-known.classes // 2)
    return {'base': base, 'new': known.classes - base}.get(
        resolver.given('class_subset'), known.classes)


def _image_size(resolver: _Resolver) -> int:
    """Image size of the CLIP, in pixels."""
    size = resolver.given('image_size')
    if size is not None:
        return size
    clip = _clip(resolver)
    if clip is None:
        raise ValueError('image_size: the model names no CLIP whose image '
                         'size could be taken; set image_size=224, say.')
    from ..clip.loading import read_architecture  # imports torch
    return read_architecture(**clip).image_size


def _interpolation(resolver: _Resolver) -> str:
    """How the CLIP wants its images to be interpolated."""
    return _preprocessing(resolver, 'interpolation')


def _resize_mode(resolver: _Resolver) -> str:
    """How the CLIP wants its images to be resized."""
    return _preprocessing(resolver, 'resize_mode')


def _preprocessing(resolver: _Resolver, name: str) -> str:
    from ..clip import read_preprocessing  # imports torch
    return resolver.given(name) or getattr(
        read_preprocessing(**_clip(resolver) or {}), name)


def _clip(resolver: _Resolver) -> Optional[dict]:
    """Arguments of ``load_clip``; None if the model names no CLIP."""
    model = find_model(resolver.cfg)
    clip = model.get('clip') or model.get('head', {}).get('clip')
    return None if clip is None else resolver.fill(clip, 'model.clip')


def _val_dataset(resolver: _Resolver) -> dict:
    """The test images, or the validation draw if ``val_split='val'``."""
    split = resolver.given('val_split') or 'test'
    if split not in ('val', 'test'):
        raise ValueError(f"val_split={split!r}: choose 'val' or 'test'.")
    if split == 'val':
        return resolver.value('val_draw', 'val_dataset')
    return resolver.value('test_dataloader.dataset', 'val_dataset')


def _val_draw(resolver: _Resolver) -> dict:
    """The validation images that belong to the few-shot draw."""
    return make_validation_draw(
        resolver.value('train_dataloader.dataset', 'val_draw'),
        resolver.value('test_dataloader.dataset', 'val_draw'))


def _head_config(resolver: _Resolver) -> dict:
    """The head of the fitted method that ``head`` names."""
    from mmengine.config import Config

    from ..methods import get_method
    name = resolver.given('head')
    method = get_method(str(name))
    if method.epochs or not method.learns:
        raise ValueError(
            f'head={name}: this method is not fitted at once. Take its own '
            f'config, {method.config.name}, with dataset=folder.')
    cfg = Config.fromfile(method.config)
    cfg.merge_from_dict(method.options)
    return resolver.fill(cfg.model.head.to_dict(), 'head')


DERIVED: Dict[str, Callable[[_Resolver], Any]] = dict(
    own_photos=_own_photos,
    calibrate=_for_own_photos('calibrate'),
    report=_for_own_photos('report'),
    dataset_type=_dataset_type,
    template=_template,
    recipe_epochs=_recipe_epochs,
    max_epochs=_max_epochs,
    warmup_factor=_warmup_factor,
    num_classes=_num_classes,
    image_size=_image_size,
    interpolation=_interpolation,
    resize_mode=_resize_mode,
    val_dataset=_val_dataset,
    val_draw=_val_draw,
    head_config=_head_config)


def find_model(cfg: 'Config') -> dict:
    """The classifier's config, inside test-time augmentation and the like."""
    model = cfg.get('model') or {}
    while 'module' in model:
        model = model['module']
    return model


def _drop_empty_schedules(cfg: dict) -> None:
    """In a run of one epoch the later phases of a schedule never begin."""
    schedules = cfg.get('param_scheduler')
    if isinstance(schedules, list):
        cfg['param_scheduler'] = [
            part for part in schedules
            if part.get('begin', 0) < part.get('end', float('inf'))]
