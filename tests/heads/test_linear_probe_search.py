"""How the linear probe searches C, and that its fit is scikit-learn's."""
import math

import numpy as np
import pytest

from mmcoop.heads import LinearProbeHead, Selection

pytest.importorskip('sklearn')
from sklearn.linear_model import LogisticRegression  # noqa: E402

from mmcoop.heads import linear_probe  # noqa: E402

GRID = [6, 4, 2, 0, -2, -4, -6]


@pytest.fixture
def search_on():
    """A search where the accuracy is a known function of log10 C."""

    def run(accuracy):
        head, tried, scores = LinearProbeHead(in_channels=1), [], []
        head.converged = True

        def score(candidates):
            (values, ) = candidates
            tried.append(round(math.log10(values['C']), 9))
            scores.append(accuracy(tried[-1]))
            return scores[-1:]

        best = round(math.log10(head.search(score)['C']), 9)
        assert len(set(tried)) == len(tried)  # nothing twice
        return best, tried, scores[tried.index(best)]

    return run


def test_a_peak_between_grid_points(search_on):
    best, tried, percent = search_on(lambda c: 50 - abs(c - 2.7))
    assert tried == GRID + [1, 3, 2.5, 2.75, 2.625, 2.6875, 2.71875, 2.703125]
    assert best == pytest.approx(2.703125)
    assert percent == pytest.approx(50 - .003125)


def test_ties(search_on):
    """The grid's largest C, then always the left: the smaller C."""
    best, tried, _ = search_on(lambda c: 50)
    assert tried == GRID + [5, 7] + [5 + 2**-i for i in range(1, 7)]
    assert best == pytest.approx(5)


def test_a_lone_peak_on_the_grid_is_found_again(search_on):
    best, tried, percent = search_on(lambda c: 90 if c == -4 else 10)
    assert (best, percent) == (pytest.approx(-4), 90)
    assert tried[7:9] == [-5, -3] and len(tried) == 15


@pytest.mark.parametrize('end', [6, -6])
def test_the_search_goes_beyond_the_ends_of_the_grid(search_on, end):
    best, _, _ = search_on(lambda c: c * end)
    assert best == pytest.approx(end * 7 / 6)


def select(clouds):
    """A head whose C was selected among five classes, and the outcome."""
    head = LinearProbeHead(in_channels=16)
    head.set_classes(list('abcde'))
    return head, Selection('val').fit(head, clouds(16), clouds(4, seed=5))


def test_the_chosen_fit_is_scikit_learns(clouds, recwarn):
    head, found = select(clouds)
    C = found['selected']['C']
    direct = LogisticRegression(C=C, max_iter=1000).fit(
        *clouds(16).to_numpy())
    np.testing.assert_array_equal(head.weight.detach(), direct.coef_)
    np.testing.assert_array_equal(head.bias.detach(), direct.intercept_)
    assert found['val_accuracy'] == pytest.approx(
        100 * direct.score(*clouds(4, seed=5).to_numpy()))
    best = max(row['val_accuracy'] for row in found['search'])
    assert found['val_accuracy'] == best > 20
    assert not recwarn.list


def test_what_has_not_converged_is_said_once(clouds, monkeypatch, logged,
                                             recwarn):
    monkeypatch.setattr(linear_probe, 'MAX_ITER', 2)
    fits = len(select(clouds)[1]['search'])
    lines = [line for line in logged if 'converged' in line]
    assert len(lines) == 1 and not recwarn.list
    short = int(lines[0].split(' of ')[0].split()[-1])
    assert short > 5 and f'{short} of {fits} ' in lines[0]
