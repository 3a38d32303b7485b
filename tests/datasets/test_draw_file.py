"""The published code's pickled draws: read without its classes."""
import os
import pickle
import sys
import types

import pytest

from mmcoop.config import make_validation_draw
from mmcoop.datasets import FewShotDataset
from mmcoop.datasets.draw_file import read_draw_file

from ..conftest import make_photos

CLASSES = ['grass', 'red_fox', 'snow']


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a draw as the published code does, with Dassl's class."""
    module = types.ModuleType('dassl.data.datasets.base_dataset')

    class Datum:

        def __init__(self, impath, label, classname):
            self._impath, self._label = impath, label
            self._domain, self._classname = 0, classname

    Datum.__module__, Datum.__qualname__ = module.__name__, 'Datum'
    module.Datum = Datum

    def write(**splits):
        path = tmp_path / 'shot_2-seed_1.pkl'
        with monkeypatch.context() as patch, path.open('wb') as file:
            for name in ('dassl', 'dassl.data', 'dassl.data.datasets'):
                patch.setitem(sys.modules, name, types.ModuleType(name))
            patch.setitem(sys.modules, module.__name__, module)
            pickle.dump({
                split: [Datum(f'/theirs/{CLASSES[label]}/{name}', label,
                              CLASSES[label]) for label, name in images]
                for split, images in splits.items()
            }, file, protocol=pickle.HIGHEST_PROTOCOL)
        return str(path)

    return write


@pytest.fixture
def source(tmp_path):
    root = make_photos(tmp_path / 'photos', dict.fromkeys(CLASSES, 4))
    return dict(type='CustomDataset', data_root=str(root),
                pipeline=[dict(type='mmcoop.LoadImage'),
                          dict(type='PackInputs')])


def drawn(dataset):
    return [tuple(dataset.get_data_info(i)['img_path'].split('/')[-2:])
            for i in range(len(dataset))]


def test_the_same_images(write, source):
    """Whatever seed and shots say; the draw lay elsewhere."""
    path = write(train=[(2, '3.png'), (0, '1.png')], val=[(1, '0.png')])
    assert 'dassl' not in sys.modules
    image = read_draw_file(path)['train'][0]
    assert image == ('/theirs/snow/3.png', 2, 'snow')
    train = dict(type='mmcoop.FewShotDataset', dataset=source, shots=1,
                 draw_file=path)
    dataset = FewShotDataset(source, shots=1, draw_file=path)
    assert drawn(dataset) == [('snow', '3.png'), ('grass', '1.png')]
    assert list(dataset.get_gt_labels()) == [2, 0]
    val = make_validation_draw(train, source)
    assert val.pop('type') == 'mmcoop.FewShotDataset'
    assert drawn(FewShotDataset(**val)) == [('red_fox', '0.png')]


def test_what_does_not_fit(write, source, tmp_path):
    path = write(train=[(2, '3.png'), (0, '9.png')])
    with pytest.raises(ValueError, match='/theirs/grass/9.png is not in the '
                       'data set'):
        FewShotDataset(source, draw_file=path)
    with pytest.raises(ValueError, match='has no val images'):
        FewShotDataset(source, draw_file=path, val_of=source)
    path = write(train=[(2, '../grass/3.png')])
    with pytest.raises(ValueError, match='has the label 2 there and 0 here'):
        FewShotDataset(source, draw_file=path)
    with pytest.raises(FileNotFoundError, match='there is no draw'):
        FewShotDataset(source, draw_file=str(tmp_path / 'gone.pkl'))
    (tmp_path / 'cut.pkl').write_bytes(b'\x80\x05cut')
    with pytest.raises(ValueError, match='is no few-shot draw'):
        read_draw_file(str(tmp_path / 'cut.pkl'))


class Attack:

    def __init__(self, *call):
        self.call = call[0], call[1:]

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('attack', [
    lambda mark: Attack(os.system, f'touch {mark}'),
    lambda mark: Attack(exec, f'open({str(mark)!r}, "w")'),
    lambda mark: Attack(getattr, mark, 'touch'),
], ids=['system', 'exec', 'getattr'])
def test_code_is_not_run(tmp_path, attack):
    path, mark = tmp_path / 'x.pkl', tmp_path / 'attacked'
    path.write_bytes(pickle.dumps(dict(train=[attack(mark)])))
    with pytest.raises(ValueError, match='which has no place in a draw'):
        read_draw_file(str(path))
    assert not mark.exists()
