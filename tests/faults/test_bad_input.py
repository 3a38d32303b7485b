"""Bad input through the command lines: a sentence, and nothing lost.

The cases are rows of ``bad_*.py``: (kind, name, the command line, what the
sentence says). A row with ``LATE`` at its end is about
something that is seen once the CLIP is loaded.
"""
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmcoop.datasets import images
from mmcoop.protocol.execute import free_runs

from ..conftest import ROOT, make_photos
from . import bad_data, bad_images, bad_options, bad_runs
from .box import Box, run_tool


@pytest.fixture
def box(tmp_path, monkeypatch, shared_photos, small_clip, old_run, vit_file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    box = Box(tmp_path, shared_photos, small_clip, old_run, vit_file,
              monkeypatch)
    yield box
    box.close()


@pytest.fixture(scope='module')
def old_run(small_run):
    """A run of another process: its log is closed."""
    free_runs()
    return small_run


@pytest.fixture(scope='module')
def shared_photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp('shared') / 'photos',
                       dict(red_fox=4, snow=4, grass=4))


@pytest.fixture
def built(monkeypatch):
    """The CLIPs that were built: expensive."""
    from mmcoop.clip import loading
    clips, build = [], loading._build
    monkeypatch.setattr(loading, '_build', lambda *args: (
        clips.append(args[1]), build(*args))[1])
    return clips


def snapshot(*folders):
    """Every file, and what changes with it."""
    found = {}
    for folder in folders:
        for path in folder.rglob('*'):
            stat = path.lstat()
            if not path.is_dir():
                found[path] = stat.st_ino, stat.st_size, stat.st_mtime_ns
    return found


def is_log(path, work):
    """Whether it is a log of a run, or the config beside it."""
    return work in path.parents and (
        path.suffix == '.py' or path.parents[1] == work
        or path.parent.name == 'vis_data')


@pytest.mark.parametrize('case', [
    pytest.param(case, id=f'{case[0]}: {case[1]}')
    for case in (*bad_images.CASES, *bad_data.CASES, *bad_runs.CASES,
                 *bad_options.CASES)])
def test_bad(case, box, built, feature_cache):
    _, _, make, *said = case
    late = 'LATE' in said
    said = [words for words in said if words != 'LATE']
    box.write('work/result.json', '{"of": "an earlier run"}')
    box.write('work/epoch_9.txt', 'kept')
    line = make(box)
    places = box.root, feature_cache, box.run.parent, Path(
        box.clip['pretrained']).parent
    before = snapshot(*places)
    code, lines, out = run_tool(*line)
    after = snapshot(*places)
    assert code in (1, 2)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path not in before
                and not is_log(path, box.root / 'work')]
    message = lines[-1] if lines else out.splitlines()[-1]
    for words in said:
        assert words in message
    text = '\n'.join([*lines, out])
    assert 'Traceback' not in text and 'weights_only' not in text
    assert late or not built
    if 'hostile' in case[1]:
        assert 'damaged' not in message


def predicted(box, *paths, run=None):
    """Labels and scores by path, of tools/predict.py."""
    code, lines, out = run_tool(*box.predict(
        *paths, flags=('--format', 'json'), run=run))
    assert code == 0, lines
    return {one['path']: (one['label'], one['score'])
            for one in json.loads(out)['predictions']}


def test_every_kind_of_image(box):
    """The same picture in other forms gets the same answer."""
    pixels = np.asarray(Image.open(box.photos / 'snow/0.png'))
    red, grey = pixels.copy(), pixels[..., 0]
    red[..., 1:] = 0
    frames = [Image.fromarray(part).quantize(64) for part in (pixels, red)]
    frames[0].convert('RGB').save('frame.png')
    frames[0].save('palette.png')
    frames[0].save('animated.gif', save_all=True, append_images=frames[1:])
    Image.fromarray(grey).save('grey.png')
    Image.fromarray(grey.astype(np.uint16) * 256).save('sixteen.png')
    image = Image.fromarray(pixels)
    image.save('plain.jpg')
    image.save('exif.jpg', exif=b'Exif\0\0MM\0*\xff\xff\xff\xff')
    image.save('été 1 ☃.png')
    Image.open(box.photos / 'snow/0.png').save(os.fsdecode(b'\xff.png'))
    found = predicted(box, '.')
    same = [('frame.png', 'palette.png', 'animated.gif'),
            ('grey.png', 'sixteen.png'), ('plain.jpg', 'exif.jpg'),
            ('photos/snow/0.png', 'été 1 ☃.png', os.fsdecode(b'\xff.png'))]
    for first, *others in same:
        for other in others:
            assert found[f'./{other}'][0] == found[f'./{first}'][0]
            assert found[f'./{other}'][1] == pytest.approx(
                found[f'./{first}'][1], abs=1e-6)
    assert len({found[f'./{names[0]}'][1] for names in same}) == len(same)


def test_links_that_go_round(box):
    """Each image once, through folders and patterns; training as well."""
    inner = box.photos / 'snow/more'
    inner.mkdir()
    for name, target in (('up', '..'), ('top', '../..'), ('self', '.')):
        (inner / name).symlink_to(target)
    assert len(predicted(box, 'photos')) == 12
    assert len(predicted(box, 'photos/**/*.png')) == 12
    code, lines, _ = run_tool(*box.train('report=False'))
    assert code == 0, lines
    result = json.loads(Path('work/result.json').read_text())
    assert result['num_images'] == 6


def test_class_names_that_are_names(box):
    """Any sign but those of control; a folder is named as a picture."""
    classes = ('☃', '🦊🐺', '!?', 'red fox', "<script>alert('x')",
               '犬 & кот', 'CON', '-rf', '${HOME}')
    shutil.rmtree(box.photos)
    for label, name in enumerate(classes):
        for i in range(4):
            box.write(f'photos/{name}/in here.jpg/{i}.png',
                      bad_images.encode('PNG', shade=label % 3))
    code, lines, _ = run_tool(*box.train())
    assert code == 0, lines
    result = json.loads(Path('work/result.json').read_text())
    assert result['num_classes'] == 9 and result['num_images'] == 18
    page = Path('work/report.html').read_text(encoding='utf-8')
    assert '<script>alert' not in page
    found = predicted(box, 'photos', run='work')
    assert len(found) == 36
    assert {label for label, _ in found.values()} <= set(classes)


def test_a_list_from_anywhere(box):
    """A byte order mark, semicolons, absolute paths and those that climb."""
    rows = [f'{box.photos}/snow/{i}.png;Schnee' for i in range(4)] + [
        f'../photos/grass/{i}.png;Größe' for i in range(4)]
    path = box.write('lists/x.csv', '\ufeffDatei;label\n'.replace(
        'Datei', 'file') + '\r\n'.join(rows))
    code, lines, _ = run_tool(*box.train(f'data_root={path}', 'report=False'))
    assert code == 0, lines
    result = json.loads(Path('work/result.json').read_text())
    assert result['num_classes'] == 2 and result['num_images'] == 4


def test_unreadable_images_can_be_left_out(box, monkeypatch):
    box.write('photos/snow/cut.jpg', bad_images.encode('JPEG')[:300])
    box.write('photos/snow/bomb.png', bad_images.BOMB)
    os.mkfifo(box.photos / 'snow/pipe.jpg')
    secret = box.write('photos/snow/secret.png', bad_images.encode('PNG'))
    read = images.read_image

    def refuse(path, *args, **kwargs):  # root may read everything
        if str(path).endswith('secret.png'):
            raise PermissionError(13, 'Permission denied', str(secret))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(images, 'read_image', refuse)
    code, lines, _ = run_tool(*box.train('shots=16'))
    assert code == 1 and 'images cannot be read' in lines[-1]
    code, lines, _ = run_tool(*box.train(
        'shots=16', 'unreadable=skip', 'report=False'))
    assert code == 0, lines
    log = max(Path('work').glob('*/*.log')).read_text()
    for words in ('cut.jpg: ', '900000000 pixels', 'a pipe or a device',
                  'Permission denied'):
        assert words in log


@pytest.mark.slow
def test_thousands_of_classes(box):
    """2,000 folders with two photos each."""
    shutil.rmtree(box.photos)
    picture = box.write('one.png', bad_images.encode('PNG'))
    for i in range(2000):
        (box.photos / f'kind {i}').mkdir(parents=True)
        for j in range(2):
            os.link(picture, box.photos / f'kind {i}/{j}.png')
    code, lines, _ = run_tool(*box.test(None, config=ROOT / (
        'configs/zeroshot/zeroshot_vit-b16_custom.py')))
    assert code == 0, lines
    result = json.loads(Path('work/result_test.json').read_text())
    assert result['num_classes'] == result['num_images_evaluated'] == 2000
    assert result['metrics']['accuracy/top1'] == pytest.approx(.05)
