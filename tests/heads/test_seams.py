"""What new methods build on: each seam with a prompt or loss of its own."""
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.registry import RUNNERS
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmcoop.clip import load_clip
from mmcoop.clip.plain import encode_plain
from mmcoop.heads import PromptLearnerHead
from mmcoop.losses import LossInputs, Regularizer
from mmcoop.prompts import ContextPrompt
from mmcoop.registry import MODELS as OURS

from ..conftest import custom_config

NAMES = ['kite (bird of prey)', 'T-shirt', 'dog', "jack-o'-lantern", 'sea']


class Plants(ContextPrompt):
    """A context, and visual prompts in the first layer."""
    prompts_images = True

    def setup_image_side(self, tower):
        self.visual = nn.Parameter(torch.randn(1, 2, tower.width))

    def visual_prompts(self):
        return self.visual


class PullToWords(Regularizer):
    """Squared distance to the hand-written class features."""
    needs_hand_written = True

    def compute(self, inputs):
        shift = inputs.class_features - inputs.hand_written_features
        return shift.square().sum()


@pytest.fixture(autouse=True)
def registered():
    for kind in (Plants, PullToWords):
        OURS.register_module(module=kind, force=True)
    yield
    for kind in (Plants, PullToWords):
        OURS._module_dict.pop(kind.__name__)


def build(clip, prompt, names=NAMES, **head):
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip, head=dict(
            type='mmcoop.PromptLearnerHead', prompt=dict(prompt), **head)))
    model.set_classes(names)
    return model


def samples(*labels):
    return [DataSample().set_gt_label(label) for label in labels]


def gradients_of(model, features, labels):
    model.train()
    loss = model.head.loss((features, ), samples(*labels))
    total = sum(loss.values())
    learned = list(model.head.prompt.parameters())
    return total.detach(), *torch.autograd.grad(total, learned)


class TestPromptsThatSeeImages:
    prompt = dict(type='mmcoop.ConditionalContextPrompt', n_ctx=4)

    @pytest.fixture
    def model(self, small_clip):
        torch.manual_seed(0)
        model = build(small_clip, self.prompt)
        model.head.double()
        return model

    def test_each_image_alone(self, model):
        """A batch is its images one by one."""
        features = torch.randn(3, 32).double()
        batch = model.head((features, ))
        assert batch.shape == (3, 5)
        one_by_one = torch.cat([model.head((f[None], )) for f in features])
        torch.testing.assert_close(batch, one_by_one)

    def test_equals_the_plain_path(self, model, monkeypatch):
        features = torch.randn(3, 32).double()
        fast = gradients_of(model, features, (0, 1, 4))
        monkeypatch.setattr(type(model.head.text_tower), 'forward',
                            encode_plain)
        for ours, theirs in zip(fast, gradients_of(model, features,
                                                   (0, 1, 4))):
            assert theirs.abs().max() > 0
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)

    def test_within_a_memory_budget(self, small_clip):
        results, saved = [], []
        for memory in (None, 1e-3):
            torch.manual_seed(0)
            model = build(small_clip, self.prompt, text_memory=memory)
            model.head.double()
            features = torch.randn(6, 32).double()
            results.append(gradients_of(model, features, (0, 1, 2, 3, 4, 0)))
            saved.append(model.head.divider)
        for ours, theirs in zip(*results):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        sets = model.head.prompt(model.head.text_tower, F.normalize(features))
        assert saved[1]._number_of_chunks(model.head.text_tower, *sets) > 1

    def test_ranks_do_not_share_its_classes(self, model, monkeypatch):
        """Each rank has images of its own."""
        shared = []
        monkeypatch.setattr(
            model.head.divider, 'encode',
            lambda tower, prompts, share, _: shared.append(share) or tower(
                prompts))
        gradients_of(model, torch.randn(2, 32).double(), (0, 1))
        assert shared == [False]


class TestVisualPrompts:
    prompt = dict(type='mmcoop.Plants', n_ctx=2)

    def test_they_learn(self, small_clip):
        model = build(small_clip, self.prompt)
        images = torch.randn(2, 3, 32, 32)
        model.train()
        model.loss(images, samples(0, 1))['loss'].backward()
        assert model.head.prompt.visual.grad.abs().max() > 0
        state = model.state_dict()
        assert {'head.prompt.visual', 'head.prompt.ctx'} < set(state)
        assert not any(key.startswith('backbone') for key in state)

    def test_a_resnet_refuses(self, rn_file):
        with pytest.raises(ValueError, match='a ModifiedResNet: take a ViT'):
            build(dict(pretrained=rn_file), self.prompt)

    def test_other_backbones_refuse(self, small_clip):
        with pytest.raises(ValueError, match='Plants needs the image tower'):
            OURS.build(dict(type='mmcoop.PromptLearnerHead', clip=small_clip,
                            prompt=self.prompt))
        with pytest.raises(ValueError, match='freeze_image_tower=True'):
            MODELS.build(dict(
                type='mmcoop.CoOp', clip=small_clip, freeze_image_tower=False,
                head=dict(type='mmcoop.PromptLearnerHead',
                          prompt=self.prompt)))

    def test_the_feature_cache_says_why_not(self, tmp_path, photos,
                                            small_clip, logged):
        runner = RUNNERS.build(custom_config(
            tmp_path, photos, small_clip, max_epochs=1,
            **{'model.head.prompt': dict(_delete_=True, **self.prompt)}))
        runner.train()
        log = '\n'.join(p.read_text() for p in tmp_path.rglob('*.log'))
        assert 'are not cached: visual prompts change what' in log
        with pytest.raises(ValueError, match='cached_views=2 is not possible '
                           'here: visual prompts'):
            RUNNERS.build(custom_config(
                tmp_path, photos, dict(model_name='ViT-B-16',
                                       pretrained='openai'), cached_views=2,
                **{'model.head.prompt': dict(_delete_=True, **self.prompt)}))


class TestSeveralPromptsOfAClass:

    @pytest.mark.parametrize('position', ['end', 'middle'])
    @pytest.mark.parametrize('csc', [False, True])
    @pytest.mark.parametrize('combine', ['features', 'logits'])
    def test_as_contexts_of_their_own(self, small_clip, position, csc,
                                      combine):
        clip = load_clip(**small_clip)
        settings = dict(type='mmcoop.ContextPrompt', n_ctx=4,
                        class_token_position=position, class_specific=csc)
        head = PromptLearnerHead(
            dict(settings, n_prompts=3, combine=combine), clip.text_tower,
            classes=NAMES).double()
        features = torch.randn(2, 32).double()
        alone = []
        for ctx in head.prompt.ctx:
            one = PromptLearnerHead(settings, clip.text_tower,
                                    classes=NAMES).double()
            one.prompt.ctx.data.copy_(ctx)
            alone.append(one)
        logits = head((features, ))
        if combine == 'logits':
            expected = torch.stack([one((features, )) for one in alone])
            expected = expected.mean(0)
        else:
            text = torch.stack([one.text_features() for one in alone])
            expected = head.compute_logits(
                F.normalize(features.float(), dim=-1),
                F.normalize(text.mean(0), dim=-1))
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
        assert len(head.prompt(clip.text_tower)) == (
            1 if position == 'end' and not csc else 3)

    def test_checkpoints_say_how_many(self, small_clip):
        one = build(small_clip, dict(type='mmcoop.ContextPrompt', n_ctx=2))
        two = build(small_clip, dict(type='mmcoop.ContextPrompt', n_ctx=2,
                                     n_prompts=2))
        with pytest.raises(ValueError, match='n_prompts=None, the config'):
            two.load_state_dict(one.state_dict())

    @pytest.mark.parametrize('wrong', [dict(n_prompts=0),
                                       dict(combine='votes')])
    def test_mistakes(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ContextPrompt(**wrong)


class TestRegularizers:
    head = dict(
        regularizers=[dict(type='mmcoop.PullToWords', weight=8.,
                           name='words')],
        hand_written=dict(type='mmcoop.TemplatePrompt'))

    def test_each_is_a_loss_of_its_own(self, small_clip):
        prompt = dict(type='mmcoop.ContextPrompt', n_ctx=4)
        torch.manual_seed(0)
        model = build(small_clip, prompt, **self.head)
        plain = build(small_clip, prompt)
        plain.head.prompt.ctx.data.copy_(model.head.prompt.ctx)
        features = torch.randn(2, 32)
        losses = model.train().head.loss((features, ), samples(0, 1))
        assert list(losses) == ['loss_cls', 'loss_words']
        expected = plain.train().head.loss((features, ), samples(0, 1))
        assert losses['loss_cls'] == expected['loss']
        words = build(small_clip, dict(type='mmcoop.TemplatePrompt'))
        shift = plain.head.text_features() - words.head.text_features()
        torch.testing.assert_close(losses['loss_words'],
                                   8 * shift.square().sum())
        total, log = model.parse_losses(losses)
        assert log['loss'] == total == sum(losses.values())
        assert set(total.named_losses) == set(losses)

    def test_hand_written_features_follow_the_classes(self, small_clip):
        model = build(small_clip, dict(type='mmcoop.ContextPrompt', n_ctx=4),
                      **self.head)
        before = model.head.hand_written_features()
        assert model.head.hand_written_features() is before
        model.set_classes(['cat', 'dog'])
        assert model.head.hand_written_features().shape == (2, 32)

    def test_what_they_see(self):
        seen = LossInputs.__dataclass_fields__
        assert {'class_features', 'image_features', 'logits',
                'hand_written_features'} <= set(seen)

    def test_mistakes(self, small_clip):
        prompt = dict(type='mmcoop.ContextPrompt')
        with pytest.raises(ValueError, match='set model.head.hand_written='):
            build(small_clip, prompt, regularizers=self.head['regularizers'])
        with pytest.raises(ValueError, match="two regularizers.*'words'"):
            build(small_clip, prompt,
                  regularizers=2 * self.head['regularizers'],
                  hand_written=self.head['hand_written'])
