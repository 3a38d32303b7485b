"""mmengine's Runner with the few things that only a Runner can do."""
import copy
import os
import pickle
from typing import Any, Optional

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..registry import DATASETS, RUNNERS
from .recipe import LOADERS, apply_recipe, fit_image_size


@RUNNERS.register_module()
class FewShotRunner(Runner):
    """A Runner that knows the recipe; ``runner_type='mmcoop.FewShotRunner'``.

    - carries ``shots``, ``seed``, ``max_epochs`` and ``data_root`` to where
      they are needed (:mod:`recipe`), and the CLIP's image size to the data
      pipelines;
    - under DDP, gives a class-specific prompt its classes before the model is
      wrapped;
    - takes no more workers than CPUs, and keeps the only batch of a draw that
      is smaller than a batch;
    - reads checkpoints with torch's safe default, on every mmengine.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'FewShotRunner':
        cfg = copy.deepcopy(cfg)
        if not isinstance(cfg, Config):
            cfg = Config(cfg)
        return super().from_cfg(apply_recipe(cfg))

    def build_model(self, model: Any) -> nn.Module:
        model = super().build_model(model)
        inner = unwrap(model)
        size = getattr(getattr(inner, 'backbone', None), 'image_size', None)
        if size is not None:
            for loader in (self._train_dataloader, self._val_dataloader,
                           self._test_dataloader):
                fit_image_size(loader, size)
            for name in LOADERS + ('tta_pipeline', ):
                fit_image_size(self.cfg.get(name), size)
        if self.distributed:
            self._give_classes_early(inner)
        return model

    @staticmethod
    def build_dataloader(dataloader: Any, seed: Optional[int] = None,
                         diff_rank_seed: bool = False) -> Any:
        """As mmengine's, but fitting the machine and the draw.

        No more workers than CPUs; ``drop_last`` never drops the only batch.
        """
        if not isinstance(dataloader, dict):
            return dataloader
        dataloader = dict(dataloader)
        cpus = len(os.sched_getaffinity(0)) if hasattr(
            os, 'sched_getaffinity') else os.cpu_count()
        dataloader['num_workers'] = min(
            dataloader.get('num_workers', 0), cpus)
        if not dataloader['num_workers']:
            dataloader['persistent_workers'] = False
        if dataloader.get('drop_last'):
            dataset = dataloader['dataset']
            if isinstance(dataset, dict):
                dataset = DATASETS.build(dataset)
            dataset.full_init()
            a_rank = -(-len(dataset) // get_world_size())
            dataloader.update(
                dataset=dataset,
                drop_last=a_rank >= dataloader['batch_size'])
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def _give_classes_early(self, model: nn.Module) -> None:
        """DDP fixes the shape of what is learned: a class each needs names."""
        prompt = getattr(getattr(model, 'head', None), 'prompt', None)
        loader = self._train_dataloader
        if not getattr(prompt, 'class_specific', False) or \
                prompt.class_names or not isinstance(loader, dict):
            return
        if isinstance(loader['dataset'], dict):
            loader['dataset'] = DATASETS.build(loader['dataset'])
        loader['dataset'].full_init()
        model.set_classes(loader['dataset'].metainfo['classes'])

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load a checkpoint that holds tensors and plain values only.

        Raises:
            ValueError: Unpickling it would run code of whoever made it.
        """
        check_is_safe(filename)
        return super().load_checkpoint(filename, *args, **kwargs)


def unwrap(model: nn.Module) -> nn.Module:
    """The classifier inside DDP, test-time augmentation and the like."""
    while not hasattr(model, 'head') and hasattr(model, 'module'):
        model = model.module
    return model


def check_is_safe(filename: str) -> Optional[dict]:
    """Read a checkpoint file with ``weights_only=True`` before mmengine does.

    mmengine 0.11 switches torch's safe default off.
    """
    try:
        if filename.startswith(('http://', 'https://')):
            return torch.hub.load_state_dict_from_url(
                filename, map_location='cpu', weights_only=True)
        if os.path.isfile(filename):
            return torch.load(filename, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'{filename} holds pickled objects beside tensors, and reading '
            "those runs their maker's code. mmcoop's own checkpoints hold "
            f'none. [{str(error).strip().splitlines()[0]}]') from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(
            f'{filename} is damaged or no checkpoint: {error}') from error
    return None  # other storage is mmengine's business
