"""The image tower without its last projection."""
import pytest
import torch

from mmcoop.clip import ImageTower, load_clip, split_projection
from mmcoop.features.keys import hash_tower


@pytest.mark.parametrize('kind', ['vit_file', 'rn_file', 'timm'])
def test_split(kind, request):
    """Input times projection is the feature; the tower is left as it is."""
    if kind == 'timm':
        from open_clip.timm_model import TimmModel
        torch.manual_seed(0)
        tower = ImageTower(TimmModel('mobilenetv2_050', 16, 32, pool='avg',
                                     proj='linear', pretrained=False).eval())
    else:
        tower = load_clip(pretrained=request.getfixturevalue(kind)).image_tower
    size = tower.image_size
    images = torch.randn(3, 3, size, size,
                         generator=torch.Generator().manual_seed(0))
    before, key = tower(images)[0], hash_tower(tower)
    rest, (weight, bias) = split_projection(tower)
    features = rest(images)[0]
    assert features.shape == (3, weight.shape[1])
    torch.testing.assert_close(
        torch.nn.functional.linear(features, weight, bias), before,
        rtol=1e-5, atol=1e-5)
    assert torch.equal(tower(images)[0], before)
    assert hash_tower(tower) == key != hash_tower(rest)
    shared = {p.data_ptr() for p in tower.parameters()}
    own = [p for p in rest.parameters() if p.data_ptr() not in shared]
    assert len(own) == (2 if kind == 'rn_file' else 0)  # an identity
    if kind != 'rn_file':
        with pytest.raises(ValueError, match='linear projection'):
            split_projection(rest)
