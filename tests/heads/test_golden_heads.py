"""Heads on features equal the published implementations (METHODS.md)."""
import pytest
import torch

from mmcoop.heads import (GDAHead, LPPlusPlusHead, Selection, TaskResHead,
                          TipAdapterFHead, TipAdapterHead)
from mmcoop.heads.gda import fit_gaussians
from mmcoop.heads.lp_plus_plus import loss_and_gradients


def same(actual, expected, tolerance=1e-5):
    expected = torch.as_tensor(expected)
    scale = max(1., float(expected.abs().max()))
    torch.testing.assert_close(
        torch.as_tensor(actual, dtype=expected.dtype), expected, rtol=0,
        atol=tolerance * scale)


@pytest.fixture
def fitted(make_head, golden_heads, golden_images):
    """``fitted(cls, **kwargs)``: a head with selected values, and outcome."""

    def fit(cls, **kwargs):
        head = make_head(cls, golden_heads['text'], **kwargs)
        return head, Selection('val').fit(head, *golden_images)

    return fit


def test_zero_shot(make_head, golden_heads):
    head = make_head(TaskResHead, golden_heads['text'])
    same(head((golden_heads['test'], )), golden_heads['zero_shot/test_logits'])


def test_gda(fitted, golden_heads, golden_images):
    g = {key[4:]: value for key, value in golden_heads.items()
         if key.startswith('gda/')}
    head, outcome = fitted(GDAHead)
    same(head.weight, g['W'].mT)
    same(head.bias, g['b'])
    same(head.weight, g['means'] @ g['precision'])
    assert outcome['selected'] == dict(alpha=g['alpha'].item())
    same(head((golden_heads['test'], )), g['test_logits'])


def test_tip_adapter(make_head, fitted, golden_heads, golden_images):
    g = golden_heads
    head = make_head(TipAdapterHead, g['text'], alpha=2, beta=1)
    head.learn(golden_images[0])
    same(head((g['test'], )), g['tip_adapter/test_logits_beta1_alpha2'])
    head, outcome = fitted(TipAdapterHead)
    same(list(outcome['selected'].values()),
         g['tip_adapter/searched_beta_alpha'], 1e-12)
    same(head((g['test'], )), g['tip_adapter/test_logits'])


def test_tip_adapter_f(make_head, fitted, golden_heads, golden_images,
                       monkeypatch):
    g, prefix = golden_heads, 'tip_adapter_f/'
    head = make_head(TipAdapterFHead, g['text'], alpha=2, beta=1)
    # a full batch: in the order of the images, as published
    monkeypatch.setattr(torch, 'randperm', lambda n, **kw: torch.arange(n))
    last = head.learn(golden_images[0])['loss']
    same(head.keys, g[prefix + 'keys'])
    same(last, g[prefix + 'losses'][-1])
    same(head((g['test'], )), g[prefix + 'test_logits_beta1_alpha2'])
    head, outcome = fitted(TipAdapterFHead, alpha=2, beta=1)
    same(list(outcome['selected'].values()),
         g[prefix + 'searched_beta_alpha'], 1e-12)
    same(head((g['test'], )), g[prefix + 'test_logits'])


def test_lp_plus_plus(make_head, fitted, golden_heads, golden_images):
    g = {key[11:]: value for key, value in golden_heads.items()
         if key.startswith('lpplusplus/')}
    head = make_head(LPPlusPlusHead, golden_heads['text'], epochs=30)
    alphas = []
    losses = [loss for loss in head._descend(golden_images[0])
              if alphas.append(head.alpha.detach().clone()) is None]
    same(losses, g['losses'])
    same(torch.stack(alphas[:-1]), g['alphas'][1:])  # ours are after a step
    same(g['alphas'][0], g['init_alpha'].expand(10))
    same(head.weight, g['weight'])
    same(head.bias, g['bias'])
    same(head.alpha, g['alpha'][0])
    _, outcome = fitted(LPPlusPlusHead, epochs=30)
    assert outcome['selected'] == dict(epoch=g['best_epoch'].item() + 1)


def test_lp_plus_plus_alpha_with_its_own_gradient(make_head, golden_heads,
                                                  golden_images):
    """The published code adds up alpha's gradient; the option does not."""
    text, train = golden_heads['text'], golden_images[0]
    head = make_head(LPPlusPlusHead, text, epochs=10,
                     accumulate_alpha_gradient=False)
    states = [[part.clone() for part in (head.weight, head.bias, head.alpha)]
              for _ in head._descend(train)]
    _, gradients = loss_and_gradients(
        train.features, text, train.labels, *states[8])
    lr = golden_heads['lpplusplus/lr_alpha']
    same(states[9][2].detach(), (states[8][2] - lr * gradients[2]).detach())
    assert not torch.allclose(states[9][2],
                              golden_heads['lpplusplus/alphas'][10], 1e-3)


def test_lp_plus_plus_gradients_are_autograds(golden_heads):
    f, labels = golden_heads['train'].double(), golden_heads['train_labels']
    text = golden_heads['text'].double()
    cosines = f @ text.mT
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(*shape, generator=generator, dtype=torch.float64)
             .requires_grad_() for shape in ((10, 64), (10, ), (10, ))]
    loss, gradients = loss_and_gradients(
        f, text, labels, *(part.detach() for part in parts))
    weight, bias, alpha = parts
    expected = torch.nn.functional.cross_entropy(
        f @ weight.mT + bias + alpha * cosines, labels)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for part, gradient in zip(parts, gradients):
        torch.testing.assert_close(gradient, part.grad)


def test_task_res(make_head, golden_heads):
    head = make_head(TaskResHead, golden_heads['text'])
    residual = golden_heads['taskres/residual'].requires_grad_()
    logits = head.compute(golden_heads['train'], golden_heads['text'],
                          residual)
    same(logits.detach(), golden_heads['taskres/train_logits'])
    loss = torch.nn.functional.cross_entropy(logits,
                                             golden_heads['train_labels'])
    loss.backward()
    same(loss.detach(), golden_heads['taskres/loss'])
    same(residual.grad, golden_heads['taskres/grad'])


def test_gaussians_of_single_images_say_nothing():
    """One view of one image a class: the scatter is zero."""
    features = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    weight, bias = fit_gaussians(features, torch.arange(4), 4)
    assert not weight.any()
    assert torch.equal(bias, torch.full((4, ), .25).double().log())
