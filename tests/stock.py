"""Runs of mmengine's own Runner, for tests of our parts in it."""
import gc

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

MEAN_STD = dict(mean=[122.77, 116.75, 104.09], std=[68.5, 66.63, 70.32],
                to_rgb=True)


def pipeline(size):
    return [dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(size, size)),
            dict(type='PackInputs')]


def folder(photos, size):
    """Four photos of each class, as a few-shot draw of a stock data set."""
    return dict(
        type='mmcoop.FewShotDataset', shots=4,
        dataset=dict(type='CustomDataset', data_root=str(photos),
                     pipeline=pipeline(size)))


def prompt_head(**clip):
    head = dict(type='mmcoop.PromptLearnerHead',
                prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4))
    return dict(head, clip=clip) if clip else head


def coop_config(vit_file):
    return dict(type='mmcoop.CoOp', clip=dict(pretrained=vit_file),
                head=prompt_head())


def train(work_dir, model, dataset, epochs=3, lr=0.005, hooks=(),
          paramwise_cfg=None, **cfg):
    """A run of mmengine's own Runner."""
    cfg = Config(dict(
        default_scope='mmpretrain', model=model, work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4, dataset=dataset, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=lr, momentum=0.9),
            paramwise_cfg=paramwise_cfg),
        custom_hooks=[dict(type='mmcoop.ClassNamesHook'), *hooks],
        randomness=dict(seed=0), experiment_name=str(work_dir)[-60:].replace(
            '/', '-'), log_level='ERROR', **cfg))
    if 'custom_imports' in cfg:  # Config.fromfile does it
        import_modules_from_strings(**cfg.custom_imports)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def ratio(runner):
    """Mean loss of the last epoch by that of the first."""
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    first, *_, last = np.array_split(losses, runner.max_epochs)
    return last.mean() / first.mean()


def logits(model, images):
    """(B, K) of (C, H, W) in 0 to 255, in whatever classifier."""
    model.eval()
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=images))['inputs']
        return model.head(model.extract_feat(inputs))


@pytest.fixture
def quick(monkeypatch):
    """Runs format their config, and each data set collects garbage: that
    takes most of the time."""
    gc.collect()
    gc.freeze()
    monkeypatch.setattr(Config, 'pretty_text', property(lambda cfg: '\n'.join(
        f'{key} = {value!r}' for key, value in cfg.to_dict().items())))
    yield
    gc.unfreeze()
