"""Whether a loader's images can be cached as features, and their keys."""
import logging
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import torch
import torch.nn as nn
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmpretrain.datasets import PackInputs
from torch.utils.data import DataLoader

from ..clip import ImageTower, TowerAdapter
from ..datasets import FewShotDataset
from ..datasets.derived import DerivedDataset
from ..datasets.images import get_file_stamp
from ..models import CoOp, DataPreprocessor
from . import keys as hashing
from .compute import Item, encode_images, gather_features, log_progress
from .dataset import FeatureDataset, FeatureLoader
from .keys import HashCache, NotCacheable
from .store import FeatureStore, get_cache_folder

# names of transforms of PACKAGES, whose versions are part of the store's key;
# DerivedDataset seeds the random ones
DETERMINISTIC = {
    'CenterCrop', 'CLIPResize', 'EfficientNetCenterCrop', 'LoadImage',
    'LoadImageFromFile', 'Normalize', 'PackInputs', 'Pad', 'Resize',
    'ResizeEdge'
}
SEEDABLE = DETERMINISTIC | {
    'ColorJitter', 'RandomCrop', 'RandomErasing', 'RandomFlip',
    'RandomGrayscale', 'RandomResizedCrop', 'RandomView'
}
PACKAGES = ('mmcv', 'mmcoop', 'mmpretrain')


class FeatureSource:
    """Features that replace the images of a loader.

    They are cached on disk if keys can identify them exactly, otherwise they
    are computed for one run.

    Args:
        model: The classifier.
        loader: The loader of images.
        autocast: Returns the context manager of the loop's precision.
        hashes: Hashes of towers and files that are already known.
        views: The number of random views of each image; None if the pipeline
            is deterministic.
        folder: The cache folder; None takes the default.
        all_images: Whether every rank gets all features, of which the ranks
            then compute a share each, and not only those of its part of a
            test. With ``views`` it always does.

    Raises:
        NotCacheable: If features cannot replace the images.
    """

    def __init__(self,
                 model: nn.Module,
                 loader: DataLoader,
                 autocast: Callable[[], AbstractContextManager],
                 hashes: HashCache,
                 views: Optional[int] = None,
                 folder: Optional[str] = None,
                 all_images: bool = False) -> None:
        check_model(model)
        check_loader(loader, views)
        self.model, self.loader, self.images = model, loader, loader.dataset
        self.autocast, self.views = autocast, views
        self.all_images = all_images or views is not None
        self.indices = list(range(len(self.images))) if self.all_images \
            else _select_indices(loader)
        self.items: List[Item] = [
            (index, view)
            for view in ([None] if views is None else range(views))
            for index in self.indices
        ]
        self.file_stamps = {}
        self.uncacheable_reason = self._find_uncacheable_reason()
        self.identity = self._get_identity(hashes)
        if self.uncacheable_reason:
            self.folder = None
            self.keys = [hashing.to_json(item) for item in self.items]
        else:
            root = Path(folder).expanduser() if folder else get_cache_folder()
            self.folder = root / 'features' / hashing.get_store_key(
                self.identity)
            self.keys = self._make_keys(hashes)

    def same_as(self, other: Optional['FeatureSource']) -> bool:
        """Return whether another source has exactly the same features."""
        return other is not None and (
            self.loader is other.loader and self.keys == other.keys
            and self.identity == other.identity)

    def load(self) -> FeatureLoader:
        """Read or compute the features, and return a loader of them."""
        start = time.perf_counter()
        store = None if self.folder is None else FeatureStore(
            self.folder, dict(
                tower_name=self.model.clip_name,
                pipeline_short=summarize(self.images.pipeline.transforms),
                **self.identity))
        features, found, computed = gather_features(
            self.keys, store, self._encode, shared=self.all_images)
        where = self.folder or f'for this run only: {self.uncacheable_reason}'
        print_log(
            f'Features of {len(self.indices)} images'
            + (f' in {self.views} views' if self.views else '')
            + f': {found} from the cache, {computed} computed, in '
            f'{time.perf_counter() - start:.1f} s ({where})', 'current',
            logging.INFO)
        return FeatureLoader(
            self.loader,
            FeatureDataset(
                self.images,
                features.view(self.views or 1, len(self.indices), -1),
                self.indices))

    def _encode(self, positions: List[int]) -> Iterator[torch.Tensor]:
        """Encode items, and check that files are those that were hashed."""
        items = [self.items[i] for i in positions]
        done = 0
        for features in encode_images(self.model, items, self.loader,
                                      self.autocast):
            for index, _ in items[done:done + len(features)]:
                stamp = self.file_stamps.get(index)
                if stamp and get_file_stamp(stamp[0]) != stamp:
                    raise RuntimeError(
                        f'{stamp[0]} was changed while its features were '
                        'computed. Start the run again.')
            done += len(features)
            yield features

    def _find_uncacheable_reason(self) -> Optional[str]:
        """Return why features must not be kept on disk; None if they may."""
        for transform in self.images.pipeline.transforms:
            if not is_supported(transform, SEEDABLE):
                return f'{type(transform).__name__} is not known'
            if getattr(transform, 'backend_args', None):
                return 'the images are not read from local files'
        for index in self.indices:
            path = self.images.get_data_info(index).get('img_path')
            if not os.path.isfile(path or ''):
                return f'{path} is no local file'
        return None

    def _get_identity(self, hashes: HashCache) -> dict:
        preprocessor = self.model.data_preprocessor
        with self.autocast():
            precision = hashing.get_precision_state(preprocessor.device)
        transforms = self.images.pipeline.transforms
        return dict(
            format=hashing.FORMAT,
            tower=hashes.hash_tower(self.model.backbone),
            preprocessor=hashing.get_preprocessor_state(preprocessor),
            pipeline=repr(transforms) if self.uncacheable_reason else
            [hashing.get_transform_state(t) for t in transforms],
            precision=precision,
            versions=hashing.get_versions())

    def _make_keys(self, hashes: HashCache) -> List[bytes]:
        infos = [self.images.get_data_info(i) for i in self.indices]
        self.file_stamps = {
            index: get_file_stamp(info['img_path'])
            for index, info in zip(self.indices, infos)
        }
        seeds = None if self.views is None else [
            [self.images.get_view_seed(index, view) for index in self.indices]
            for view in range(self.views)
        ]
        return hashing.make_image_keys(
            infos, seeds, hashes, lambda files: log_progress(
                files, len(infos), what='files looked at'))


def check_model(model: nn.Module) -> None:
    """Raise NotCacheable unless the model can use features for images."""
    if not isinstance(model, CoOp) or \
            type(model).extract_feat is not CoOp.extract_feat:
        raise NotCacheable(f'the model is a {type(model).__name__}, not a '
                           'mmcoop.CoOp')
    if type(model.data_preprocessor) is not DataPreprocessor:
        raise NotCacheable(
            'the data preprocessor is a '
            f'{type(model.data_preprocessor).__name__}, not a '
            'mmcoop.DataPreprocessor')
    if model.tower_adapter is not None:
        raise NotCacheable(TowerAdapter.WHY_NOT_CACHED)
    prompt = getattr(model.head, 'prompt', None)
    reason = prompt and prompt.why_not_cached()
    if reason:
        raise NotCacheable(reason)
    if type(model.backbone) is not ImageTower or model.with_neck or any(
            p.requires_grad for p in model.backbone.parameters()):
        raise NotCacheable('the image tower is not frozen, or not the CLIP\'s')


def check_loader(loader: DataLoader, views: Optional[int]) -> None:
    """Raise NotCacheable unless the loader's images are reproducible."""
    images = loader.dataset
    if loader.batch_size is None:
        raise NotCacheable('the loader has a batch sampler of its own')
    if views is not None and type(images) is not FewShotDataset:
        raise NotCacheable(f'the data set is a {type(images).__name__}, not a '
                           'mmcoop.FewShotDataset, which seeds the views')
    if not isinstance(images, BaseDataset) or \
            type(images).prepare_data is not BaseDataset.prepare_data or \
            type(images).__getitem__ not in (BaseDataset.__getitem__,
                                             DerivedDataset.__getitem__):
        raise NotCacheable(f'the data set {type(images).__name__} prepares '
                           'its images in its own way')
    transforms = images.pipeline.transforms
    if not transforms or type(transforms[-1]) is not PackInputs:
        raise NotCacheable('the pipeline does not end with PackInputs')
    for transform in transforms:
        if views is None and not is_supported(transform, DETERMINISTIC):
            raise NotCacheable('the pipeline has a transform that is random '
                               f'or not known, {type(transform).__name__}')


def is_supported(transform: BaseTransform, names: set) -> bool:
    """Return whether a transform of :data:`PACKAGES` has one of the names."""
    kind = type(transform)
    return kind.__name__ in names and \
        kind.__module__.split('.')[0] in PACKAGES


def summarize(transforms: List[Any]) -> str:
    """Return the names and sizes of a pipeline's transforms, for people."""
    words = []
    for transform in transforms[:-1]:  # without PackInputs
        size = getattr(transform, 'scale',
                       getattr(transform, 'crop_size', None))
        size = size[0] if isinstance(size, tuple) else size
        words.append(type(transform).__name__ + (f' {size}' if size else ''))
    return ', '.join(words)


def _select_indices(loader: DataLoader) -> List[int]:
    """Return the indices of the images that this rank loads."""
    if get_world_size() > 1 and type(loader.sampler) is DefaultSampler \
            and not loader.sampler.shuffle:
        return list(dict.fromkeys(loader.sampler))
    return list(range(len(loader.dataset)))
