"""MaPLe as published, on its golden values in fp32 and fp64."""
from dataclasses import replace

import pytest
import torch

from mmcoop.clip import PromptSet, TextTower, image_tower
from mmcoop.clip.plain import encode_plain

from ..conftest import golden_state_dict
from .test_golden import assert_equal, one_thread, samples  # noqa: F401
from .test_golden_methods import build, read, read_config, train


@pytest.fixture(scope='session')
def deep_vit_file(tmp_path_factory):
    """The golden ViT with the three image layers of maple.npz."""
    path = tmp_path_factory.mktemp('golden') / 'deep_vit.pt'
    torch.save(golden_state_dict(vision_layers=3), path)
    return str(path)


class _RoundedGradient(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad.half().to(grad.dtype)


def round_gradients_as_published(monkeypatch):
    """Of each class and of each image, before they are summed."""
    replace_deep, encode = PromptSet.replace_deep, image_tower._encode_vit

    def replace_rounded(prompts, layer, x):
        if prompts.deep is None or not 1 <= layer <= len(prompts.deep):
            return x
        deep = _RoundedGradient.apply(prompts.deep[layer - 1])[None]
        return replace_deep(replace(prompts, deep=deep), 1, x)

    def encode_rounded(visual, images, prompts, patches):
        return torch.cat([
            encode(visual, image[None], _RoundedGradient.apply(prompts),
                   patches) for image in images])

    monkeypatch.setattr(TextTower, 'forward', encode_plain)
    monkeypatch.setattr(PromptSet, 'replace_deep', replace_rounded)
    monkeypatch.setattr(image_tower, '_encode_vit', encode_rounded)


class TestMaPLe:
    """The published code rounds each class's gradient to fp16 (see
    ``round_to_half``); ours are not rounded, which shows in deep_ctx."""
    names = {'ctx': 'ctx', 'projections.0.weight': 'proj.weight',
             'projections.0.bias': 'proj.bias', **{
                 f'projections.{i + 1}.{kind}':
                 f'compound_prompt_projections.{i}.{kind}'
                 for i in range(2) for kind in ('weight', 'bias')}}

    @pytest.fixture
    def cfg(self, deep_vit_file):
        return read_config('maple', deep_vit_file, 6,
                           **{'model.head.prompt.depth': 3})

    def published(self, values, kind):
        """Values of all parameters, by our names."""
        found = {ours: values[f'{kind}/{theirs}']
                 for ours, theirs in self.names.items()}
        found['deep_ctx'] = torch.stack([
            values[f'{kind}/compound_prompts_text.{i}'] for i in range(2)])
        return found

    def model(self, cfg, golden, values):
        model = build(cfg, golden)
        prompt = model.head.prompt
        assert torch.equal(prompt.ctx.data, values['param/ctx'].float())
        if values['param/ctx'].dtype == torch.float64:
            model.double()
        own = dict(prompt.named_parameters())
        expected = self.published(values, 'param')
        assert set(own) == set(expected)
        for name, value in expected.items():
            own[name].data.copy_(value)
        return model

    def check(self, cfg, golden, name, tolerances):
        values = read(name)
        model = self.model(cfg, golden, values)
        feats = model.extract_feat(
            values['images'].to(values['param/ctx'].dtype))
        assert_equal(model.head(feats), values['logits'])
        loss = model.head.loss(feats, samples(values['labels']))['loss']
        assert_equal(loss, values['loss'])
        loss.backward()
        expected = self.published(read('maple_fp64'), 'grad')
        for name, p in model.head.prompt.named_parameters():
            scale = max(1, expected[name].abs().max())
            error = (p.grad - expected[name]).abs().max() / scale
            assert error <= tolerances.get(name, 3e-4), (name, error)

    @pytest.mark.parametrize('name', ['maple', 'maple_fp64'])
    def test_logits_loss_and_gradients(self, cfg, golden, name):
        self.check(cfg, golden, name, dict(deep_ctx=5e-4))

    def test_with_the_published_rounding(self, cfg, golden, monkeypatch):
        """Nothing else differs; 1e-4 is a single rounding up or down."""
        round_gradients_as_published(monkeypatch)
        self.check(cfg, golden, 'maple_fp64', dict(
            dict.fromkeys(self.names, 2e-5), deep_ctx=1.5e-4))

    def test_trajectory(self, cfg, golden):
        values = read('maple_fp64')
        model = self.model(cfg, golden, values)
        losses = train(cfg, model, golden, 6, 4, 8, values['train/lrs'])
        assert (losses - values['train/losses']).abs().max() < 3e-4
        expected = self.published(values, 'train')
        for name, p in model.head.prompt.named_parameters():
            error = (p - expected[name]).abs().max()
            assert error <= 3e-4 * max(1, expected[name].abs().max()), name
