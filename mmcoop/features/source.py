"""Whether features of a loader's images can be cached, and under what keys."""
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

from ..clip import ImageTower
from ..datasets import FewShotDataset
from ..datasets.derived import DerivedDataset
from ..datasets.images import file_stamp
from ..models import CoOp, DataPreprocessor
from . import keys as naming
from .compute import Item, encode, gather_features, with_progress
from .dataset import FeatureDataset, FeatureLoader
from .keys import Digests, NotCacheable
from .store import FeatureStore, cache_folder

# transforms without chance, and those whose chance DerivedDataset seeds; by
# name, where their package's version is part of the store's key
FIXED = {
    'CenterCrop', 'EfficientNetCenterCrop', 'LoadImage', 'LoadImageFromFile',
    'Normalize', 'PackInputs', 'Pad', 'RenderDemoImage', 'Resize',
    'ResizeEdge'
}
SEEDED = FIXED | {
    'ColorJitter', 'RandomCrop', 'RandomErasing', 'RandomFlip',
    'RandomGrayscale', 'RandomResizedCrop'
}
PACKAGES = ('mmcv', 'mmcoop', 'mmpretrain')


class FeatureSource:
    """Features in the place of a loader's images.

    Args:
        model: The classifier.
        loader: The loader of images.
        precision: Makes the context of the loop's autocast.
        digests: Remembers what was hashed.
        views: None for pipelines without chance; or how many views.
        folder: The cache folder; None for the user's.
        all_images: Every rank gets all features, not those alone that its
            part of a test needs; the ranks share the computing. So it is with
            ``views`` in any case.

    Raises:
        NotCacheable: Features would not be what the images give.
    """

    def __init__(self,
                 model: nn.Module,
                 loader: DataLoader,
                 precision: Callable[[], AbstractContextManager],
                 digests: Digests,
                 views: Optional[int] = None,
                 folder: Optional[str] = None,
                 all_images: bool = False) -> None:
        check_model(model)
        check_loader(loader, views)
        self.model, self.loader, self.images = model, loader, loader.dataset
        self.precision, self.views = precision, views
        self.all_images = all_images or views is not None
        self.indices = list(range(len(self.images))) if self.all_images \
            else _needed(loader)
        self.items: List[Item] = [
            (index, view) for view in
            ([None] if views is None else range(views))
            for index in self.indices
        ]
        self.stamps = {}
        self.passing = self._why_passing()
        self.identity = self._identity(digests)
        if self.passing:
            self.folder = None
            self.keys = [naming.as_json(item) for item in self.items]
        else:
            root = Path(folder).expanduser() if folder else cache_folder()
            self.folder = root / 'features' / naming.store_key(self.identity)
            self.keys = self._keys(digests)

    def same_as(self, other: Optional['FeatureSource']) -> bool:
        """Whether another source has the very same features."""
        return other is not None and (
            self.loader is other.loader and self.keys == other.keys
            and self.identity == other.identity)

    def load(self) -> FeatureLoader:
        """The features, from the cache or computed, in a loader."""
        start = time.perf_counter()
        store = None if self.folder is None else FeatureStore(
            self.folder, dict(
                tower_name=self.model.clip_name,
                pipeline_short=short(self.images.pipeline.transforms),
                **self.identity))
        features, found, computed = gather_features(
            self.keys, store,
            self._encode, shared=self.all_images)
        print_log(
            f'Features of {len(self.indices)} images'
            + (f' in {self.views} views' if self.views else '')
            + f': {found} from the cache, {computed} '
            f'computed, in {time.perf_counter() - start:.1f} s '
            f'({self.folder or "for this run only: " + self.passing})',
            'current', logging.INFO)
        return FeatureLoader(
            self.loader,
            FeatureDataset(
                self.images,
                features.view(self.views or 1, len(self.indices), -1),
                self.indices))

    def _encode(self, positions: List[int]) -> Iterator[torch.Tensor]:
        """Features of items, of files that are still as they were hashed."""
        items = [self.items[i] for i in positions]
        done = 0
        for features in encode(self.model, items, self.loader,
                               self.precision):
            for index, _ in items[done:done + len(features)]:
                if self.stamps and file_stamp(
                        self.stamps[index][0]) != self.stamps[index]:
                    raise RuntimeError(
                        f'{self.stamps[index][0]} was changed while its '
                        'features were computed. Start the run again.')
            done += len(features)
            yield features

    def _why_passing(self) -> Optional[str]:
        """Why features may not be kept on disk, if so."""
        for transform in self.images.pipeline.transforms:
            if not is_known(transform, SEEDED):
                return f'{type(transform).__name__} is not known'
            if getattr(transform, 'backend_args', None):
                return 'the images are not read from local files'
        for index in self.indices:
            path = self.images.get_data_info(index).get('img_path')
            if not os.path.isfile(path or ''):
                return f'{path} is no local file'
        return None

    def _identity(self, digests: Digests) -> dict:
        with self.precision():
            precision = naming.precision_state(
                self.model.data_preprocessor.device)
        transforms = self.images.pipeline.transforms
        return dict(
            format=naming.FORMAT,
            tower=digests.tower(self.model.backbone),
            preprocessor=naming.preprocessor_state(
                self.model.data_preprocessor),
            pipeline=[naming.transform_state(t) for t in transforms]
            if not self.passing else repr(transforms),
            precision=precision,
            versions=naming.versions())

    def _keys(self, digests: Digests) -> List[bytes]:
        infos = [self.images.get_data_info(i) for i in self.indices]
        self.stamps = {index: file_stamp(info['img_path'])
                       for index, info in zip(self.indices, infos)}
        seeds = None if self.views is None else [
            [self.images.view_seed(index, view) for index in self.indices]
            for view in range(self.views)
        ]
        return naming.image_keys(
            infos, seeds, digests, lambda walk: with_progress(
                walk, len(infos), what='files looked at'))


def check_model(model: nn.Module) -> None:
    """Raises NotCacheable unless features stand for images in the model."""
    if not isinstance(model, CoOp) or \
            type(model).extract_feat is not CoOp.extract_feat:
        raise NotCacheable(f'the model is a {type(model).__name__}, not a '
                           'mmcoop.CoOp')
    if type(model.data_preprocessor) is not DataPreprocessor:
        raise NotCacheable(
            'the data preprocessor is a '
            f'{type(model.data_preprocessor).__name__}, not a '
            'mmcoop.DataPreprocessor')
    if model.visual_prompts() is not None:
        raise NotCacheable('visual prompts change what the image tower gives '
                           'as they are learned')
    if type(model.backbone) is not ImageTower or model.with_neck or any(
            p.requires_grad for p in model.backbone.parameters()):
        raise NotCacheable('the image tower is not frozen, or not the CLIP\'s')


def check_loader(loader: DataLoader, views: Optional[int]) -> None:
    """Raises NotCacheable unless it is known what the loader gives."""
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
        if views is None and not is_known(transform, FIXED):
            raise NotCacheable('the pipeline has a transform that is random '
                               f'or not known, {type(transform).__name__}')


def is_known(transform: BaseTransform, names: set) -> bool:
    kind = type(transform)
    return kind.__name__ in names and \
        kind.__module__.split('.')[0] in PACKAGES


def short(transforms: List[Any]) -> str:
    """A pipeline in a few words."""
    words = []
    for transform in transforms[:-1]:  # not PackInputs
        size = getattr(transform, 'scale',
                       getattr(transform, 'crop_size', None))
        size = size[0] if isinstance(size, tuple) else size
        words.append(type(transform).__name__ + (f' {size}' if size else ''))
    return ', '.join(words)


def _needed(loader: DataLoader) -> List[int]:
    """The images that this rank will ask for."""
    if get_world_size() > 1 and type(loader.sampler) is DefaultSampler \
            and not loader.sampler.shuffle:
        return list(dict.fromkeys(loader.sampler))
    return list(range(len(loader.dataset)))
