"""Features pass the data preprocessor; images go as mmpretrain's do."""
import pytest
import torch
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from mmcoop.models import DataPreprocessor

SETTINGS = dict(mean=[100] * 3, std=[50] * 3, to_rgb=True, num_classes=3)


def samples():
    return [DataSample().set_gt_label(label) for label in (2, 0)]


@pytest.mark.parametrize('as_list', [False, True])
@pytest.mark.parametrize('to_onehot', [False, True])
def test_features(as_list, to_onehot):
    features = torch.randn(2, 8)
    inputs = list(features) if as_list else features
    data = DataPreprocessor(**SETTINGS, to_onehot=to_onehot)(
        dict(inputs=inputs, data_samples=samples()), training=True)
    assert torch.equal(data['inputs'], features)
    assert [int(s.gt_label) for s in data['data_samples']] == [2, 0]
    if to_onehot:
        assert data['data_samples'][0].gt_score.tolist() == [0, 0, 1]


@pytest.mark.parametrize('as_list', [False, True])
def test_images(as_list):
    images = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    batch = dict(inputs=list(images) if as_list else images)
    ours = DataPreprocessor(**SETTINGS)(batch)
    theirs = ClsDataPreprocessor(**SETTINGS)(batch)
    assert torch.equal(ours['inputs'], theirs['inputs'])
