"""Generalised cross-entropy: its limits, its gradients, its place."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from mmcoop.losses import GeneralizedCrossEntropy
from mmcoop.registry import MODELS


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = torch.randn(6, 4, dtype=torch.float64) * 3
    return logits, torch.tensor([0, 1, 2, 3, 0, 1])


def test_between_cross_entropy_and_absolute_error(batch):
    logits, labels = batch
    p = logits.softmax(1)[range(6), labels]
    for q, expected in ((1e-9, F.cross_entropy(logits, labels)),
                        (0.7, ((1 - p**0.7) / 0.7).mean()),
                        (1., (1 - p).mean())):
        found = GeneralizedCrossEntropy(q)(logits, labels)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=0)
    absolute = (logits.softmax(1) - F.one_hot(labels, 4)).abs().sum(1).mean()
    torch.testing.assert_close(found, absolute / 2)


@pytest.mark.parametrize('q', [0.01, 0.7, 1.])
def test_gradients(batch, q):
    logits, labels = batch
    shares = torch.rand(6, 4, dtype=torch.float64).softmax(1)
    loss = GeneralizedCrossEntropy(q)
    for target in (labels, shares):
        assert torch.autograd.gradcheck(
            lambda x: loss(x, target), logits.clone().requires_grad_())


def test_a_label_that_is_all_but_impossible():
    """p = e^-200 is no fp32 number: neither nan nor a gradient."""
    logits = torch.tensor([[0., 200.], [200., 0.]], requires_grad=True)
    loss = GeneralizedCrossEntropy(0.7, reduction='none')(
        logits, torch.tensor([0, 0]))
    torch.testing.assert_close(loss, torch.tensor([1 / 0.7, 0.]))
    loss.sum().backward()
    assert (logits.grad == 0).all()


def test_soft_labels_and_reductions(batch):
    logits, labels = batch
    one_hot = F.one_hot(labels, 4).double()
    loss = GeneralizedCrossEntropy(loss_weight=2.)
    each = loss(logits, labels, reduction_override='none')
    assert each.shape == (6, )
    for target in (labels, one_hot):
        torch.testing.assert_close(loss(logits, target), each.mean())
        torch.testing.assert_close(loss(logits, target, avg_factor=3),
                                   each.sum() / 3)
    mixed = (one_hot + one_hot.roll(1, 0)) / 2
    torch.testing.assert_close(
        loss(logits, mixed),
        (loss(logits, labels) + loss(logits, labels.roll(1))) / 2)
    weight = torch.tensor([1., 0, 0, 0, 0, 0])
    torch.testing.assert_close(loss(logits, labels, weight), each[0] / 6)


def test_in_a_head_of_mmpretrain(batch):
    """Labels, and the scores of mixup, come through ``ClsHead``."""
    logits, labels = batch
    head = MODELS.build(dict(type='mmpretrain.ClsHead', loss=dict(
        type='mmcoop.GeneralizedCrossEntropy', q=0.5)))
    hard = [DataSample().set_gt_label(label) for label in labels]
    soft = [DataSample().set_gt_score(score)
            for score in F.one_hot(labels, 4).double()]
    expected = GeneralizedCrossEntropy(0.5)(logits, labels)
    for data_samples in (hard, soft):
        found = head.loss((logits, ), data_samples)['loss']
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('q', [0, -1, 1.1])
def test_mistakes(q):
    with pytest.raises(ValueError, match=f'q={q}: above 0 and at most 1'):
        GeneralizedCrossEntropy(q)
