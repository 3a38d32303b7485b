"""ZERO against a count of votes by hand."""
from collections import Counter

import pytest
import torch

from mmcoop.tta import ZERO


class First(torch.nn.Module):

    def forward(self, feats):
        return feats[0]


class Classifier(torch.nn.Module):
    """Its logits are its features."""

    def __init__(self):
        super().__init__()
        self.head = First()

    def test_step(self, data):
        raise NotImplementedError


def make(**options):
    return ZERO(Classifier(), **options)


def brute_force(logits, kept):
    """The winner, and how many votes each class has."""
    p = logits.double().softmax(1)
    entropies = -(p * p.log()).sum(1)
    order = sorted(range(len(logits)), key=lambda i: entropies[i].item())
    classes = [logits[i].argmax().item() for i in order]
    votes = Counter(classes[:kept])
    tied = {k for k, n in votes.items() if n == max(votes.values())}
    for voter in classes[kept:] if len(tied) > 1 else ():
        if voter in tied:
            return voter, votes
    return max(tied, key=lambda k: logits[order[0], k].item()), votes


@pytest.mark.parametrize('classes', [2, 5, 30])
def test_equals_a_vote_by_hand(classes):
    zero, ties = make(views=20), 0
    for seed in range(60):
        logits = 2 * torch.randn(
            20, classes, generator=torch.Generator().manual_seed(seed))
        winner, votes = brute_force(logits, 6)  # int(0.3 * 20)
        scores = zero.adapt(logits, None).softmax(0)
        assert scores.argmax() == winner
        tie = sorted(votes.values())[-2:].count(max(votes.values())) == 2
        ties += tie
        expected = torch.zeros(classes)
        for k, n in votes.items():
            expected[k] = n + (tie and k == winner)
        torch.testing.assert_close(scores, expected / (6 + tie))
    assert ties  # some were broken


def test_a_tie_that_no_other_view_breaks():
    logits = torch.tensor([[0., 9, 8, 0], [0, 0, 5, 0], [3, 0, 0, 3.1]])
    # views 1 and 2 vote for classes 1 and 2; the third for class 3
    zero = make(views=3, keep=0.7)
    order = (-(logits.softmax(1) * logits.log_softmax(1)).sum(1)).argsort()
    expected = 1 if order[0] == 0 else 2
    assert zero.adapt(logits, None).argmax() == expected


def test_one_view_is_the_plain_prediction():
    logits = torch.randn(1, 7)
    assert make(views=1).adapt(logits, None).argmax() == logits.argmax()
