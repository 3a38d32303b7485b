"""Gradient steps of fitted heads."""
import pytest
import torch

from mmcoop.heads.steps import minimize


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_loss_that_is_no_number_stops(bad):
    weight = torch.zeros(3, requires_grad=True)
    factors = torch.tensor([1., 1., bad, 1., 1.])
    with pytest.raises(FloatingPointError, match=r'the loss is (nan|-inf) in '
                       r'step 3 of 5, learning rate 0\.5'):
        minimize([weight], dict(type='SGD', lr=.5), [(f, ) for f in factors],
                 lambda factor: (weight.sum() + 1) * factor, total=5)
    assert weight.isfinite().all()  # it was not stepped on
