"""What a checkpoint says of its model."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mmcoop
from mmcoop.engine.model_record import (NotPlain, describe_preprocessing,
                                        to_plain)
from mmcoop.registry import MODELS

from ..conftest import make_clip


def test_record(small_run, small_clip):
    record = torch.load(small_run / 'epoch_2.pth')['meta']['mmcoop']
    assert json.loads(json.dumps(record))['classes'] == [
        'grass', 'red_fox', 'snow']
    assert record['format'] == 1 and record['version'] == mmcoop.__version__
    assert record['method'] == 'coop-m4-end'
    assert record['temperature'] == json.loads(
        (small_run / 'result.json').read_text())['temperature']
    assert record['model']['clip']['pretrained'] == small_clip['pretrained']
    assert record['model']['clip']['resize_mode'] == 'shortest'
    assert record['preprocessing'] == json.loads(
        (small_run / 'result.json').read_text())['preprocessing']
    assert record['preprocessing']['size'] == 32
    np.testing.assert_allclose(record['preprocessing']['mean'],
                               [.48145466, .4578275, .40821073], atol=1e-7)


def test_plain_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('weights.pt').touch()
    plain = to_plain(dict(type=MODELS.get('mmcoop.CoOp'), a=(1, [None]),
                          clip=dict(pretrained='weights.pt')), 'model')
    assert plain == dict(type='mmcoop.CoOp', a=(1, [None]), clip=dict(
        pretrained=str(tmp_path / 'weights.pt')))
    with pytest.raises(NotPlain, match='model.a.0 is a function'):
        to_plain(dict(a=[make_clip]), 'model')


def test_preprocessing_is_what_is_really_done(small_clip):
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=dict(small_clip, mean=[.5] * 3, std=[.5] * 3),
        data_preprocessor=dict(mean=[51.] * 3, std=[102.] * 3),
        head=dict(type='mmcoop.LinearProbeHead')))
    load, pack = dict(type='mmcoop.LoadImage'), dict(type='PackInputs')
    resize = dict(type='mmcoop.CLIPResize', scale=32, resize_mode='squash')
    about = describe_preprocessing(model, [load, resize, pack])
    assert about == dict(size=32, resize_mode='squash',
                         interpolation='bicubic', mean=[.2] * 3, std=[.4] * 3)
    before = dict(type='ResizeEdge', scale=32, backend='pillow')
    crop = dict(type='CenterCrop', crop_size=32)
    about = describe_preprocessing(model, [load, before, crop, pack])
    assert (about['size'], about['resize_mode'], about['interpolation']) == (
        32, 'shortest', 'bilinear')
    crop['crop_size'] = 30
    about = describe_preprocessing(model, [load, before, crop, pack])
    assert about['size'] is None and about['mean'] == [.2] * 3
