"""Names that attack: in paths, in pages, in tables. docs/SECURITY.md."""
import csv
from pathlib import Path

import pytest
from PIL import Image

import mmcoop
from mmcoop.apis.export import export
from mmcoop.engine import FewShotRunner
from mmcoop.report.page import write_page
from mmcoop.report.predictions import Predicted

from .conftest import custom_config
from .report.test_page import Page

CLASSES = ['../../escaped', '/etc/escaped', '<script>alert(1)</script>',
           '=cmd|" /C calc"!A0', '$(touch escaped) `touch escaped`']
IMAGE = '"><img src=x onerror=alert(1)>.jpg'
ATTACKS = ('<script', '<img src=x', '"><img')


def files_of(folder: Path) -> set:
    return {path for path in folder.rglob('*') if path.is_file()}


@pytest.mark.slow
def test_nothing_is_written_elsewhere(tmp_path, small_clip, monkeypatch):
    """A run, its report, a prediction and an export of hostile names."""
    home = tmp_path / 'a/b/home'
    photos, cache = home / 'photos', home / 'cache'
    photos.mkdir(parents=True)
    monkeypatch.setenv('MMCOOP_CACHE', str(cache))
    monkeypatch.chdir(home)
    with (photos / 'list.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['path', 'label'])
        for k, name in enumerate(CLASSES):
            for i in range(4):
                path = photos / f'{k}{i}{IMAGE}'.replace('/', '')
                Image.new('RGB', (40, 40), (50 * k, 60 * i, 0)).save(path)
                table.writerow([path.name, name])
    before = files_of(tmp_path)
    cfg = custom_config(home, photos / 'list.csv', small_clip, max_epochs=1,
                        shots=2)
    FewShotRunner.from_cfg(cfg).train()
    classifier = mmcoop.load(home / 'work', device='cpu')
    assert classifier.classes == sorted(CLASSES)
    image = str(next(photos.glob('*.jpg')))
    assert classifier.predict([image])[0]['label'] in CLASSES
    export(classifier, 'torchscript', str(home / 'out/model.pt'), [image])
    made = files_of(tmp_path) - before
    allowed = [home / 'work', cache, home / 'out']
    assert not [path for path in made
                if not any(folder in path.parents for folder in allowed)]
    assert not [path for path in made if 'escaped' in path.name]
    assert not Path('/etc/escaped').exists()
    check_page(home / 'work/report.html')


def check_page(path: Path) -> None:
    page, text = Page(path), path.read_text(encoding='utf-8')
    assert 'script' not in page.tags and not any(
        attack in text for attack in ATTACKS)
    assert all(address.startswith('data:image/') for address
               in page.addresses)
    assert '<script>alert(1)</script>' in ''.join(page.text)


def test_a_page_of_hostile_names(tmp_path):
    """Whatever field of the result, class or file name it stands in."""
    image = tmp_path / f'0{IMAGE}'
    Image.new('RGB', (30, 30)).save(image)
    rows = [Predicted(str(image), 0, 1, .9, .8, 1),
            Predicted(str(image), 2, 2, .7, .6, 2)]
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    fields = ('method', 'finished', 'clip', 'pretrained', 'dataset', 'device',
              'config', 'checkpoint', 'mmcoop', 'selected_on',
              'evaluated_on', 'temperature_fitted_on', 'num_images',
              'shots', 'seed', 'epochs')
    result = dict(
        {name: evil for name in fields}, temperature=2., ece_before=1.,
        ece_after=1., prompt=dict(templates=[evil], ctx_init=evil),
        zero_shot=dict(templates=evil), selected={evil: 1.},
        preprocessing=dict(size=evil, resize_mode=evil, interpolation=evil))
    check_page(write_page(tmp_path, result, rows, [evil, *CLASSES]))


def test_a_checkpoint_does_not_say_where_to_download(tmp_path, monkeypatch):
    from mmcoop.apis.load import _find_clip
    clip = dict(model_name='ViT-B-32', pretrained='openai',
                cache_dir=str(tmp_path))
    assert 'cache_dir' not in _find_clip(clip, tmp_path / 'x.pth', None)
    weights = tmp_path / 'ViT-B-32.pt'  # but what is there is found
    weights.touch()
    assert _find_clip(clip, Path('y/x.pth'), None)['pretrained'] == str(
        weights)
