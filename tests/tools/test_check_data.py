"""tools/check_data.py as a person runs it."""
import re
import runpy
import subprocess
import sys

import pytest

from mmcoop.catalog import CATALOG

from ..conftest import DATA, ROOT, SHARED, needs_shared
from ..datasets.trees import raw_tree, small_splits, tree

TOOL = str(ROOT / 'tools/check_data.py')


@pytest.fixture
def check(monkeypatch, capsys):
    """Run the tool; its exit status, table and all that it prints."""

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        status = runpy.run_path(TOOL)['main']()
        shown = capsys.readouterr()
        table = dict(re.split('  +', line, maxsplit=1)
                     for line in shown.out.split('\n\n')[0].splitlines()
                     if not line.startswith('Warning: '))
        return status, table, shown.out + shown.err

    return run


def cells(row):
    return re.split('  +', row)


def test_ready(tmp_path, check):
    tree(tmp_path, 'eurosat')
    tree(tmp_path, 'imagenet')
    raw_tree(tmp_path, 'oxford_pets', small_splits('oxford_pets'))
    status, table, shown = check(tmp_path)
    assert status == 0 and '3 of 3 data sets that have a folder' in shown
    assert cells(table['eurosat']) == [
        'ready', '3 of 10', '15 of 13500', '6 of 5400', '9 of 8100', 'cut']
    assert cells(table['imagenet']) == [
        'ready', '1000', '1000 folders', '-', '1000 of 50000', 'cut']
    assert table['oxford_pets'].endswith('by rule, cut')
    assert CATALOG['oxford_pets'].split_file.origin in shown
    assert cells(table['dtd']) == ['no folder'] + 5 * ['-']
    assert str(tmp_path / 'dtd/images') in shown and len(table) == 16


def test_not_ready(tmp_path, check):
    tree(tmp_path, 'imagenet_a')
    (tmp_path / 'eurosat').mkdir()
    status, table, shown = check(
        tmp_path, '--datasets', 'imagenet_a', 'eurosat', 'dtd')
    assert status == 1 and '1 of 3 data sets asked for' in shown
    assert list(table)[1:] == ['imagenet_a', 'eurosat', 'dtd']
    assert cells(table['eurosat'])[0] == 'incomplete'
    assert str(tmp_path / 'eurosat/2750') in shown
    (tmp_path / 'imagenet-adversarial/imagenet-a/n01498041').rename(
        tmp_path / 'elsewhere')
    status, table, shown = check(tmp_path, '--datasets', 'imagenet_a')
    assert status == 1 and cells(table['imagenet_a'])[0] == 'not ready'
    assert '1 of 200 class folders are missing' in shown


def test_images(tmp_path, check):
    tree(tmp_path, 'dtd')
    assert check(tmp_path, '--images')[0] == 0
    images = tmp_path / 'dtd/images/banded'
    (images / 'image_0000.jpg').unlink()
    (images / 'image_0009.jpg').write_bytes(b'x')
    assert check(tmp_path)[0] == 0
    status, table, shown = check(tmp_path, '--images')
    assert status == 1 and cells(table['dtd'])[0] == 'not ready'
    assert 'train: 1 of 10 images are missing and 0 cannot' in shown
    assert 'test: 0 of 6 images are missing and 1 cannot be read' in shown
    assert str(images / 'image_0009.jpg') in shown


@pytest.mark.parametrize('root,name,expected', [
    (DATA, 'eurosat',
     ['10', '60 of 13500', '50 of 5400', '50 of 8100', 'cut']),
    pytest.param(SHARED, 'caltech101',
                 ['100', '4128', '1649', '600 of 2465', 'cut'],
                 marks=needs_shared('caltech-101'))
], ids=['tests', 'shared'])
def test_real_roots(check, root, name, expected):
    status, table, _ = check(root)
    assert status == 0
    assert cells(table[name]) == ['ready', *expected]


@pytest.mark.slow
@pytest.mark.parametrize('args,message', [
    (['.'], 'none of these folders'),
    (['nowhere'], 'there is no folder nowhere'),
    (['.', '--datasets', 'EuroSAT'], "'EuroSAT'.*'eurosat'"),
])
def test_mistakes(tmp_path, args, message):
    run = subprocess.run([sys.executable, '-W', 'ignore', TOOL, *args],
                         cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0 and re.search(message, run.stderr)
    assert 'Traceback' not in run.stderr
