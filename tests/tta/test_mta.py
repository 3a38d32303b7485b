"""MTA: its limits, and the objective of its scores."""
import pytest
import torch
import torch.nn.functional as F

from mmcoop.clip import load_clip
from mmcoop.tta import MTA

from .test_tpt import build

WRITTEN = dict(type='mmcoop.TemplatePrompt')


@pytest.fixture
def mta(small_clip):
    return MTA(build(load_clip(**small_clip), prompt=WRITTEN), views=16)


@pytest.fixture
def feats():
    torch.manual_seed(1)
    return torch.randn(1, 32) + 0.5 * torch.randn(16, 32)


def published(features, probabilities, lambda_y=0.2, lambda_q=4.):
    """The steps of the paper's algorithm in fp64, image by image."""
    f, p = features.double(), probabilities.double()
    n = len(f)
    distances = (f[:, None] - f).norm(dim=2)
    nearest = distances.sort(1).values[:, 1:int(0.3 * (n - 1)) + 1]
    width = (nearest.square().mean(1) / 2).sqrt()

    def density(m):
        return torch.exp(-(f - m).norm(dim=1)**2 / (2 * width**2))

    y, m = torch.full((n, ), 1 / n, dtype=f.dtype), f[0]
    for _ in range(5):
        k = density(m)
        for _ in range(5):
            old, y = y, ((k + lambda_q * (p @ p.T) @ y) / lambda_y).softmax(0)
            if (old - y).norm() < 1e-6:
                break
        for _ in range(5):
            w = density(m) * y
            old, m = m, (w[:, None] * f).sum(0) / w.sum()
            m = m / m.norm()
            if (old - m).norm() < 1e-6:
                break
    return m


def test_equals_the_algorithm_in_fp64(mta, feats):
    features = F.normalize(feats, dim=1)
    probabilities = mta.logits(feats).softmax(1)
    mode = mta.find_mode(features, probabilities)
    torch.testing.assert_close(
        mode.double(), published(features, probabilities), atol=1e-5, rtol=0)
    assert (mode - features[0]).norm() > 0.01  # it moved


def test_equal_views_give_the_plain_prediction(mta, feats):
    plain = mta.logits(feats[:1])[0]
    same = feats[:1].expand(16, -1)
    torch.testing.assert_close(mta.adapt(same, plain), plain)
    noisy = same * (1 + 1e-7 * torch.randn(16, 1))  # rounding
    torch.testing.assert_close(mta.adapt(noisy, plain), plain, atol=1e-4,
                               rtol=0)


def test_scores_increase_their_objective(mta, feats):
    features = F.normalize(feats, dim=1)
    probabilities = mta.logits(feats).softmax(1)
    affinity = probabilities @ probabilities.T
    width = mta.squared_bandwidth(features)
    density = (-(features - features[0]).square().sum(1) / (2 * width)).exp()

    def objective(y):
        return (y @ density + mta.lambda_q / 2 * y @ affinity @ y
                - mta.lambda_y * (y * y.clamp(min=1e-30).log()).sum())

    y = torch.full((16, ), 1 / 16)
    for _ in range(5):
        after = mta.update_scores(y, density, affinity)
        torch.testing.assert_close(after.sum(), torch.tensor(1.))
        assert objective(after) >= objective(y) - 1e-6
        y = after


def test_an_outlier_does_not_matter(mta, feats):
    """A far view of another class gets no weight."""
    plain = mta.adapt(feats, None)
    with_outlier = torch.cat([feats[:-1], -feats[:1]])
    without = torch.cat([feats[:-1], feats[:1]])
    torch.testing.assert_close(mta.adapt(with_outlier, None).argmax(),
                               mta.adapt(without, None).argmax())
    assert plain.shape == (4, )


def test_one_view_is_refused(small_clip):
    with pytest.raises(ValueError, match='views=1: MTA seeks'):
        MTA(dict(type='mmcoop.CoOp'), views=1)
    with pytest.raises(ValueError, match='nearest=0'):
        MTA(dict(type='mmcoop.CoOp'), nearest=0)
