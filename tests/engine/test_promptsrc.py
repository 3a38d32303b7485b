"""PromptSRC: its three terms, its text features, its average over epochs."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import RUNNERS

from mmcoop.engine import (GaussianAverageHook, ImageConsistency,
                           LogitConsistency, TextConsistency)
from mmcoop.losses import KnowledgeGuidance, LossInputs

from ..conftest import custom_config
from ..heads.test_seams import build, samples

IVLP = dict(type='mmcoop.MultiModalPrompt', depth=2, coupled=False)


@pytest.fixture
def inputs():
    torch.manual_seed(0)

    def unit(*shape):
        return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)

    text, image, scale = unit(5, 8), unit(3, 8), torch.tensor(100.)
    return LossInputs(
        class_features=text, image_features=image,
        logits=scale * image @ text.T, logit_scale=scale,
        hand_written_features=unit(5, 8), unprompted_image_features=unit(3, 8))


def test_the_terms(inputs):
    text, image = inputs.class_features, inputs.image_features
    written, plain = (inputs.hand_written_features,
                      inputs.unprompted_image_features)
    for loss, expected in (
            (TextConsistency(), 25 * (text - written).abs().sum() / 40),
            (ImageConsistency(), 10 * (image - plain).abs().sum() / 24),
            (KnowledgeGuidance(), 8 * (
                1 - torch.cosine_similarity(text, written).mean()))):
        torch.testing.assert_close(loss(inputs), expected)
    teacher = (100 * plain @ written.T).softmax(1)
    student = inputs.logits.softmax(1)
    expected = (teacher * (teacher / student).log()).sum() / 15
    torch.testing.assert_close(LogitConsistency()(inputs), expected)


def test_they_vanish_for_the_frozen_clip(inputs):
    inputs.hand_written_features = inputs.class_features
    inputs.unprompted_image_features = inputs.image_features
    for loss in (TextConsistency(), ImageConsistency(), LogitConsistency()):
        assert loss(inputs).abs() < 1e-12


def test_unprompted_features_come_without_gradients(small_clip):
    model = build(small_clip, dict(IVLP, depth=1), regularizers=[
        dict(type='mmcoop.ImageConsistency'),
        dict(type='mmcoop.LogitConsistency')],
        hand_written=dict(type='mmcoop.TemplatePrompt')).train()
    images, seen = torch.randn(2, 3, 32, 32), []
    compute = ImageConsistency.compute
    model.head.regularizers['image'].compute = lambda inputs: (
        seen.append(inputs), compute(None, inputs))[1]
    losses = model.loss(images, samples(0, 1))
    assert list(losses) == ['loss_cls', 'loss_image', 'loss_logits']
    plain = F.normalize(model.backbone(images)[0], dim=-1)
    torch.testing.assert_close(seen[0].unprompted_image_features, plain)
    assert not seen[0].unprompted_image_features.requires_grad
    assert seen[0].image_features.requires_grad
    assert losses['loss_image'] > 0


def test_text_prompts_have_no_other_images(small_clip):
    """The same features prompted and not: the image term is zero."""
    model = build(small_clip, dict(type='mmcoop.ContextPrompt', n_ctx=2),
                  regularizers=[dict(type='mmcoop.ImageConsistency')]).train()
    for inputs in (torch.randn(2, 3, 32, 32), torch.randn(2, 32)):
        losses = model.loss(inputs, samples(0, 1))
        assert losses['loss_image'] == 0


def test_the_mean_of_features_that_are_not_normalised(small_clip):
    texts = ['a photo of a {}.', 'the {} in a video game.', '{}']
    head = build(small_clip, dict(
        type='mmcoop.TemplatePrompt', templates=texts,
        combine='unnormalized')).head
    raw = torch.stack([head.text_tower(prompts)[0] for prompts
                       in head.prompt(head.text_tower)])
    torch.testing.assert_close(head.text_features(),
                               F.normalize(raw.mean(0), dim=-1))
    other = build(small_clip, dict(
        type='mmcoop.TemplatePrompt', templates=texts)).head
    assert (head.text_features() - other.text_features()).abs().max() > 1e-5


def test_the_templates():
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    from mmcoop.prompts.templates import expand_templates
    texts = expand_templates('ensemble60')
    assert texts == [t('{}') for t in OPENAI_IMAGENET_TEMPLATES][:60]
    assert 'a photo of a {}.' in texts and texts[-1] == 'itap of the {}.'


@pytest.mark.parametrize('config', [
    dict(type='mmcoop.ContextPrompt', n_ctx=4, class_specific=True), IVLP,
    dict(IVLP, coupled=True), dict(type='mmcoop.ConditionalContextPrompt')])
def test_kgcoops_term_on_other_prompts(deep_clip, config):
    model = build(deep_clip, config,
                  regularizers=[dict(type='mmcoop.KnowledgeGuidance')],
                  hand_written=dict(type='mmcoop.TemplatePrompt')).train()
    losses = model.loss(torch.randn(2, 3, 32, 32), samples(0, 1))
    losses['loss_guidance'].backward()
    assert model.head.prompt.ctx.grad.abs().max() > 0


def test_weights():
    weights = GaussianAverageHook(mean=15, std=1).weights(20)
    assert weights.sum() == pytest.approx(1) and weights.argmax() == 14
    assert weights[15] / weights[14] == pytest.approx(
        2.718281828459045**-0.5)
    with pytest.raises(ValueError, match='std=0'):
        GaussianAverageHook(mean=1, std=0)


def test_the_average_of_all_epochs(tmp_path, photos, small_clip):
    class Spy(GaussianAverageHook):
        seen = []

        def after_train_epoch(self, runner):
            self.seen.append(runner.model.head.prompt.ctx.detach().clone())
            super().after_train_epoch(runner)

    runner = RUNNERS.build(custom_config(tmp_path, photos, small_clip,
                                         max_epochs=4))
    hook = Spy(mean=3, std=2)
    runner.register_hook(hook)
    runner.train()
    expected = sum(weight * ctx for weight, ctx in zip(
        hook.weights(4).tolist(), hook.seen))
    ours = runner.model.head.prompt.ctx
    torch.testing.assert_close(ours.detach(), expected)
    assert not torch.equal(ours, hook.seen[-1])
    saved = torch.load(tmp_path / 'work/epoch_4.pth')
    assert torch.equal(saved['state_dict']['head.prompt.ctx'], ours)
    assert set(saved['gaussian_sums']) == {'head.prompt.ctx'}
