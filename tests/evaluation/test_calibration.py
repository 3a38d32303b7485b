"""The calibration error against plain computations."""
import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample

from mmcoop.evaluation import CalibrationError
from mmcoop.evaluation.calibration import expected_calibration_error
from mmcoop.registry import METRICS

from ..conftest import ROOT


def plain(confidence, right, bins=15):
    """As the paper writes it, a bin at a time."""
    total = 0.
    for m in range(1, bins + 1):
        inside = [i for i, c in enumerate(confidence)
                  if (m - 1) / bins < c <= m / bins]
        if inside:
            accuracy = sum(right[i] for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


def ece(confidence, right, **kwargs):
    return expected_calibration_error(
        torch.tensor(confidence, dtype=torch.float64), torch.tensor(right),
        **kwargs)


def samples(scores, labels):
    return [dict(DataSample().set_pred_score(score).set_gt_label(label)
                 .to_dict()) for score, label in zip(scores, labels)]


@pytest.mark.parametrize('bins', [1, 7, 15])
def test_as_the_paper_writes_it(bins):
    torch.manual_seed(0)
    confidence = torch.rand(500, dtype=torch.float64).tolist()
    right = (torch.rand(500) < 0.6).int().tolist()
    assert ece(confidence, right, bins=bins) == pytest.approx(
        plain(confidence, right, bins), abs=1e-12)


def test_worked_out_by_hand():
    # bins (0.6, 0.667] and (0.8, 0.867]: |0.5 - 0.65| / 2 + |1 - 0.85| / 2
    assert ece([.64, .66, .84, .86], [0, 1, 1, 1]) == pytest.approx(.15)


@pytest.mark.parametrize('confidence,right,expected', [
    ([.75] * 4, [1, 1, 1, 0], 0),  # 3 of 4 are right
    ([1., 1.], [1, 1], 0), ([1., 1.], [0, 0], 1),
    # two classes: the smallest confidence there is
    ([.5, .5], [1, 0], 0), ([.5, .5], [1, 1], .5),
    # an edge belongs to the lower bin: .2 = 3/15 is not with .21
    ([.2, .21], [0, 1], (.2 + .79) / 2),
    ([1 + 1e-7], [1], 1e-7),  # a softmax in fp32 may round so
])
def test_edges(confidence, right, expected):
    assert ece(confidence, right) == pytest.approx(expected, abs=1e-9)


def test_two_ranks_are_one():
    """What ranks keep is for each image, so that any division is the same."""
    torch.manual_seed(1)
    scores, labels = torch.randn(41, 5).mul(2).softmax(1), torch.arange(41) % 5
    whole, first, second = (METRICS.build(dict(
        type='mmcoop.CalibrationError')) for _ in range(3))
    whole.process(None, samples(scores, labels))
    # as mmengine's sampler divides 41 images, and pads the shorter rank
    first.process(None, samples(scores[::2], labels[::2]))
    second.process(None, samples(scores[1::2], labels[1::2]))
    second.process(None, samples(scores[:1], labels[:1]))
    together = [result for pair in zip(first.results, second.results)
                for result in pair][:41]
    assert together == whole.results
    found = whole.evaluate(41)
    assert list(found) == ['calibration/ece']
    assert first.compute_metrics(together)['ece'] == found['calibration/ece']
    assert found['calibration/ece'] == pytest.approx(100 * plain(
        scores.max(1).values.tolist(),
        (scores.argmax(1) == labels).tolist()), abs=1e-9)


def test_mistakes():
    with pytest.raises(ValueError, match='bins=0: at least 1'):
        CalibrationError(bins=0)
    with pytest.raises(ValueError, match='predicts labels alone'):
        CalibrationError().process(None, [dict(gt_label=torch.tensor([0]))])


def test_configs_have_it_after_the_accuracy():
    """``save_best='auto'`` takes the first metric."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/few_shot.py')
    assert [part.type for part in cfg.test_evaluator] == [
        'Accuracy', 'mmcoop.CalibrationError']
    assert cfg.val_evaluator == cfg.test_evaluator
