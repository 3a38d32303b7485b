"""Variables that follow from others, and from the CLIP and the data set."""
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

from .selection import make_validation_draw

if TYPE_CHECKING:
    from mmengine.config import Config

    from .resolve import Resolver

WARMUP_LR = 1e-5  # of the published trainers' first epoch
# values of `dataset` beside the names of the catalogue
OTHER_DATA = {'demo': 'mmcoop.DemoWorld', 'folder': 'mmcoop.FolderDataset'}


def find_model(cfg: 'Config') -> dict:
    """The classifier's config, inside test-time augmentation and the like."""
    model = cfg.get('model') or {}
    while 'module' in model:
        model = model['module']
    return model


def _dataset_type(resolver: 'Resolver') -> str:
    """The class of the data set that ``dataset`` names."""
    if resolver.published() is not None:
        return 'mmcoop.CoOpDataset'
    return OTHER_DATA.get(resolver.given('dataset'))


def _own_photos(resolver: 'Resolver') -> bool:
    """Whether the data are one's own photos, or those of the demo."""
    return resolver.given('dataset') in OTHER_DATA


def _for_own_photos(name: str) -> Callable[['Resolver'], bool]:
    """A switch that is on for one's own photos unless it is set."""

    def switch(resolver: 'Resolver') -> bool:
        value = resolver.given(name)
        return _own_photos(resolver) if value is None else bool(value)

    return switch


def _template(resolver: 'Resolver') -> str:
    """The data set's hand-written prompt: ``template``, or the published."""
    known = resolver.published()
    return resolver.given('template') or (
        known.template if known else 'a photo of a {}.')


def _recipe_epochs(resolver: 'Resolver') -> int:
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


def _max_epochs(resolver: 'Resolver') -> int:
    """``max_epochs``, or the epochs of the recipe."""
    return resolver.given('max_epochs') or resolver.value(
        'recipe_epochs', 'max_epochs')


def _warmup_factor(resolver: 'Resolver') -> float:
    """The first epoch's learning rate, 1e-5, as a part of the full one."""
    place = 'optim_wrapper.optimizer.lr'
    lr = resolver.value(place, 'warmup_factor')
    if not isinstance(lr, (int, float)) or not 0 < lr < float('inf'):
        raise ValueError(f'{place}={lr!r}: a number above 0 is needed.')
    return WARMUP_LR / lr


def _num_classes(resolver: 'Resolver') -> int:
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


def _image_size(resolver: 'Resolver') -> int:
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


def _interpolation(resolver: 'Resolver') -> str:
    """How the CLIP wants its images to be interpolated."""
    return _preprocessing(resolver, 'interpolation')


def _resize_mode(resolver: 'Resolver') -> str:
    """How the CLIP wants its images to be resized."""
    return _preprocessing(resolver, 'resize_mode')


def _preprocessing(resolver: 'Resolver', name: str) -> str:
    from ..clip import read_preprocessing  # imports torch
    return resolver.given(name) or getattr(
        read_preprocessing(**_clip(resolver) or {}), name)


def _clip(resolver: 'Resolver') -> Optional[dict]:
    """Arguments of ``load_clip``; None if the model names no CLIP."""
    model = find_model(resolver.cfg)
    clip = model.get('clip') or model.get('head', {}).get('clip')
    return None if clip is None else resolver.fill(clip, 'model.clip')


def _val_dataset(resolver: 'Resolver') -> dict:
    """The test images, or the validation draw if ``val_split='val'``."""
    split = resolver.given('val_split') or 'test'
    if split not in ('val', 'test'):
        raise ValueError(f"val_split={split!r}: choose 'val' or 'test'.")
    if split == 'val':
        return resolver.value('val_draw', 'val_dataset')
    return resolver.value('test_dataloader.dataset', 'val_dataset')


def _val_draw(resolver: 'Resolver') -> dict:
    """The validation images that belong to the few-shot draw."""
    return make_validation_draw(
        resolver.value('train_dataloader.dataset', 'val_draw'),
        resolver.value('test_dataloader.dataset', 'val_draw'))


def _head_config(resolver: 'Resolver') -> dict:
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


DERIVED: Dict[str, Callable[['Resolver'], Any]] = dict(
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
