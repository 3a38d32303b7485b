"""A learned context gives other heads their class features."""
import json

import pytest
import torch
from mmengine.registry import RUNNERS

from mmcoop.heads import GDAHead, SavedPrompt
from mmcoop.registry import MODELS

from ..conftest import custom_config


def model(clip, prompt):
    return MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip,
        head=dict(type='mmcoop.GDAHead', prompt=prompt)))


def test_gda_on_a_context(tmp_path, photos, small_clip):
    """From the folder of a run; its class features, and nothing learned."""
    coop = RUNNERS.build(custom_config(tmp_path, photos, small_clip,
                                       max_epochs=2))
    coop.train()
    run = str(tmp_path / 'work')
    cfg = custom_config(tmp_path, photos, small_clip, method='custom',
                        work_dir=str(tmp_path / 'gda'))
    cfg.model.head = dict(type='mmcoop.GDAHead', prompt=dict(
        type='mmcoop.SavedPrompt', checkpoint=run))
    gda = RUNNERS.build(cfg)
    gda.train()
    head = gda.model.head
    with torch.no_grad():
        expected = coop.model.eval().head.text_features()
        torch.testing.assert_close(head.class_features(), expected)
    assert isinstance(head.prompt, SavedPrompt)
    result = json.loads((tmp_path / 'gda/result.json').read_text())
    assert result['learned_parameters'] == 3 * 32 + 3
    assert result['prompt']['checkpoint'] == run
    assert 'SavedPrompt' in result['method'] and 'gda' in result['method']
    # the checkpoint comes back, and a text tower of another CLIP is refused
    test = custom_config(tmp_path, photos, small_clip, method='custom',
                         load_from=str(tmp_path / 'gda/epoch_1.pth'),
                         work_dir=str(tmp_path / 'test'))
    test.model.head = cfg.model.head
    assert RUNNERS.build(test).test() == result['metrics']
    other = dict(model_name=small_clip['model_name'])
    with pytest.raises(ValueError, match='learned for the text tower of'):
        model(other, dict(type='mmcoop.SavedPrompt', checkpoint=run))


def test_what_holds_no_context(tmp_path, small_clip, photos):
    prompt = dict(type='mmcoop.SavedPrompt', checkpoint=str(tmp_path))
    with pytest.raises(ValueError, match='no checkpoint in'):
        model(small_clip, prompt)
    prompt['checkpoint'] = str(tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='no checkpoint .*a.pth'):
        model(small_clip, prompt)
    torch.save(dict(state_dict={}), prompt['checkpoint'])
    with pytest.raises(ValueError, match='holds no context of CoOp'):
        model(small_clip, prompt)
    head = model(small_clip, dict(type='mmcoop.TemplatePrompt')).head
    torch.save({f'head.{key}': value for key, value
                in head.state_dict().items()}, prompt['checkpoint'])
    with pytest.raises(ValueError, match='holds no context of CoOp'):
        model(small_clip, prompt)
    assert isinstance(head, GDAHead)
