"""One's own photos: lists, names of classes, files of every kind."""

import os
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmcoop import resolve
from mmcoop.datasets import FewShotDataset, FolderDataset
from mmcoop.datasets.photo_lists import read_list, read_names

from ..conftest import ROOT


def paths_of(dataset):
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def write(path, *lines):
    path.write_text('\n'.join(lines), encoding='utf-8')
    return str(path)


def rows_of(photos):
    return [(f'{path.parent.name}/{path.name}', path.parent.name)
            for path in sorted(photos.rglob('*.png'))]


class TestList:

    @pytest.mark.parametrize('separator', [',', ';', '\t'])
    @pytest.mark.parametrize('header', [(), ('Filename', 'Class')])
    def test_equals_the_folder(self, photos, separator, header):
        """The same images are held out, whatever the order of lines."""
        rows = rows_of(photos)[::-1]
        lines = [separator.join(row) for row in ([header] if header else [])
                 + rows]
        path = write(photos / 'labels.csv', *lines)
        for split in ('train', 'test'):
            folder = FolderDataset(str(photos), split)
            for listed in (FolderDataset(path, split), FolderDataset(
                    str(photos), split, ann_file='labels.csv')):
                assert listed.CLASSES == folder.CLASSES
                assert paths_of(listed) == paths_of(folder)
                assert listed.get_gt_labels().tolist() == \
                    folder.get_gt_labels().tolist()

    def test_own_split(self, photos):
        rows = [(name, label, ('Train', 'test', 'val')[i % 3])
                for i, (name, label) in enumerate(rows_of(photos))]
        path = write(photos / 'x.csv', 'id,image,label,split', *(
            f'{i},{",".join(row)}' for i, row in enumerate(rows)))
        train, test = (FolderDataset(path, split)
                       for split in ('train', 'test'))
        assert [len(train), len(test)] == [
            sum(row[2] == split for row in rows)
            for split in ('Train', 'test')]
        assert not set(paths_of(train)) & set(paths_of(test))

    def test_excel_and_absolute_paths(self, photos, tmp_path):
        path = tmp_path / 'elsewhere' / 'x.csv'
        path.parent.mkdir()
        lines = '\n'.join(f'"{photos / name}","{label}, big"'
                          for name, label in rows_of(photos))
        path.write_text('\ufeffpath,label\n' + lines, encoding='utf-8')
        data = FolderDataset(str(path))
        assert data.CLASSES == ('grass, big', 'red_fox, big', 'snow, big')
        assert all(name.startswith(str(photos)) for name in paths_of(data))

    @pytest.mark.parametrize('lines,message', [
        (['path,label', 'snow/0.png,'], 'line 2: "path,label" is needed'),
        (['snow/0.png,a', 'snow/0.png,b'], 'line 2: .* listed already in '
         'line 1'),
        (['snow/0.png,a,train', './snow//0.png,b,test'], 'line 2: .* listed '
         'already in line 1'),
        (['snow/0.png,a,train', 'snow/1.png,b,later'], "line 2: the split "
         "is 'later'"),
        ([''], 'is empty'),
        (['snow/0.png,a', 'snow/1.png,a'], 'one class only'),
        (['snow/0.png,a,train', 'snow/1.png,b,train'], 'needs photos of '
         'train and of test'),
        (['snow/0.png,a,train', 'snow/1.png,b,test'], 'b has no photos of '
         'the split train'),
    ])
    def test_mistakes(self, photos, lines, message):
        path = write(photos / 'x.csv', *lines)
        with pytest.raises(ValueError, match=message):
            FolderDataset(path)

    def test_missing(self, photos):
        path = write(photos / 'x.csv', 'a.png,a', 'b.png,b')
        with pytest.raises(FileNotFoundError, match='relative to the folder'):
            read_list(path)
        with pytest.raises(FileNotFoundError, match='ann_file: .*gone.csv'):
            FolderDataset(str(photos), ann_file='gone.csv')


class TestNames:
    EXPECTED = ('lawn', 'red fox', 'snow')

    @pytest.mark.parametrize('name,text', [
        ('names.txt', 'red_fox: red fox\n\nsnow\ngrass:lawn\n'),
        ('classes.txt', 'grass: lawn\nred_fox: red fox'),
        ('names.json', '{"grass": "lawn", "red_fox": "red fox"}'),
        ('said.txt', '{"grass": "lawn", "red_fox": "red fox"}'),
    ])
    def test_forms(self, photos, name, text):
        (photos / name).write_text(text)
        given = dict(class_names=name) if name == 'said.txt' else {}
        assert FolderDataset(str(photos), **given).CLASSES == self.EXPECTED

    def test_of_a_list(self, photos):
        numbers = dict(grass='0', red_fox='1', snow='2')
        path = write(photos / 'x.csv', *(
            f'{name},{numbers[label]}' for name, label in rows_of(photos)))
        (photos / 'names.txt').write_text('0: lawn\n1: red fox\n2: snow')
        assert FolderDataset(path).CLASSES == self.EXPECTED

    @pytest.mark.parametrize('text,message', [
        ('gras: lawn', "'gras' is no class"), ('grass:', "'grass' is no"),
        ('{"grass": 1}', 'an object'), ('{"grass"', 'is no JSON'),
        ('1 grass\n2 snow', "'1 grass' is no class.*rename it"),
    ])
    def test_mistakes(self, photos, text, message):
        path = write(photos / 'n.txt', text)
        with pytest.raises(ValueError, match=message):
            read_names(path, ['grass', 'red_fox', 'snow'])

    @pytest.mark.parametrize('text', ['grass: snow', 'grass: Red  Fox'])
    def test_the_same_twice(self, photos, text):
        (photos / 'names.txt').write_text(text)
        with pytest.raises(ValueError, match='names.txt: grass .*same name'):
            FolderDataset(str(photos))

    def test_missing(self, photos):
        with pytest.raises(FileNotFoundError, match='class_names: .*x.txt'):
            FolderDataset(str(photos), class_names='x.txt')


def test_the_command_line_reaches_both_splits(photos):
    cfg = Config.fromfile(ROOT / 'configs/custom/custom_vit-b16.py')
    cfg.merge_from_dict(dict(data_root=str(photos), ann_file='labels.csv',
                             class_names='said.json'))
    cfg = resolve(cfg)
    for data in (cfg.train_dataloader.dataset.dataset,
                 cfg.test_dataloader.dataset, cfg.val_dataloader.dataset):
        assert (data.ann_file, data.class_names) == ('labels.csv',
                                                     'said.json')
        assert data.pipeline[0].as_shown
    published = resolve(Config.fromfile(
        ROOT / 'configs/coop/coop_rn50_16shot_imagenet.py'))
    hooks = published.default_hooks
    assert not published.test_dataloader.dataset.pipeline[0].as_shown
    assert not hooks.temperature.enable and not hooks.report.enable
    assert cfg.default_hooks.temperature.enable and \
        cfg.default_hooks.report.enable


def test_every_kind_of_file(tmp_path):
    """Folders in folders, names in any script, modes and formats."""
    pixels = np.full((20, 30, 3), 90, np.uint8)
    made = [('RGB', 'été 1.jpg'), ('L', 'gris.png'), ('CMYK', 'druck.jpg'),
            ('P', 'p.gif'), ('RGBA', 'α.webp'), ('LA', 'la.png'),
            ('1', 'bw.bmp'), ('I;16', '16 bit.png'), ('RGB', 'x.JFIF')]
    for name in ('кошка', '犬 & friends'):
        for place, (mode, file) in enumerate(made):
            folder = tmp_path / name / ('deep/er' if place % 2 else '')
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(pixels)
            image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) \
                if mode == 'I;16' else image.quantize(8) if mode == 'P' \
                else image.convert(mode)
            image.save(folder / file, **(
                dict(format='JPEG') if file.endswith('JFIF') else {}))
    data = FewShotDataset(
        dict(type='mmcoop.FolderDataset', data_root=str(tmp_path),
             pipeline=[dict(type='mmcoop.LoadImage', as_shown=True)]), None)
    assert data.CLASSES == ('кошка', '犬 & friends')
    assert data.source_counts == {0: 6, 1: 6}
    for i in range(len(data)):
        image = data[i]['img']
        assert image.shape == (20, 30, 3) and image.dtype == np.uint8
        if 'bw' not in data.get_data_info(i)['img_path']:
            assert abs(image.astype(int) - 90).max() < 16
    broken = tmp_path / 'кошка/été 1.jpg'
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(OSError, match='été 1.jpg'):
        for split in ('train', 'test'):
            FewShotDataset(
                dict(type='mmcoop.FolderDataset', data_root=str(tmp_path),
                     split=split, pipeline=[]), None)


def test_images_beside_the_folders_are_said(photos, logged):
    Image.new('RGB', (4, 4)).save(photos / 'loose.png')
    FolderDataset(str(photos))
    assert any('1 images lie in no class folder' in line for line in logged)


@pytest.mark.parametrize('name', [b'\xe9t\xe9.png', b'notes \xe9.txt'])
def test_names_that_are_no_text(photos, name):
    """As of an old zip file: they would end the run when it is written."""
    path = os.path.join(os.fsencode(photos / 'snow'), name)
    try:
        shutil.copy(photos / 'snow/0.png', path)
    except OSError:
        pytest.skip('this file system has names of text alone')
    with pytest.raises(ValueError, match=r'udce9.*is no text.*rename it'):
        FolderDataset(str(photos))


def test_published_data_have_their_own_lists():
    from mmcoop.datasets import CoOpDataset
    with pytest.raises(ValueError, match='dataset=folder'):
        CoOpDataset('eurosat', 'train', class_names='x.txt')
