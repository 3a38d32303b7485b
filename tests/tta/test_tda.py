"""TDA: the caches against lists kept by hand."""
import math
from collections import defaultdict

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from mmcoop.clip import load_clip
from mmcoop.tta import TDA

from .test_mta import WRITTEN
from .test_tpt import build


@pytest.fixture
def model(small_clip):
    return build(load_clip(**small_clip), prompt=WRITTEN)


@pytest.fixture
def stream():
    """Features (60, 1, 32) of a stream of single views."""
    torch.manual_seed(1)
    return torch.randn(4, 32)[torch.randint(4, (60, ))][:, None] \
        + torch.randn(60, 1, 32)


def predict(tda, stream):
    with torch.no_grad():
        return torch.stack([tda.adapt(feats, tda.logits(feats)[0])
                            for feats in stream])


def by_hand(tda, stream, low=0.2, high=0.5):
    """The rules of the paper with Python lists."""
    caches = [defaultdict(list), defaultdict(list)]
    results, sizes = [], (3, 2)
    for feats in stream:
        logits = tda.logits(feats)[0].double()
        f = F.normalize(feats[0].double(), dim=0)
        p = logits.softmax(0)
        entropy = -(p * p.log()).sum().item()
        label = int(logits.argmax())
        for cache, size, enters in zip(caches, sizes, (
                True, low < entropy / math.log2(len(p)) < high)):
            if not enters:
                continue
            if len(cache[label]) < size:
                cache[label].append((entropy, f, p))
            elif entropy < cache[label][-1][0]:
                cache[label][-1] = (entropy, f, p)
            cache[label].sort(key=lambda item: item[0])
        total = logits.clone()
        for label, items in caches[0].items():
            for _, key, _ in items:
                total[label] += 2 * math.exp(-5 * (1 - float(f @ key)))
        for items in caches[1].values():
            for _, key, p in items:
                weight = 0.117 * math.exp(-(1 - float(f @ key)))
                total -= weight * ((p > 0.03) & (p < 1.0))
        results.append(total)
    return torch.stack(results), caches


def test_equals_lists_by_hand(model, stream):
    tda = TDA(model)
    expected, (positive, negative) = by_hand(tda, stream)
    torch.testing.assert_close(predict(tda, stream).double(), expected,
                               atol=1e-4, rtol=0)
    for cache, lists in ((tda.positive, positive), (tda.negative, negative)):
        assert sum(map(len, lists.values())) == cache.entropy.isfinite().sum()
        for label, items in lists.items():
            kept = cache.entropy[label].sort().values[:len(items)]
            torch.testing.assert_close(
                kept.double(), torch.tensor([e for e, _, _ in items]).double(),
                atol=1e-5, rtol=0)
    assert any(map(len, negative.values()))
    assert any(len(items) == 3 for items in positive.values())


def test_without_caches_the_logits_are_the_plain_ones(model, stream):
    tda = TDA(model, positive_shots=0, negative_shots=0)
    with torch.no_grad():
        torch.testing.assert_close(
            predict(tda, stream), tda.logits(stream[:, 0]), atol=1e-5, rtol=0)


def test_the_order_matters_and_a_reset_forgets(model, stream):
    tda = TDA(model)
    first = predict(tda, stream)
    assert not torch.equal(predict(tda, stream), first)  # full caches
    tda.reset()
    assert torch.equal(predict(tda, stream), first)
    tda.reset()
    assert not torch.equal(predict(tda, stream.flip(0)).flip(0), first)


def test_batches_do_not_matter(model):
    images = torch.randint(255, (6, 3, 32, 32))

    def scores(batches):
        tda = TDA(model)
        with torch.no_grad():
            return torch.stack([sample.pred_score for batch in batches
                                for sample in tda.test_step(dict(
                                    inputs=batch, data_samples=[
                                        DataSample() for _ in batch]))])

    torch.testing.assert_close(scores([images]), scores(images.split(1)),
                               atol=1e-5, rtol=0)
    with torch.no_grad():  # cached features, as FeatureCacheHook gives them
        feats = model.extract_feat(
            model.data_preprocessor(dict(inputs=images))['inputs'])[-1]
    torch.testing.assert_close(scores([feats]), scores([images]), atol=1e-5,
                               rtol=0)


def test_one_class(small_clip):
    tda = TDA(build(load_clip(**small_clip), ['cat'], prompt=WRITTEN))
    assert predict(tda, torch.randn(3, 1, 32)).isfinite().all()


def test_what_is_refused(monkeypatch):
    model = dict(type='mmcoop.CoOp', head=dict(
        type='mmcoop.PromptLearnerHead', prompt=WRITTEN))
    with pytest.raises(ValueError, match='positive_shots=-1'):
        TDA(model, positive_shots=-1)
    monkeypatch.setattr('mmcoop.tta.base.get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='2 processes.*without --launcher'):
        TDA(model)
