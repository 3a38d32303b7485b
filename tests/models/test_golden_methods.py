"""CoCoOp, KgCoOp and ProGrad as published, on their golden values."""
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmpretrain.registry import MODELS

from mmcoop import resolve

from ..conftest import GOLDEN, ROOT
from .test_golden import assert_equal, one_thread, samples  # noqa: F401

CONFIGS = ROOT / 'configs'


def read(name):
    arrays = np.load(GOLDEN / f'{name}.npz')
    return {key.replace('|', '/'): torch.from_numpy(arrays[key])
            for key in arrays}


def read_config(method, file, epochs, **options):
    """The published recipe's config with the golden CLIP."""
    path, = (CONFIGS / method).glob(f'{method}_vit-b16_16shot_imagenet.py')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({
        'model.clip': dict(_delete_=True, pretrained=file),
        'template': 'a photo of a {}.', 'max_epochs': epochs, **options})
    return resolve(cfg)


def build(cfg, golden):
    model = MODELS.build(cfg.model)
    model.set_classes(golden[1]['class_names'])
    return model.train()


def train(cfg, model, golden, epochs, batches, size, lrs):
    """The losses of a training on the golden images, in order."""
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    schedulers = [
        PARAM_SCHEDULERS.build(s, default_args=dict(optimizer=wrapper))
        for s in cfg.param_scheduler]
    images = torch.randn(
        32, 3, 64, 64, generator=torch.Generator().manual_seed(28))
    labels = torch.randint(
        len(golden[1]['class_names']), (32, ),
        generator=torch.Generator().manual_seed(29))
    dtype = next(model.head.prompt.parameters()).dtype
    losses = []
    for lr in lrs.tolist():
        assert math.isclose(wrapper.param_groups[0]['lr'], lr, rel_tol=1e-9)
        for batch in range(batches):
            rows = slice(size * batch, size * (batch + 1))
            loss, _ = model.parse_losses(model.loss(
                images[rows].to(dtype), samples(labels[rows])))
            wrapper.update_params(loss)
            losses.append(loss.item())
        for scheduler in schedulers:
            scheduler.step()
    assert len(lrs) == epochs
    return torch.tensor(losses)


class TestCoCoOp:

    @pytest.fixture
    def cfg(self, vit_file):
        return read_config('cocoop', vit_file, 6)

    @pytest.fixture
    def model(self, cfg, golden):
        values, model = read('cocoop'), build(cfg, golden)
        prompt = model.head.prompt
        assert torch.equal(prompt.ctx.data, values['ctx'])
        for layer in ('linear1', 'linear2'):
            for name in ('weight', 'bias'):
                getattr(getattr(prompt, layer), name).data.copy_(
                    values[f'meta_net/{layer}.{name}'])
        return model

    def test_logits_loss_and_gradients(self, model):
        values = read('cocoop')
        feats = model.extract_feat(values['images'])
        assert_equal(model.head(feats), values['logits'])
        loss = model.head.loss(feats, samples(values['labels']))['loss']
        assert_equal(loss, values['loss'])
        loss.backward()
        assert_equal(model.head.prompt.ctx.grad, values['ctx_grad'])
        for layer in ('linear1', 'linear2'):
            for name in ('weight', 'bias'):
                assert_equal(
                    getattr(getattr(model.head.prompt, layer), name).grad,
                    values[f'meta_net_grad/{layer}.{name}'])

    def test_trajectory(self, cfg, model, golden):
        values = read('cocoop')
        # the first three of six epochs
        losses = train(cfg, model, golden, 3, 8, 1, values['train/lrs'])
        assert_equal(losses, values['train/losses'])
        assert_equal(model.head.prompt.ctx.data, values['train/ctx'])
        for layer in ('linear1', 'linear2'):
            for name in ('weight', 'bias'):
                assert_equal(
                    getattr(getattr(model.head.prompt, layer), name).data,
                    values[f'train/meta_net/{layer}.{name}'])


class TestKgCoOp:

    @pytest.fixture
    def cfg(self, vit_file):
        return read_config('kgcoop', vit_file, 6)

    @pytest.fixture
    def model(self, cfg, golden):
        return build(cfg, golden)

    def test_losses_and_gradient(self, model):
        values, prompt = read('kgcoop'), model.head.prompt
        assert torch.equal(prompt.ctx.data, values['ctx'])
        assert_equal(model.head.hand_written_features(),
                     values['zero_shot_features'])
        prompt.ctx.data.copy_(values['ctx_moved'])
        feats = model.extract_feat(values['images'])
        assert_equal(model.head(feats), values['logits'])
        losses = model.head.loss(feats, samples(values['labels']))
        assert_equal(losses['loss_cls'], values['cross_entropy'])
        assert_equal(losses['loss_guidance'], 8 * values['score'])
        sum(losses.values()).backward()
        assert_equal(sum(losses.values()), values['loss'])
        assert_equal(prompt.ctx.grad, values['ctx_grad'])

    def test_trajectory(self, cfg, model, golden):
        values = read('kgcoop')
        losses = train(cfg, model, golden, 6, 4, 8, values['train/lrs'])
        assert_equal(losses, values['train/losses'])
        assert_equal(model.head.prompt.ctx.data, values['train/ctx'])


class TestProGrad:

    @pytest.fixture
    def cfg(self, vit_file):
        return read_config('prograd', vit_file, 6)

    @pytest.fixture
    def model(self, cfg, golden):
        return build(cfg, golden)

    @pytest.mark.parametrize('case', ['agreement', 'conflict'])
    def test_losses_and_gradients(self, cfg, model, case):
        values = {key[len(case) + 1:]: value
                  for key, value in read('prograd').items()
                  if key.startswith(case)}
        inputs = read('prograd')
        ctx = model.head.prompt.ctx
        ctx.data.copy_(values['ctx'])
        feats = model.extract_feat(inputs['images'])
        assert_equal(model.head(feats), values['logits'])
        losses = model.head.loss(feats, samples(inputs['labels']))
        assert_equal(losses['loss_cls'], values['cross_entropy'])
        assert_equal(losses['loss_kl'], values['kl'])
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        gradients, combine = {}, wrapper.combine

        def remember(parts):
            gradients.update(parts, used=combine(parts))
            return gradients['used']

        wrapper.combine = remember
        before = ctx.detach().clone()
        for group in wrapper.param_groups:
            group.update(lr=1., momentum=0., weight_decay=0.)
        wrapper.update_params(model.parse_losses(losses)[0])
        for ours, theirs in (('loss_cls', 'grad_cross_entropy'),
                             ('loss_kl', 'grad_kl'), ('used', 'grad_used')):
            assert_equal(gradients[ours].view_as(ctx), values[theirs])
        assert_equal(before - ctx, values['grad_used'])
        a, b = gradients['loss_cls'], gradients['loss_kl']
        cosine = torch.cosine_similarity(a, b, dim=0)
        assert_equal(cosine, values['cosine'])
        assert (cosine < 0) == (case == 'conflict')

    def test_trajectory(self, cfg, model, golden):
        values = read('prograd')
        model.head.prompt.ctx.data.copy_(values['train/ctx0'])
        parts = {'loss_cls': [], 'loss_kl': []}
        loss = model.head.loss

        def remember(*args, **kwargs):
            losses = loss(*args, **kwargs)
            for name, value in losses.items():
                parts[name].append(value.item())
            return losses

        model.head.loss = remember
        train(cfg, model, golden, 6, 4, 8, values['train/lrs'])
        assert_equal(torch.tensor(parts['loss_cls']),
                     values['train/cross_entropy'])
        assert_equal(torch.tensor(parts['loss_kl']), values['train/kl'])
        assert_equal(model.head.prompt.ctx.data, values['train/ctx'])
