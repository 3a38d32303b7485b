"""Our parts in other mm projects: stock classifiers, runner and data sets."""
import pickle
import sys

import mat4py
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.datasets import CIFAR100
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from mmcoop.clip import load_clip
from mmcoop.models import CoOp
from mmcoop.protocol.execute import tool_main
from mmcoop.registry import HOOKS
from mmcoop.registry import MODELS as COOP_MODELS

from .conftest import ROOT
from .stock import (MEAN_STD, coop_config, folder, logits, pipeline,
                    prompt_head, quick, ratio, train)

__all__ = ['quick']
pytestmark = pytest.mark.usefixtures('quick')


@pytest.mark.slow
def test_prompt_over_stock_classifier(tmp_path, vit_file, photos):
    """Converted by the tool, trained from a config, equal to CoOp."""
    tool_main(ROOT / 'tools/model_converters/clip_to_mmpretrain.py')(
        [vit_file, str(tmp_path / 'vit.pth')])
    (tmp_path / 'prompt.py').write_text(f'''
_base_ = 'vit.py'
model = dict(backbone=dict(frozen_stages=2),
             head={prompt_head(pretrained=vit_file)!r})
''')
    cfg = Config.fromfile(tmp_path / 'prompt.py')
    assert cfg.model.backbone.arch.num_layers == 2
    size = cfg.model.backbone.img_size[0]
    runner = train(
        tmp_path / 'run', cfg.model, folder(photos, size), lr=0.01,
        hooks=[dict(type='mmcoop.SafeCheckpointHook')],
        paramwise_cfg=dict(custom_keys={'neck': dict(lr_mult=0)}))
    assert type(runner.model).__module__.startswith('mmpretrain.')
    assert ratio(runner) < 0.7
    coop = CoOp(clip=dict(pretrained=vit_file), head=prompt_head())
    coop.set_classes(runner.model.head.class_names)
    coop.head.prompt.load_state_dict(runner.model.head.prompt.state_dict())
    assert runner.model.head.class_names == ['grass', 'red_fox', 'snow']
    images = list(torch.randint(0, 255, (4, 3, size, size)))
    torch.testing.assert_close(
        logits(runner.model, images), logits(coop, images),
        rtol=1e-5, atol=1e-5)
    # any mmpretrain project can load it again
    model = MODELS.build(cfg.model)
    model.head.set_classes(coop.head.class_names)
    state = torch.load(tmp_path / 'run/epoch_3.pth', weights_only=True)
    model.load_state_dict(state['state_dict'])
    torch.testing.assert_close(logits(model, images), logits(coop, images),
                               rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('whole', [True, False], ids=['CoOp', 'backbone'])
def test_linear_head_on_our_tower(tmp_path, vit_file, photos, whole):
    clip = dict(pretrained=vit_file)
    tower = load_clip(**clip).image_tower
    size = tower.image_size
    head = dict(type='LinearClsHead', num_classes=3)
    model = dict(type='mmcoop.CoOp', clip=clip, head=head) if whole else dict(
        type='ImageClassifier', data_preprocessor=MEAN_STD,
        backbone=dict(type='mmcoop.ImageTower', clip=clip),
        head=dict(head, in_channels=tower.out_channels))
    runner = train(tmp_path, model, folder(photos, size), lr=1.)
    assert ratio(runner) < 0.5
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(runner.model.extract_feat(images)[0],
                           tower(images)[0])
    # frozen: a checkpoint holds the head alone
    state = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)
    assert set(state['state_dict']) == {'head.fc.weight', 'head.fc.bias'}


def make_cub(root, draw):
    """CUB-200-2011 as it is published: the first 3 of 200 classes."""
    names = ['001.Black_footed_Albatross', '002.Laysan_Albatross',
             '003.Sooty_Albatross']
    files = [f'{name}/{name[4:]}_{i:04d}_{i}.jpg'
             for name in names for i in range(4)]
    for path in files:
        draw(root / 'images' / path)
    for name, column in [
            ('images', files),
            ('image_class_labels', [int(path[:3]) for path in files]),
            ('train_test_split', [int(i % 4 < 3) for i in range(12)])]:
        (root / f'{name}.txt').write_text(''.join(
            f'{i} {value}\n' for i, value in enumerate(column, start=1)))
    return dict(type='CUB', data_root=str(root), split='train')


def make_flowers(root, draw):
    """Oxford Flowers: 12 images of 3 of 102 classes, MATLAB files."""
    for i in range(1, 13):
        draw(root / f'jpg/image_{i:05d}.jpg')
    mat4py.savemat(str(root / 'imagelabels.mat'),
                   dict(labels=[1 + i % 3 for i in range(12)]))
    mat4py.savemat(str(root / 'setid.mat'), dict(
        trnid=[1, 2, 3, 4, 5, 6], valid=[7, 8, 9], tstid=[10, 11, 12]))
    return dict(type='Flowers102', data_root=str(root), split='trainval')


def make_cifar(root, draw):
    """CIFAR-100: two pickled files, as of Python 2."""
    folder = root / 'cifar-100-python'
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('train', 'test'):
        (folder / name).write_bytes(pickle.dumps({
            'data': rng.integers(0, 255, (12, 3072), dtype=np.uint8),
            'fine_labels': [i % 3 for i in range(12)]}, protocol=2))
    return dict(type='CIFAR100', data_root=str(root), split='train')


@pytest.mark.parametrize('make', [make_cub, make_cifar, make_flowers],
                         ids=['CUB', 'CIFAR100', 'Flowers102'])
def test_few_shot_of_stock_data_sets(tmp_path, vit_file, make, monkeypatch):
    rng = np.random.default_rng(0)

    def draw(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
                        ).save(path)

    for name in ('train', 'test'):  # these are not the published bytes
        monkeypatch.setattr(CIFAR100, f'{name}_list', [[name, None]])
    size = load_clip(pretrained=vit_file).image_tower.image_size
    source = dict(make(tmp_path / 'data', draw), pipeline=pipeline(size))
    few = dict(type='mmcoop.FewShotDataset', shots=2, dataset=source)
    if make is make_cifar:
        del source['pipeline'][0]  # the images are in memory
    if make is make_flowers:  # mmpretrain has no names of these classes
        with pytest.raises(ValueError, match='Flowers102|metainfo'):
            train(tmp_path / 'nameless',
                  coop_config(vit_file), few, epochs=1)
        few['metainfo'] = dict(classes=[
            'pink primrose', *(f'flower {i}' for i in range(1, 102))])
    dataset = DATASETS.build(few)
    labels = [dataset[i]['data_samples'].gt_label.item()
              for i in range(len(dataset))]
    assert sorted(labels) == [0, 0, 1, 1, 2, 2]
    first = {'CUB': 'Black_footed_Albatross', 'CIFAR100': 'apple',
             'Flowers102': 'pink primrose'}[source['type']]
    assert dataset.metainfo['classes'][0] == first
    # the validation draw holds other images
    val = DATASETS.build(dict(few, val_of=dict(source)))
    assert len(val) == (6 if make is make_cifar else 3)
    for i in range(len(val)):
        assert not any(torch.equal(val[i]['inputs'], dataset[j]['inputs'])
                       for j in range(6))
    few['class_subset'] = list(dataset.metainfo['classes'][:3])
    runner = train(tmp_path / 'run', coop_config(vit_file), few)
    assert runner.model.head.class_names == few['class_subset']
    assert ratio(runner) < 0.7


OUTSIDE = '''
import torch.nn as nn
from mmengine.hooks import Hook
from mmcoop.prompts import ContextPrompt
from mmcoop.registry import HOOKS, MODELS


@MODELS.register_module()
class MirroredPrompt(ContextPrompt):

    def forward(self, tower, image_features=None):
        return [self.slots.fill(tower, -self.ctx)]


@HOOKS.register_module()
class ContextLengthHook(Hook):

    def after_train_epoch(self, runner):
        ctx = runner.model.head.prompt.ctx
        runner.message_hub.update_info('context', ctx.norm().item())
'''


def test_hook_and_prompt_from_outside(tmp_path, monkeypatch, vit_file,
                                      photos):
    package = tmp_path / 'elsewhere'
    package.mkdir()
    (package / '__init__.py').write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    size = load_clip(pretrained=vit_file).image_tower.image_size
    model = dict(type='mmcoop.CoOp', clip=dict(pretrained=vit_file), head=dict(
        prompt_head(), prompt=dict(type='mmcoop.MirroredPrompt', n_ctx=4)))
    try:
        runner = train(
            tmp_path / 'run', model, folder(photos, size), lr=0.01,
            custom_imports=dict(imports=['elsewhere']),
            hooks=[dict(type='mmcoop.ContextLengthHook')])
    finally:
        for registry, name in ((COOP_MODELS, 'MirroredPrompt'),
                               (HOOKS, 'ContextLengthHook')):
            registry._module_dict.pop(name, None)
        sys.modules.pop('elsewhere', None)
    prompt = runner.model.head.prompt
    assert type(prompt).__name__ == 'MirroredPrompt'
    assert ratio(runner) < 0.7
    assert runner.message_hub.get_info('context') == pytest.approx(
        prompt.ctx.norm().item())
