"""A linear probe on other data sets."""
import json

import numpy as np
import pytest

pytest.importorskip('sklearn')
from sklearn.linear_model import LogisticRegression  # noqa: E402

from mmcoop.datasets.coop_dataset import find, list_class_folders  # noqa: E402
from mmcoop.protocol.linear_probe import probe  # noqa: E402
from mmcoop.protocol.probe_transfer import rows_for  # noqa: E402
from mmcoop.protocol.probe_transfer import save_probe, transfer  # noqa: E402

from ..conftest import custom_config, make_photos  # noqa: E402


@pytest.mark.parametrize('classes', [3, 2])
def test_the_probe_itself_comes_back(tmp_path, small_clip, classes):
    names = ['fox', 'snow', 'grass'][:classes]
    photos = make_photos(tmp_path / 'photos', {name: 9 for name in names})
    before = probe(custom_config(tmp_path, photos, small_clip))
    after = transfer(custom_config(
        tmp_path, photos, small_clip, work_dir=str(tmp_path / 'after')),
        str(tmp_path / 'work'))
    assert after['metrics'] == pytest.approx(before['metrics'])
    assert after['trained_on']['shots'] == 3
    written = json.loads((tmp_path / 'after/result_test.json').read_text())
    assert written == after and after['num_images_evaluated'] == 3 * classes


def test_two_classes_are_two_rows(tmp_path):
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(40, 6)), np.repeat([0, 1], 20)
    features[labels == 1, 0] += 1
    classifier = LogisticRegression().fit(features, labels)
    save_probe(str(tmp_path), classifier, {})
    from safetensors.numpy import load_file
    saved = load_file(tmp_path / 'probe.safetensors')
    logits = features @ saved['weight'].T + saved['bias']
    assert (logits.argmax(1) == classifier.predict(features)).all()


def test_what_does_not_fit(tmp_path, small_clip, photos):
    def config(**options):
        return custom_config(tmp_path, photos, small_clip,
                             work_dir=str(tmp_path / 'after'), **options)

    with pytest.raises(FileNotFoundError, match='probe.safetensors'):
        transfer(config(), str(tmp_path))
    probe(custom_config(tmp_path, photos, small_clip))
    others = make_photos(tmp_path / 'others', {'car': 4, 'bus': 4})
    with pytest.raises(ValueError, match='knows no classes'):
        transfer(config(data_root=str(others)), str(tmp_path / 'work'))


@pytest.mark.parametrize('name', ['imagenet_a', 'imagenet_r', 'imagenetv2'])
def test_classes_of_imagenet(name):
    """Row i is the class whose folder is the variant's i-th."""
    source = list_class_folders(find('imagenet'), 'test')
    target = list_class_folders(find(name), 'test')
    about = dict(dataset='imagenet', classes=[c for _, c in source])
    rows = rows_for(about, name, [c for _, c in target])
    assert len(rows) == len(target) == find(name).classes
    for row, (folder, class_name) in zip(rows, target):
        assert source[row][1] == class_name
        if name != 'imagenetv2':
            assert source[row][0] == f'val/{folder}'
    with pytest.raises(ValueError, match='knows no classes of dtd'):
        rows_for(about, 'dtd', ['dots'])
