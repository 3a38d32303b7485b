"""How images are made ready belongs to the weights."""
import json
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from mmengine.config import Config

from mmcoop import resolve
from mmcoop.clip import (CLIPLoadError, Preprocessing, load_clip,
                         read_preprocessing)
from mmcoop.registry import MODELS

from ..conftest import ROOT, small_clip_config
from .test_loading import as_archive, golden_config, golden_state_dict

HALF = [.5, .5, .5]
SAID = dict(mean=HALF, std=HALF, resize_mode='squash')


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / 'weights.pt'
    torch.save(open_clip.CLIP(**small_clip_config()).state_dict(), path)
    return str(path)


@pytest.fixture(params=['flat', 'nested', 'folder'])
def said_by_file(request, tmp_path, weights):
    """``clip=dict(...)`` of a CLIP whose own file says it, in three forms."""
    config = small_clip_config()
    if request.param == 'flat':
        content = dict(config, preprocess_cfg=SAID)
    else:
        content = dict(model_cfg=config, preprocess_cfg=SAID)
    if request.param != 'folder':
        path = tmp_path / 'mmcoop-test-said.json'
        path.write_text(json.dumps(content))
        return dict(model_name=str(path), pretrained=weights)
    folder = tmp_path / 'mmcoop-test-folder'
    folder.mkdir()
    (folder / 'open_clip_config.json').write_text(json.dumps(content))
    (tmp_path / 'weights.pt').rename(folder / 'open_clip_pytorch_model.bin')
    return dict(model_name=f'local-dir:{folder}')


def model(clip, **options):
    return MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip, **options, head=dict(
            type='mmcoop.PromptLearnerHead',
            prompt=dict(type='mmcoop.TemplatePrompt', templates='generic'))))


def test_said_by_the_clips_file(said_by_file, logged):
    wanted = Preprocessing((.5, ) * 3, (.5, ) * 3, resize_mode='squash')
    assert load_clip(**said_by_file).preprocessing == wanted
    built = model(said_by_file)
    assert built.data_preprocessor.mean.flatten().tolist() == [127.5] * 3
    assert not any('assumed' in line for line in logged)
    # a config that is read from the folder itself
    name = said_by_file['model_name']
    if name.startswith('local-dir:'):
        folder = name.removeprefix('local-dir:')
        other = load_clip(f'{folder}/open_clip_config.json',
                          f'{folder}/open_clip_pytorch_model.bin')
        assert other.preprocessing == wanted
        assert other.text_tower.name == 'mmcoop-test-folder'
    # what the user says comes first
    mine = load_clip(**said_by_file, std=[.1, .2, .3],
                     interpolation='bilinear').preprocessing
    assert mine == replace(wanted, std=(.1, .2, .3), interpolation='bilinear')


def test_it_reaches_both_pipelines(said_by_file):
    cfg = Config.fromfile(ROOT / 'configs/zeroshot/zeroshot_vit-b16_custom.py')
    cfg.merge_from_dict({'model.clip': dict(
        said_by_file, _delete_=True, interpolation='bilinear')})
    cfg = resolve(cfg)
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert resize == dict(type='mmcoop.CLIPResize', scale=32,
                          resize_mode='squash', interpolation='bilinear')
    cfg = Config.fromfile(ROOT / 'configs/coop/coop_vit-b16_16shot_custom.py')
    cfg.merge_from_dict({'model.clip.interpolation': 'bilinear',
                         'resize_mode': 'longest'})
    cfg = resolve(cfg)
    view = cfg.train_dataloader.dataset.dataset.pipeline[1]
    assert view.interpolation == 'bilinear'
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert resize.resize_mode == 'longest'


def test_said_by_a_tag():
    assert read_preprocessing('ViT-B-16', 'openai') == Preprocessing()
    siglip = read_preprocessing('ViT-B-16-SigLIP', 'webli')
    assert siglip == Preprocessing((.5, ) * 3, (.5, ) * 3, 'bicubic', 'squash')
    clipa = read_preprocessing('ViT-L-14-CLIPA', 'datacomp1b')
    assert (clipa.interpolation, clipa.resize_mode) == ('bilinear', 'squash')
    assert clipa.mean == tuple(open_clip.constants.IMAGENET_MEAN)


def test_one_warning_where_nothing_says_it(tmp_path, small_clip, logged):
    def warnings():
        found = [line for line in logged if 'assumed' in line]
        logged.clear()
        return found

    built = model(small_clip)
    line, = warnings()
    assert '0.4815' in line and 'model.clip.mean' in line
    np.testing.assert_allclose(
        built.data_preprocessor.mean.flatten().numpy() / 255,
        open_clip.OPENAI_DATASET_MEAN, rtol=1e-6)
    model(dict(small_clip, mean=HALF, std=HALF))
    other = model(small_clip, data_preprocessor=dict(mean=[1., 2., 3.],
                                                     std=[4., 5., 6.]))
    assert other.data_preprocessor.mean.flatten().tolist() == [1., 2., 3.]
    # OpenAI's own files
    as_archive(golden_state_dict(), tmp_path / 'archive.pt')
    archive = str(tmp_path / 'archive.pt')
    model(dict(pretrained=archive))
    model(dict(model_name=golden_config(tmp_path / 'mmcoop-test-golden.json'),
               pretrained=archive))
    assert not warnings()


@pytest.mark.parametrize('wrong,sentence', [
    (dict(mean=[127.5] * 3), 'numbers of 0 to 255 go into'),
    (dict(mean=[.5, .5]), 'three numbers'),
    (dict(std=[0, .5, .5]), 'clip.std='),
    (dict(resize_mode='crop'), 'choose from shortest, squash, longest'),
    (dict(interpolation='lanczos'), 'choose from bicubic, bilinear'),
])
def test_impossible_values(wrong, sentence):
    with pytest.raises(CLIPLoadError, match=sentence):
        read_preprocessing('ViT-B-16', 'openai', **wrong)


def test_damaged_configs(tmp_path):
    path = tmp_path / 'clip.json'
    path.write_text('{"embed_dim": ')
    with pytest.raises(CLIPLoadError, match='cannot read the CLIP model conf'):
        load_clip(str(path))
    path.write_text(json.dumps(dict(
        small_clip_config(),
        preprocess_cfg=dict(resize_mode='longest', fill_color=127))))
    with pytest.raises(CLIPLoadError, match='padded with black'):
        load_clip(str(path))


def test_a_colon_in_the_path_of_a_config(tmp_path):
    folder = tmp_path / 'a:b'
    folder.mkdir()
    (folder / 'clip.json').write_text(json.dumps(dict(
        small_clip_config(), preprocess_cfg=SAID)))
    assert read_preprocessing(str(folder / 'clip.json')).resize_mode == \
        'squash'
