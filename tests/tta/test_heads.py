"""Adaptations around every kind of prompt, and a head without one."""
import pytest
import torch
from mmpretrain.structures import DataSample

from mmcoop.clip import load_clip
from mmcoop.models import CoOp
from mmcoop.tta import MTA, TDA, TPT, ZERO

from .test_tpt import NAMES, build

PROMPTS = {
    'templates': dict(type='mmcoop.TemplatePrompt', templates='ensemble7'),
    'context': dict(type='mmcoop.ContextPrompt', n_ctx=4),
    'conditional': dict(type='mmcoop.ConditionalContextPrompt'),
    'multimodal': dict(type='mmcoop.MultiModalPrompt', depth=2),
    'transport': dict(type='mmcoop.TransportPrompt', n_ctx=2, n_prompts=2),
}
REFUSED = {(TPT, 'templates'), (TPT, 'multimodal'), (TPT, 'transport'),
           (MTA, 'transport'), (TDA, 'transport')}


@pytest.mark.parametrize('kind', [MTA, TDA, TPT, ZERO])
@pytest.mark.parametrize('prompt', PROMPTS)
def test_prompts(small_clip, deep_clip, kind, prompt):
    clip = load_clip(**(deep_clip if prompt == 'multimodal' else small_clip))
    model = build(clip, prompt=PROMPTS[prompt])
    if (kind, prompt) in REFUSED:
        with pytest.raises(ValueError, match='take (a|another) '):
            kind(model)
        return
    V = 1 if kind is TDA else 6
    tta = kind(model, views=V)
    images = torch.randint(255, (2, V, 3, 32, 32), dtype=torch.uint8)
    batch = dict(inputs=images, data_samples=[DataSample(), DataSample()])
    with torch.no_grad():
        plain = model.head(model.extract_feat(model.data_preprocessor(
            dict(inputs=images[:, 0]))['inputs'])).argmax(1)
        samples = tta.test_step(batch)
    assert [sample.plain_label for sample in samples] == plain.tolist()
    for sample in samples:
        assert sample.pred_score.shape == (len(NAMES), )
        torch.testing.assert_close(sample.pred_score.sum(), torch.tensor(1.))
        assert sample.pred_label == sample.pred_score.argmax()
    assert torch.equal(batch['inputs'], images[:, 0])  # to be drawn


def test_a_head_without_a_prompt(small_clip):
    model = CoOp(load_clip(**small_clip), head=dict(
        type='mmpretrain.LinearClsHead', num_classes=3)).eval()
    zero = ZERO(model, views=4)
    with torch.no_grad():
        sample, = zero.test_step(dict(
            inputs=[torch.randint(255, (4, 3, 32, 32), dtype=torch.uint8)],
            data_samples=[DataSample()]))
    assert sample.pred_score.shape == (3, )
    for kind in (MTA, TDA, TPT):
        with pytest.raises(ValueError, match='a LinearClsHead has none'):
            kind(model)
