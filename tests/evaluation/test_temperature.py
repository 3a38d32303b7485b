"""The temperature with the lowest negative log likelihood."""
import pytest
import torch
import torch.nn.functional as F

from mmcoop.evaluation.calibration import expected_calibration_error
from mmcoop.evaluation.temperature import fit_temperature


def draw(n=20_000, classes=6, seed=0):
    """Logits whose softmax is the truth, and labels drawn by it."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=generator).double()
    return logits, torch.multinomial(logits.softmax(1), 1,
                                     generator=generator).squeeze(1)


@pytest.mark.parametrize('scale', [.05, .4, 1, 3, 80])
def test_it_finds_the_scale(scale):
    logits, labels = draw()
    assert fit_temperature(scale * logits, labels) == pytest.approx(
        scale, rel=.03)


def test_nothing_near_is_better():
    logits, labels = draw(60, seed=1)
    logits = 30 * logits.float()
    best = fit_temperature(logits, labels)

    def loss(temperature):
        return F.cross_entropy(logits.double() / temperature, labels)

    for factor in (.5, .9, .999, 1.001, 1.1, 2):
        assert loss(best) < loss(factor * best)


def test_it_mends_the_calibration():
    logits, labels = draw()
    temperature = fit_temperature(5 * logits[::2], labels[::2])
    errors = []
    for divisor in (1, temperature):
        confidence, predicted = (
            5 * logits[1::2] / divisor).softmax(1).max(1)
        errors.append(expected_calibration_error(
            confidence, predicted == labels[1::2]))
    assert errors[0] > .15 and errors[1] < .02


def test_where_none_is_best():
    """All right: the lower the better; all wrong: the higher the better."""
    logits = torch.eye(3)
    assert fit_temperature(logits, torch.arange(3)) is None
    assert fit_temperature(logits, torch.tensor([1, 2, 0])) is None
    assert fit_temperature(torch.zeros(3, 3), torch.arange(3)) is None
    assert fit_temperature(torch.zeros(0, 3), torch.arange(0)) is None


def test_logits_of_any_size():
    """A shift of an image's logits changes nothing; nor do 1000 classes."""
    logits, labels = draw(500, classes=1000)
    shift = 1e4 * torch.randn(500, 1).double()
    assert fit_temperature(logits + shift, labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-6)
