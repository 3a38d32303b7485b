"""tools/predict.py as its user runs it, without a config."""
import csv
import io
import json
import os
import runpy
import shutil
import sys

import pytest
from PIL import Image

import mmcoop
from mmcoop.apis.predict import find_images, read_names

from ..conftest import ROOT


@pytest.fixture
def predict(small_run, capsys, monkeypatch):
    """``predict(*arguments)`` -> exit code, output, errors, in the folder of
    the photos."""
    monkeypatch.chdir(small_run.parent)
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')

    def run(*arguments, checkpoint=small_run):
        monkeypatch.setattr(sys, 'argv', [
            'predict.py', str(checkpoint), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / 'tools/predict.py'), run_name='__main__')
        return end.value.code, *capsys.readouterr()

    return run


def test_table(predict, small_run):
    code, out, errors = predict('photos', '--top-k', 2)
    assert (code, errors) == (0, '')
    lines = out.splitlines()
    assert len(lines) == 16
    expected = mmcoop.load(small_run).predict(
        ['photos/grass/0.png', 'photos/snow/5.png'])
    for line, one in zip((lines[0], lines[-1]), expected):
        path, label, score, *second = line.split()
        assert (path, label) == (one['path'], one['label'])
        assert score == f'{one["score"]:.1%}' and len(second) == 2


def test_json_and_csv(predict, tmp_path):
    _, out, _ = predict('photos/grass', '--format', 'json', '--top-k', 9)
    found = json.loads(out)
    assert found['unreadable'] == [] and len(found['predictions']) == 4
    for one in found['predictions']:
        scores = [other['score'] for other in one['top']]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3
        assert sum(scores) == pytest.approx(1)
        assert one['top'][0] == dict(label=one['label'], score=one['score'])
    target = tmp_path / 'found.csv'
    code, out, errors = predict('photos/grass', '--top-k', 2, '--out', target)
    assert code == 0 and out == '' and '4 predictions' in errors
    rows = list(csv.DictReader(target.open()))
    for row, one in zip(rows, found['predictions'], strict=True):
        assert (row['path'], row['label']) == (one['path'], one['label'])
        assert float(row['score_2']) == pytest.approx(
            one['top'][1]['score'], abs=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ['found.csv']


def test_threshold(predict):
    _, out, _ = predict('photos/grass', '--threshold', 1)
    assert out.count('(none of these)') == 4
    _, out, _ = predict('photos/grass', '--threshold', 1, '--format', 'json')
    assert all(one['label'] is None and one['score'] < 1
               for one in json.loads(out)['predictions'])


def test_kinds_of_files(predict, small_run, tmp_path):
    photo = Image.open(small_run.parent / 'photos/snow/0.png')
    folder = tmp_path / 'schöne Photos/[sub]'
    folder.mkdir(parents=True)
    for name, mode in (('grey.png', 'L'), ('alpha.png', 'RGBA'),
                       ('cmyk.jpg', 'CMYK'), ('16 bit.png', 'I;16'),
                       ('palette.gif', 'P')):
        photo.convert('I' if ';' in mode else mode).convert(mode).save(
            folder / name)
    (folder / 'übel.jpg').write_bytes(b'no image')
    (folder / 'empty.png').touch()
    (folder / 'notes.txt').touch()
    code, out, errors = predict(tmp_path, '--format', 'csv')
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1 and len(rows) == 5
    assert '2 of 7 files cannot be read' in errors
    assert 'übel.jpg: it is no image, or damaged' in errors


def test_list_on_standard_input(predict, monkeypatch):
    lines = 'photos/snow/0.png\n\nnothere.png\nphotos/snow/1.png\r\n'
    monkeypatch.setattr('sys.stdin', io.StringIO(lines))
    code, out, errors = predict('-', 'photos/grass', '--batch-size', 1,
                                '--format', 'json')
    found = json.loads(out)
    assert code == 1 and 'nothere.png: [Errno 2]' in errors
    assert [one['path'] for one in found['predictions']][:3] == [
        'photos/snow/0.png', 'photos/snow/1.png', 'photos/grass/0.png']
    assert len(found['predictions']) == 6
    monkeypatch.setattr('sys.stdin', io.StringIO(''))
    assert 'standard input is empty' in predict('-')[2]


def test_other_classes(predict, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('\ufeffein Fuchs\n\nSchnee \n', encoding='utf-8')
    _, out, _ = predict('photos/snow', '--format', 'json', '--top-k', 5,
                        '--classes', names)
    assert {one['label'] for one in json.loads(out)['predictions'][0]['top']
            } == {'ein Fuchs', 'Schnee'}
    with pytest.raises(ValueError, match='1 class name'):
        read_names(['cat'])
    with pytest.raises(ValueError, match='cat and cat have'):
        read_names(['cat', 'dog', 'cat'])


@pytest.mark.parametrize('arguments,sentence', [
    (('photo', ), 'there is no photo'),
    (('photos/*.jpg', ), 'no image matches photos/*.jpg (.jpg'),
    (('photos', '--classes', 'cat'), '1 class name (cat)'),
    (('photos', '--clip', 'x.pt'), 'clip: there is no file x.pt'),
    (('photos', '--out', 'x.txt'), 'name a .json or .csv file'),
    (('photos', '--out', 'gone/x.csv'), 'there is no folder gone'),
    (('photos', '--threshold', 50), 'a probability, 0 to 1'),
    (('photos', '--top-k', 0), 'at least 1'),
    (('photos', '--device', 'tpu9'), 'tpu9'),
])
def test_mistakes(predict, arguments, sentence):
    code, out, errors = predict(*arguments)
    assert code == 2 and out == '' and sentence in errors
    assert 'Traceback' not in errors


def test_debug(predict):
    code, _, errors = predict('gone.jpg', '--debug')
    assert code == 2 and errors.startswith('Traceback')


def test_find_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a/b/2.JPG', 'a/1.png', 'a/x.txt', 'c[1].png', 'd/e.webp',
                 'a/._1.png', 'a/.trash/3.png'):  # hidden ones are none
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_images(['a', 'c[1].png']) == [
        os.path.join('a', '1.png'), os.path.join('a', 'b', '2.JPG'),
        'c[1].png']
    # each file once, also through a pattern that matches folders
    assert find_images(['a/x.txt', 'a/1.png', '*']) == [
        'a/x.txt', 'a/1.png', os.path.join('a', 'b', '2.JPG'), 'c[1].png',
        os.path.join('d', 'e.webp')]
    assert find_images(['**/*.JPG']) == [os.path.join('a', 'b', '2.JPG')]
    shutil.rmtree('a')
    (tmp_path / 'a').mkdir()
    with pytest.raises(FileNotFoundError, match='there is no image in a'):
        find_images(['a'])
