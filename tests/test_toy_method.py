"""A method outside the repository: one Python file, one config folder.

The tools are unchanged and know it by its metafile alone.
"""
import json
import os
import subprocess
import sys

import pytest

from .conftest import DATA, ROOT

PYTHON = '''
import torch
import torch.nn as nn
from mmcoop.losses import Regularizer
from mmcoop.prompts import ContextPrompt
from mmcoop.registry import MODELS


@MODELS.register_module()
class ScaledPrompt(ContextPrompt):

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, tower, image_features=None):
        return [self.slots.fill(tower, self.scale * self.ctx)]


@MODELS.register_module()
class PullToWords(Regularizer):
    needs_hand_written = True

    def compute(self, inputs):
        shift = inputs.class_features - inputs.hand_written_features
        return shift.square().sum(-1).mean()
'''

CONFIG = f'''
_base_ = [
    '{ROOT}/configs/_base_/models/coop.py',
    '{ROOT}/configs/_base_/datasets/few_shot.py',
    '{ROOT}/configs/_base_/schedules/coop_sgd.py',
    '{ROOT}/configs/_base_/default_runtime.py'
]
custom_imports = dict(imports=['scaled_prompt'])
method = 'scaled'
recipe_epochs = 3
model = dict(head=dict(
    prompt=dict(type='mmcoop.ScaledPrompt', n_ctx=4, scale=1.),
    regularizers=[dict(type='mmcoop.PullToWords', weight=2.)],
    hand_written=dict(type='mmcoop.TemplatePrompt', templates='own',
                      own='${{template}}')))
'''

METAFILE = '''
Collections:
  - Name: Scaled contexts
    Order: 40
    Paper: {Title: None, URL: https://example.org}
Models:
  - Name: scaled
    In Collection: Scaled contexts
    Title: Scaled context
    Config: scaled.py
    Tables: [few-shot]
    Results:
      - {Task: Image Classification, Dataset: eurosat, Backbone: RN50,
         Shots: 1, Metrics: {Top 1 Accuracy: 12.34}, Published: true,
         Source: nowhere}
  - Name: scaled-m2
    In Collection: Scaled contexts
    Title: Scaled context, M=2
    Config: scaled.py
    Options: {model.head.prompt.n_ctx: 2}
    Variant: true
'''


@pytest.fixture
def outside(tmp_path):
    """The folder of the method."""
    (tmp_path / 'scaled_prompt.py').write_text(PYTHON)
    folder = tmp_path / 'configs/scaled'
    folder.mkdir(parents=True)
    (folder / 'scaled.py').write_text(CONFIG)
    (folder / 'metafile.yml').write_text(METAFILE)
    return tmp_path


@pytest.fixture
def tool(outside):

    def run(name, *args):
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', f'tools/{name}.py',
             *map(str, args)], cwd=ROOT, capture_output=True, text=True,
            env=dict(os.environ, PYTHONPATH=f'{ROOT}:{outside}'))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture
def options(small_clip):
    return ['--cfg-options', f'data_root={DATA}', 'num_workers=0',
            f'model.clip.pretrained={small_clip["pretrained"]}']


@pytest.mark.slow
def test_trained_and_tested(outside, tool, options, small_clip):
    options += [f'model.clip.model_name={small_clip["model_name"]}',
                'dataset=eurosat', 'shots=1']
    work = outside / 'work'
    out = tool('train', outside / 'configs/scaled/scaled.py', '--verbose',
               '--work-dir', work, *options)
    assert 'loss_pulltowords' in out and 'loss_cls' in out
    result = json.loads((work / 'result.json').read_text())
    assert result['method'] == 'scaled'
    assert result['epochs'] == result['recipe_epochs'] == 3
    assert result['learned_parameters'] == 4 * 64 + 1
    # the config that the run leaves is plain, and enough for a test
    tool('test', work / 'scaled.py', work, '--work-dir', work / 'test')
    test = json.loads((work / 'test/result_test.json').read_text())
    assert test['metrics'] == result['metrics']
    assert test['method'] == 'scaled'
    # another entry of the metafile is known by its options
    tool('train', outside / 'configs/scaled/scaled.py', '--work-dir',
         outside / 'two', *options, 'model.head.prompt.n_ctx=2',
         'max_epochs=1')
    two = json.loads((outside / 'two/result.json').read_text())
    assert two['method'] == 'scaled-m2'


@pytest.mark.slow
def test_tabulated_and_drawn(outside, tool, options, small_clip):
    configs = ['--configs', outside / 'configs']
    work = outside / 'grid'
    out = tool('reproduce', 'few-shot', '--methods', 'zeroshot-own', 'scaled',
               'scaled-m2', '--datasets', 'eurosat', '--shots', 1, 2,
               '--seeds', 1, 2, '--backbones', small_clip['model_name'],
               '--work-dir', work, *configs, *options)
    assert '9 runs, 0 of them done.' in out and 'FAILED' not in out
    rows = [line.split('  ')[0] for line in out.splitlines()]
    # a variant is not shown beside what it is a variant of
    assert 'Scaled context' in rows and 'Scaled context, M=2' not in rows
    assert rows.index('zero-shot') < rows.index('Scaled context')
    report = (work / 'tables/few-shot.md').read_text(encoding='utf-8')
    assert '| Scaled context |' in report and '±' in report
    assert len(list((work / 'tables').glob('few-shot-*.png'))) == 1
    again = tool('analysis_tools/make_tables', work, *configs, '--out',
                 outside / 'tables')
    assert 'Scaled context' in again
