"""TPT: the published step, and what it leaves alone."""
import pytest
import torch
import torch.nn.functional as F

from mmcoop.clip import load_clip
from mmcoop.models import CoOp
from mmcoop.tta import TPT
from mmcoop.tta.base import most_confident
from mmcoop.tta.tpt import mean_probability_entropy

from ..models.test_golden import assert_equal, one_thread  # noqa: F401
from ..models.test_golden_methods import read

WORDS = dict(type='mmcoop.ContextPrompt', ctx_init='a photo of a')
CONDITIONAL = dict(type='mmcoop.ConditionalContextPrompt')
NAMES = ['cat', 'a small dog', 'jack-o-lantern', 'snow']


def build(clip, names=NAMES, prompt=WORDS, **options):
    torch.manual_seed(0)
    model = CoOp(clip, head=dict(type='mmcoop.PromptLearnerHead',
                                 prompt=prompt, **options))
    model.set_classes(names)
    return model.eval()


@pytest.fixture
def views():
    """Features of 8 views of each of 5 images, of the small CLIP."""
    torch.manual_seed(1)
    return torch.randn(5, 1, 32) + 0.5 * torch.randn(5, 8, 32)


class TestGolden:
    """Values of azshue/TPT."""

    @pytest.fixture
    def tpt(self, vit_file, golden):
        return TPT(build(load_clip(pretrained=vit_file),
                         golden[1]['class_names']))

    @pytest.fixture
    def feats(self, tpt):
        base = torch.randn(1, 3, 64, 64,
                           generator=torch.Generator().manual_seed(38))
        images = base + 0.5 * torch.randn(
            64, 3, 64, 64, generator=torch.Generator().manual_seed(39))
        images[0] = base[0]
        return tpt.module.extract_feat(images)[-1]

    def test_selection_loss_and_gradient(self, tpt, feats):
        values = read('tpt')
        ctx = tpt.module.head.prompt.ctx
        assert torch.equal(ctx.data, values['ctx'])
        logits = tpt.logits(feats)
        assert_equal(logits, values['logits'])
        selected = most_confident(logits, tpt.keep)
        assert torch.equal(selected, values['selected'])
        loss = mean_probability_entropy(logits[selected])
        assert_equal(loss, values['loss'])
        loss.backward()
        assert_equal(ctx.grad, values['ctx_grad'])

    def test_step_and_prediction(self, tpt, feats):
        values = read('tpt')
        with torch.no_grad():  # as the test loop calls it
            assert_equal(tpt.tune(F.normalize(feats, dim=-1)),
                         values['ctx_after'])
            assert_equal(tpt.adapt(feats, None)[None],
                         values['logits_after'])


@pytest.mark.parametrize('prompt', [
    WORDS, CONDITIONAL, dict(WORDS, class_token_position='middle'),
    dict(WORDS, class_specific=True),
    dict(WORDS, n_prompts=2, combine='logits')], ids=str)
def test_without_a_step_the_logits_are_the_plain_ones(small_clip, views,
                                                      prompt):
    tpt = TPT(build(load_clip(**small_clip), prompt=prompt), lr=0., views=8)
    with torch.no_grad():
        for feats in views:
            plain = tpt.logits(feats[:1])[0]
            torch.testing.assert_close(tpt.adapt(feats, plain), plain,
                                       atol=1e-5, rtol=0)


@pytest.mark.parametrize('prompt', [WORDS, CONDITIONAL], ids=str)
def test_every_image_starts_anew(small_clip, views, prompt):
    """Neither the order of images nor the batch matters, and the model is
    left as it was."""
    from mmpretrain.structures import DataSample
    model = build(load_clip(**small_clip), prompt=prompt)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    tpt = TPT(model, views=8, keep=0.4)
    with torch.no_grad():
        first = [tpt.adapt(feats, None) for feats in views]
        again = [tpt.adapt(feats, None) for feats in views.flip(0)]
        plain = tpt.logits(views[:, 0])
    assert torch.equal(torch.stack(first), torch.stack(again[::-1]))
    assert (torch.stack(first) - plain).abs().max() > 1e-3
    assert all(torch.equal(v, before[k])
               for k, v in model.state_dict().items())
    images = torch.randint(255, (3, 8, 3, 32, 32))

    def scores(batches):
        return torch.stack([sample.pred_score for batch in batches
                            for sample in tpt.test_step(dict(
                                inputs=batch, data_samples=[
                                    DataSample() for _ in batch]))])

    with torch.no_grad():
        torch.testing.assert_close(scores([images]),
                                   scores(images.split(1)),
                                   atol=1e-5, rtol=0)


def test_the_entropy_falls(small_clip, views):
    """Many small steps on the selected views do what the loss says."""
    tpt = TPT(build(load_clip(**small_clip)), views=8, keep=0.5, steps=20,
              lr=1e-3)
    features = F.normalize(views[0], dim=-1)
    with torch.no_grad():
        chosen = most_confident(tpt.logits(views[0]), 0.5)
        losses = [mean_probability_entropy(tpt._score(
            ctx, features[chosen], features[:1]))
            for ctx in (tpt.module.head.prompt.ctx, tpt.tune(features))]
    assert losses[1] < losses[0]


def test_a_conditioned_context_is_tuned_for_all_views(small_clip, views):
    """CoCoOp as in the published code: the context of the first view."""
    model = build(load_clip(**small_clip), prompt=CONDITIONAL)
    tpt = TPT(model, views=8, keep=0.4)
    head, features = model.head, F.normalize(views[0], dim=-1)
    prompt = head.prompt
    with torch.no_grad():
        shift = prompt.linear2(prompt.linear1(features[:1]).relu())
    ctx = torch.nn.Parameter(prompt.ctx.detach() + shift)
    optimizer = torch.optim.AdamW([ctx], lr=5e-3)

    def score(images):
        twin = build(load_clip(**small_clip))  # one context for all images
        del twin.head.prompt.ctx
        twin.head.prompt.ctx = ctx
        twin.train()  # class features with gradients
        return twin.head((images, ))

    logits = score(features)
    order = (-(logits.softmax(1) * logits.log_softmax(1)).sum(1)).argsort()
    p = logits[order[:3]].softmax(1).mean(0)
    (-(p * p.log()).sum()).backward()
    optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(
            tpt.adapt(views[0], None), score(features[:1])[0],
            atol=1e-4, rtol=0)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize('prompt,message', [
    (dict(type='mmcoop.TemplatePrompt'), 'written words: .*ctx_init='),
    (dict(type='mmcoop.MultiModalPrompt'), 'prompts the image tower'),
    (dict(type='mmcoop.TransportPrompt'), 'many patches'),
    (None, 'class features made from prompts, and a LinearProbeHead'),
])
def test_what_cannot_be_tuned_is_refused_before_the_clip_loads(prompt,
                                                               message):
    head = dict(type='mmcoop.LinearProbeHead') if prompt is None else \
        dict(type='mmcoop.PromptLearnerHead', prompt=prompt)
    with pytest.raises(ValueError, match=message):
        TPT(dict(type='mmcoop.CoOp', clip=dict(pretrained='nowhere.pt'),
                 head=head))


@pytest.mark.parametrize('options', [
    dict(views=0), dict(keep=0), dict(keep=1.5), dict(steps=0),
    dict(views=2.5)], ids=str)
def test_bad_settings(options):
    name, = options
    with pytest.raises(ValueError, match=f'tta_model.{name}='):
        TPT(dict(type='mmcoop.CoOp', head=dict(
            type='mmcoop.PromptLearnerHead', prompt=WORDS)), **options)
