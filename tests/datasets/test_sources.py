"""Split files, folders of photos, image loading."""
import json

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmcoop.datasets import FolderDataset, RandomView, SplitFileDataset
from mmcoop.datasets.seeding import seeded

from ..conftest import DATA, SHARED, make_photos, needs_shared


def split_tree(tmp_path):
    if not (tmp_path / 'images').exists():
        make_photos(tmp_path / 'images', {'a': 3, 'b': 3})
    splits = dict(
        train=[['a/0.png', 0, 'Annual Crop'], ['b/0.png', 1, 'river']],
        val=[['a/1.png', 0, 'Annual Crop']],
        test=[['b/2.png', 1, 'river'], ['a/2.png', 0, 'Annual Crop']])
    (tmp_path / 'split.json').write_text(json.dumps(splits))
    return dict(
        data_root=str(tmp_path), ann_file='split.json', data_prefix='images')


class TestSplitFile:

    def test_splits(self, tmp_path):
        where = split_tree(tmp_path)
        sizes = [len(SplitFileDataset(split=s, **where))
                 for s in ('train', 'val', 'test')]
        assert sizes == [2, 1, 2]
        test = SplitFileDataset(split='test', **where)
        assert test.CLASSES == ('Annual Crop', 'river')
        assert test.get_gt_labels().tolist() == [1, 0]

    def test_what_is_missing(self, tmp_path):
        where = split_tree(tmp_path)
        with pytest.raises(FileNotFoundError, match='image folder.*nowhere'):
            SplitFileDataset(split='train', **{**where,
                                               'data_prefix': 'nowhere'})
        with pytest.raises(FileNotFoundError, match='split file.*gone.json'):
            SplitFileDataset(split='train', **{**where,
                                               'ann_file': 'gone.json'})
        with pytest.raises(FileNotFoundError,
                           match='gone.json and .*nowhere'):
            SplitFileDataset(split='train', data_root=str(tmp_path),
                             ann_file='gone.json', data_prefix='nowhere')
        (tmp_path / 'images/b/2.png').unlink()
        with pytest.raises(FileNotFoundError, match='1 of 2 images.*b/2.png'):
            SplitFileDataset(split='test', **where)
        kept = SplitFileDataset(split='test', unreadable='skip', **where)
        assert len(kept) == 1

    @pytest.mark.parametrize('content', [
        '{"train": []}', 'no json', '[]',
        '{"train": [["a/0.png", 3, "a"]], "val": [], "test": []}',
        '{"train": [["a", 0, "a"], ["b", 0, "b"]], "val": [], "test": []}',
        '{"train": [["a/0.png", 0, null]], "val": [], "test": []}',
        '{"train": [["a/0.png", 0]], "val": [], "test": []}'
    ])
    def test_no_split_file(self, tmp_path, content):
        where = split_tree(tmp_path)
        (tmp_path / 'split.json').write_text(content)
        with pytest.raises(ValueError, match='split.json'):
            SplitFileDataset(split='train', **where)

    def test_unknown_split(self, tmp_path):
        with pytest.raises(ValueError, match="split='dev'"):
            SplitFileDataset(split='dev', **split_tree(tmp_path))
        with pytest.raises(ValueError, match="unreadable='ignore'"):
            SplitFileDataset(
                split='test', unreadable='ignore', **split_tree(tmp_path))

    def test_empty_list(self, tmp_path):
        where = split_tree(tmp_path)
        (tmp_path / 'split.json').write_text(json.dumps(
            dict(train=[['a/0.png', 0, 'a']], val=[], test=[])))
        with pytest.raises(ValueError, match='val list.*split.json is empty'):
            SplitFileDataset(split='val', **where)

    @pytest.mark.parametrize('root,ann_file,prefix,classes,train,test', [
        (DATA / 'eurosat', 'split_zhou_EuroSAT.json', '2750', 10, 60, 50),
        pytest.param(
            SHARED / 'caltech-101', 'split_zhou_Caltech101.json',
            '101_ObjectCategories', 100, 4128, 600,
            marks=needs_shared('caltech-101'))
    ], ids=['eurosat', 'caltech101'])
    def test_real_data(self, root, ann_file, prefix, classes, train, test):
        where = dict(data_root=str(root), ann_file=ann_file,
                     data_prefix=prefix)
        assert len(SplitFileDataset(split='train', **where)) == train
        dataset = SplitFileDataset(split='test', **where)
        assert len(dataset) == test and len(dataset.CLASSES) == classes


class TestFolder:

    def test_holds_out_a_fixed_part(self, photos):
        parts = [FolderDataset(str(photos), split=s)
                 for s in ('train', 'test')]
        assert parts[0].CLASSES == parts[1].CLASSES == ('grass', 'red_fox',
                                                        'snow')
        paths = [{d.get_data_info(i)['img_path'] for i in range(len(d))}
                 for d in parts]
        assert not paths[0] & paths[1] and len(paths[0] | paths[1]) == 16
        assert np.bincount(parts[1].get_gt_labels()).tolist() == [1, 2, 2]

    def test_own_split(self, tmp_path):
        make_photos(tmp_path / 'train', {'a': 2, 'b': 2})
        make_photos(tmp_path / 'val', {'a': 1, 'b': 1})
        assert len(FolderDataset(str(tmp_path), split='train')) == 4
        assert len(FolderDataset(str(tmp_path), split='test')) == 2
        make_photos(tmp_path / 'val', {'c': 1})
        with pytest.raises(ValueError, match='class folders c'):
            FolderDataset(str(tmp_path), split='test')

    def test_train_folder_alone(self, tmp_path):
        make_photos(tmp_path / 'train', {'a': 4, 'b': 4})
        sizes = [len(FolderDataset(str(tmp_path), split=s))
                 for s in ('train', 'test')]
        assert sizes == [6, 2]

    def test_mistakes(self, tmp_path, photos):
        with pytest.raises(FileNotFoundError, match='does not exist'):
            FolderDataset(str(tmp_path / 'nowhere'))
        with pytest.raises(FileNotFoundError, match='no class sub-folders'):
            FolderDataset(str(photos / 'snow'))
        (photos / 'tulip').mkdir()
        (photos / 'tulip/notes.txt').write_text('x')
        with pytest.raises(ValueError, match='no images.*tulip'):
            FolderDataset(str(photos))
        (photos / 'snow/0.png').rename(photos / 'tulip/0.png')
        with pytest.raises(ValueError, match='only image of its class'):
            FolderDataset(str(photos))

    def test_hidden_and_other_files(self, photos, logged):
        before = FolderDataset(str(photos))
        names = [before.get_data_info(i)['img_path']
                 for i in range(len(before))]
        (photos / 'snow/.ipynb_checkpoints').mkdir()
        (photos / 'snow/.ipynb_checkpoints/0.png').write_bytes(b'x')
        (photos / 'snow/._0.png').write_bytes(b'x')
        (photos / 'snow/phone.heic').write_bytes(b'x')
        after = FolderDataset(str(photos))
        assert names == [after.get_data_info(i)['img_path']
                         for i in range(len(after))]
        assert any('1 files' in m and 'phone.heic' in m for m in logged)

    def test_a_class_named_train(self, tmp_path):
        make_photos(tmp_path / 'a', {'bus': 3, 'train': 3})
        assert FolderDataset(str(tmp_path / 'a')).CLASSES == ('bus', 'train')
        make_photos(tmp_path / 'b/train', {'bus': 3, 'car': 3})
        make_photos(tmp_path / 'b', {'bike': 3})
        with pytest.raises(ValueError, match='bike beside it'):
            FolderDataset(str(tmp_path / 'b'))

    def test_one_class(self, tmp_path):
        make_photos(tmp_path, {'bus': 3})
        with pytest.raises(ValueError, match='one class only'):
            FolderDataset(str(tmp_path))

    def test_bad_test_image(self, photos):
        for path in photos.glob('snow/*'):
            path.write_bytes(b'')
        with pytest.raises(OSError, match='snow'):
            FolderDataset(str(photos), split='test')
        kept = FolderDataset(str(photos), split='test', unreadable='skip')
        assert len(kept) == 3


def test_photos_are_loaded_as_viewers_show_them(tmp_path):
    """Turned by EXIF, on white; the published code does neither."""
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / 'phone.jpg', exif=exif)
    for turned, shape in ((False, (20, 30)), (True, (30, 20))):
        load = TRANSFORMS.build(
            dict(type='mmcoop.LoadImage', as_shown=turned))
        results = load(dict(img_path=str(tmp_path / 'phone.jpg')))
        assert results['img'].shape[:2] == shape
    hidden = Image.new('RGBA', (4, 4), (200, 0, 0, 0))  # red, invisible
    hidden.putpixel((0, 0), (0, 0, 200, 255))
    hidden.save(tmp_path / 'logo.png')
    indexed = Image.new('P', (4, 4), 0)
    indexed.putpalette([200, 0, 0, 0, 0, 200])
    indexed.putpixel((0, 0), 1)
    indexed.save(tmp_path / 'logo.gif', transparency=0)
    for name in ('logo.png', 'logo.gif'):
        image = load(dict(img_path=str(tmp_path / name)))['img']
        assert (image[1:] == 255).all() and image[0, 0, 0] > 150, name
    plain = TRANSFORMS.build(dict(type='mmcoop.LoadImage'))
    image = plain(dict(img_path=str(tmp_path / 'logo.png')))['img']
    assert image[3, 3].tolist() == [0, 0, 200]  # BGR, as PIL converts


def test_image_modes(tmp_path):
    """Every mode gives its colours; what has no 8-bit form is refused."""
    load = TRANSFORMS.build(dict(type='mmcoop.LoadImage'))
    pixels = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    expected = np.repeat(pixels[..., None], 3, axis=2)
    for mode in ('L', 'LA', 'RGB', 'RGBA', 'P'):
        Image.fromarray(pixels).convert(mode).save(tmp_path / 'x.png')
        image = load(dict(img_path=str(tmp_path / 'x.png')))['img']
        assert image.dtype == np.uint8 and (image == expected).all(), mode
    Image.fromarray(expected).convert('CMYK').save(tmp_path / 'x.tif')
    image = load(dict(img_path=str(tmp_path / 'x.tif')))['img']
    assert abs(image.astype(int) - expected).max() <= 1
    Image.fromarray(pixels.astype(np.uint16) * 256).save(tmp_path / 'x.png')
    image = load(dict(img_path=str(tmp_path / 'x.png')))['img']
    assert (image == expected).all()
    Image.fromarray(pixels / np.float32(255)).save(tmp_path / 'x.tif')
    with pytest.raises(OSError, match='x.tif.*floating-point'):
        load(dict(img_path=str(tmp_path / 'x.tif')))
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = 200
    Image.fromarray(colours).save(tmp_path / 'red.png')
    image = load(dict(img_path=str(tmp_path / 'red.png')))['img']
    assert image[0, 0].tolist() == [0, 0, 200]  # BGR, as mm loads


def test_test_view_is_clips(tmp_path):
    """Our test pipeline and data preprocessor equal CLIP's preprocessing."""
    import torch
    from mmengine.config import Config
    from mmpretrain.models import ClsDataPreprocessor
    from open_clip.transform import image_transform

    from mmcoop import resolve

    from ..conftest import ROOT
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/few_shot.py')
    cfg.merge_from_dict(dict(image_size=224, data_root='data',
                             randomness=dict(seed=1)))
    pipeline = resolve(cfg).test_dataloader.dataset.pipeline
    mean, std = (.48, .46, .41), (.27, .26, .28)
    theirs = image_transform(
        224, is_train=False, mean=mean, std=std, interpolation='bicubic')
    preprocessor = ClsDataPreprocessor(
        mean=[255 * x for x in mean], std=[255 * x for x in std], to_rgb=True)
    rng = np.random.default_rng(0)
    for _ in range(10):
        size = rng.integers(100, 500, 2)
        path = str(tmp_path / 'x.png')
        Image.fromarray(
            rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
        sample = dict(img_path=path)
        for transform in pipeline:
            sample = TRANSFORMS.build(transform)(sample)
        ours = preprocessor(dict(inputs=[sample['inputs']]))['inputs'][0]
        torch.testing.assert_close(
            ours, theirs(Image.open(path)), rtol=0, atol=1e-5)


class TestViews:
    """CoOp's two recipes of views, by one option."""

    def view(self, seed=0, **options):
        rows, columns = np.mgrid[:60, :100]
        image = np.stack([2 * columns, 4 * rows, 0 * rows], -1).astype('uint8')
        transform = RandomView(scale=32, backend='pillow',
                               interpolation='bicubic', **options)
        with seeded(seed):
            return transform.transform(dict(img=image))['img'], image

    def test_crop_is_the_hosts_random_resized_crop(self):
        from mmpretrain.datasets import RandomResizedCrop
        host = RandomResizedCrop(scale=32, backend='pillow',
                                 interpolation='bicubic')
        for seed in range(3):
            ours, image = self.view(seed)
            with seeded(seed):
                theirs = host.transform(dict(img=image))['img']
            assert np.array_equal(ours, theirs)

    def test_translation_is_as_dassl_does_it(self):
        """The whole image, squeezed; or 36 x 36 pixels of it, cropped."""
        kinds = {'whole': 0, 'crop': 0}
        for seed in range(40):
            ours, image = self.view(seed, views='translation')
            whole = Image.fromarray(image).resize((32, 32), Image.BICUBIC)
            large = np.asarray(whole.resize((36, 36), Image.BILINEAR))
            crops = [large[top:top + 32, left:left + 32]
                     for top in range(5) for left in range(5)]
            if np.array_equal(ours, np.asarray(whole)):
                kinds['whole'] += 1
            else:
                assert any(np.array_equal(ours, crop) for crop in crops)
                kinds['crop'] += 1
        assert min(kinds.values()) > 8

    def test_unknown(self):
        with pytest.raises(ValueError, match="views='shift': choose"):
            self.view(views='shift')
