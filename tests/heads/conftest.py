"""Fitted heads on given class features, without a CLIP."""
import math

import numpy as np
import pytest
import torch
import torch.nn as nn

from mmcoop.features.labelled import LabelledFeatures
from mmcoop.heads import FeatureHead
from mmcoop.prompts import BasePrompt

from ..conftest import GOLDEN


class GivenTower(nn.Module):
    """What a head reads of a text tower."""
    name, context_length = 'given', 77

    def __init__(self, channels):
        super().__init__()
        self.out_channels = channels
        self.logit_scale = nn.Parameter(torch.tensor(math.log(100.)),
                                        requires_grad=False)

    def fingerprint(self):
        return '0' * 8


class GivenPrompt(BasePrompt):
    """Its class names are the rows of the class features."""
    learned = False

    def set_classes(self, names, tower):
        self.class_names = list(names)


@pytest.fixture
def make_head(monkeypatch):
    """``make_head(cls, text, **kwargs)``: a head on class features (K, E)."""

    def make(cls, text, **kwargs):
        def rows(head):
            return text[[int(name) for name in head.class_names]]

        monkeypatch.setattr(FeatureHead, 'class_features',
                            lambda head: nn.functional.normalize(
                                rows(head), dim=-1))
        monkeypatch.setattr(FeatureHead, 'raw_class_features',
                            lambda head: rows(head)[None])
        head = cls(GivenPrompt(), text_tower=GivenTower(text.shape[1]),
                   **kwargs)
        head.set_classes([str(k) for k in range(len(text))])
        return head.eval()

    return make


@pytest.fixture(scope='session')
def golden_heads():
    """The golden arrays of heads.npz, with / in their keys."""
    arrays = np.load(GOLDEN / 'heads.npz')
    return {key.replace('|', '/'): torch.from_numpy(np.array(arrays[key]))
            for key in arrays}


@pytest.fixture
def golden_images(golden_heads):
    """Training and validation images, as heads get them."""
    return [LabelledFeatures(golden_heads[part][None],
                             golden_heads[f'{part}_labels'])
            for part in ('train', 'val')]


@pytest.fixture
def clouds():
    """``clouds(n, views=1)``: n images of each of 5 classes, (views, 5n, 16),
    and class features near their means."""
    means = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))

    def draw(n, views=1, seed=2):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(5).repeat_interleave(n)
        noise = torch.randn(views, 5 * n, 16, generator=generator)
        return LabelledFeatures(means[labels] + noise, labels)

    draw.text = means + 2 * torch.randn(
        5, 16, generator=torch.Generator().manual_seed(3))
    return draw
