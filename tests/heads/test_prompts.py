"""Prompts, the head and their checkpoints: use and misuse."""
import copy

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS

from ..conftest import small_clip_config

NAMES = ['cat', 'red_fox', 'crane (bird)']


def build(clip, classes=NAMES, **prompt):
    prompt = {'type': 'mmcoop.ContextPrompt', 'n_ctx': 4, **prompt}
    model = MODELS.build(
        dict(
            type='mmcoop.CoOp',
            clip=clip,
            head=dict(type='mmcoop.PromptLearnerHead', prompt=prompt)))
    if classes:
        model.set_classes(classes)
    return model


class TestMistakes:

    def test_unknown_position(self, small_clip):
        with pytest.raises(ValueError, match="'back' is unknown.*end, mid"):
            build(dict(pretrained='/never/read'), class_token_position='back')

    @pytest.mark.parametrize('n_ctx', [0, -2])
    def test_no_context(self, small_clip, n_ctx):
        with pytest.raises(ValueError, match=f'n_ctx={n_ctx}'):
            build(small_clip, n_ctx=n_ctx)

    def test_too_long(self, small_clip):
        with pytest.raises(ValueError, match='leaves no room'):
            build(small_clip, n_ctx=75)
        with pytest.raises(ValueError, match=r"'crane \(bird\)'.*takes 77"):
            build(small_clip, n_ctx=72)
        with pytest.raises(ValueError, match="'x x x.*takes 77"):
            build_template(small_clip, ['cat', 'x ' * 80])

    def test_any_context_that_fits(self, small_clip):
        model = build(small_clip, ['cat'], n_ctx=73)
        assert model.head.text_features().shape == (1, 32)

    @pytest.mark.parametrize('names', [[], ['cat', ' '], ['cat', '_']])
    def test_empty_names(self, small_clip, names):
        model = build(small_clip, None)
        with pytest.raises(ValueError, match='at least one|empty names'):
            model.set_classes(names)

    def test_equal_names_are_said(self, small_clip, logged):
        build(small_clip, ['missile', 'cat', 'missile'])
        assert any("['missile']" in message for message in logged)

    def test_bad_template(self):
        for templates in ('a photo.', ['{} of {}'], []):
            with pytest.raises(ValueError, match='exactly one'):
                MODELS.build(
                    dict(type='mmcoop.TemplatePrompt', templates=templates))

    def test_no_names_yet(self, small_clip):
        model = build(small_clip, None)
        with pytest.raises(RuntimeError, match='ClassNamesHook'):
            model(torch.zeros(1, 3, 32, 32))

    def test_head_without_tower(self):
        with pytest.raises(ValueError, match='needs a text tower'):
            MODELS.build(
                dict(
                    type='mmcoop.PromptLearnerHead',
                    prompt=dict(type='mmcoop.TemplatePrompt')))


def build_template(clip, names):
    model = MODELS.build(
        dict(
            type='mmcoop.CoOp',
            clip=clip,
            head=dict(
                type='mmcoop.PromptLearnerHead',
                prompt=dict(type='mmcoop.TemplatePrompt'))))
    model.set_classes(names)
    return model


class TestWords:

    @pytest.mark.parametrize('class_specific', [False, True])
    def test_tokens_are_counted(self, small_clip, class_specific):
        """Four words, six tokens: the published code cuts two off."""
        model = build(small_clip, ctx_init='an X-ray of a', n_ctx=16,
                      class_specific=class_specific)
        tokenizer = model.head.text_tower.tokenizer
        ids = tokenizer.encode('an X-ray of a')
        assert model.head.prompt.n_ctx == len(ids) == 6
        # before training, words as context are the hand-written prompt
        template = build_template(small_clip, NAMES)
        template.head.prompt = MODELS.build(
            dict(type='mmcoop.TemplatePrompt', templates='an X-ray of a {}.'))
        template.set_classes(NAMES)
        torch.testing.assert_close(model.head.text_features(),
                                   template.head.text_features())


class TestSetClasses:

    def test_unified_carries_over(self, small_clip):
        model = build(small_clip)
        ctx = model.head.prompt.ctx
        model.set_classes(['dog', 'cat'])
        assert model.head.prompt.ctx is ctx
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
        again = build(small_clip, ['dog', 'cat'])
        again.head.prompt.ctx.data.copy_(ctx)
        assert torch.equal(model.head.text_features(),
                           again.head.text_features())

    def test_class_specific_refuses(self, small_clip):
        model = build(small_clip, class_specific=True)
        model.set_classes(['a', 'b', 'c'])
        with pytest.raises(ValueError, match='of 3 classes cannot serve 2'):
            model.set_classes(['dog', 'cat'])
        assert model.head.class_names == ['a', 'b', 'c']


class TestCheckpoints:

    def test_class_specific_knows_its_classes(self, small_clip):
        """As many classes are not the same classes."""
        model = build(small_clip, ['a', 'b'], class_specific=True)
        other = build(small_clip, ['dog', 'cat'], class_specific=True)
        with pytest.raises(ValueError, match=r'2 classes \(a, b.*2 \(dog'):
            other.load_state_dict(model.state_dict())

    @pytest.mark.parametrize('class_specific', [False, True])
    @pytest.mark.parametrize('how', ['torch', 'mmengine'])
    def test_names_travel(self, small_clip, class_specific, how):
        model = build(small_clip, class_specific=class_specific)
        other = build(small_clip, None, class_specific=class_specific)
        state = model.state_dict()
        assert set(state) == {'head.prompt.ctx', 'head.record'}
        if how == 'torch':
            other.load_state_dict(state)
        else:
            load_state_dict(other, state, strict=True)
        assert other.head.class_names == NAMES
        image = torch.randn(2, 3, 32, 32)
        assert torch.equal(model(image), other(image))

    def test_unified_serves_other_classes(self, small_clip):
        state = build(small_clip).state_dict()
        other = build(small_clip, ['dog', 'cat'])
        other.load_state_dict(state)
        assert other.head.class_names == ['dog', 'cat']

    def test_class_count(self, small_clip):
        state = build(small_clip, class_specific=True).state_dict()
        other = build(small_clip, ['dog', 'cat'], class_specific=True)
        with pytest.raises(ValueError, match='for 3 classes.*set has 2'):
            load_state_dict(other, state)

    @pytest.mark.parametrize('changed', [
        dict(n_ctx=8), dict(class_token_position='front'),
        dict(class_specific=True)
    ], ids=str)
    def test_other_prompt(self, small_clip, changed):
        state = build(small_clip).state_dict()
        name, value = next(iter(changed.items()))
        with pytest.raises(ValueError, match=f'{name}=.*says {value!r}'):
            load_state_dict(build(small_clip, **changed), state)

    def test_other_tower(self, small_clip, tmp_path):
        import open_clip
        torch.manual_seed(5)
        torch.save(
            open_clip.CLIP(**small_clip_config()).state_dict(),
            tmp_path / 'other.pt')
        state = build(small_clip).state_dict()
        other = build(dict(small_clip, pretrained=str(tmp_path / 'other.pt')))
        with pytest.raises(ValueError, match='learned for the text tower of'):
            load_state_dict(other, state)

    def test_no_prompt_in_it(self, small_clip):
        with pytest.raises(ValueError, match='no learned prompt'):
            load_state_dict(build(small_clip), {'fc.weight': torch.zeros(3)})

    def test_copies_share_clip(self, small_clip):
        model = build(small_clip)
        twin = copy.deepcopy(model)
        assert twin.backbone is model.backbone
        assert twin.head.text_tower is model.head.text_tower
        assert twin.head.prompt.ctx is not model.head.prompt.ctx


def test_head_over_another_backbone(small_clip):
    """An mmpretrain backbone, our head: parts mix."""
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='VisionTransformer', arch='deit-tiny', img_size=32,
                patch_size=16),
            neck=dict(
                type='LinearNeck', in_channels=192, out_channels=32,
                gap_dim=0, norm_cfg=None, act_cfg=None),
            head=dict(
                type='mmcoop.PromptLearnerHead',
                clip=small_clip,
                prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4),
                classes=NAMES)))
    assert isinstance(model, ImageClassifier)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_the_clips_own_mean_and_std(small_clip):
    model = build(small_clip)
    assert model.data_preprocessor.mean.flatten()[0].item() == \
        pytest.approx(255 * .48145466)
    other = MODELS.build(
        dict(
            type='mmcoop.CoOp',
            clip=small_clip,
            data_preprocessor=dict(mean=[1., 2., 3.], std=[1., 1., 1.]),
            head=dict(
                type='mmcoop.PromptLearnerHead',
                prompt=dict(type='mmcoop.TemplatePrompt'))))
    assert other.data_preprocessor.mean.flatten().tolist() == [1., 2., 3.]
