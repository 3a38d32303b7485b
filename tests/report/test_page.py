"""The report of a run: numbers, a page of one file, names of any kind."""
import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from mmengine.registry import RUNNERS
from PIL import Image

from mmcoop.clip import convert_vit, load_clip
from mmcoop.engine.describe import quote_templates
from mmcoop.protocol.execute import tool_main
from mmcoop.registry import MODELS
from mmcoop.report import page_pictures
from mmcoop.report.page import rewrite_page, write_page
from mmcoop.report.page_hook import predict_zero_shot
from mmcoop.report.predictions import (Predicted, interval, read_predictions,
                                       summarize, write_predictions)

from ..conftest import ROOT, custom_config

NAMES = ['<script>alert(1)</script>', '犬', 'a "b" & $x^2$', 'dog']
RESULT = dict(
    method='gda', shots=16, seed=1, num_images=48, clip='ViT-B-16',
    pretrained='openai', selected={'alpha': .5}, selected_on='val draw, 9',
    evaluated_on='test', temperature=2.5, temperature_fitted_on='val draw',
    ece_before=20., ece_after=5., metrics={'accuracy/top1': 50.},
    zero_shot={'accuracy/top1': 40., 'templates': 'a photo of a {}.'},
    preprocessing=dict(size=160, resize_mode='squash', std=[1., 1., 1.],
                       interpolation='bicubic', mean=[.5, .4, .3]),
    finished='2026-01-01T00:00:00')


@pytest.fixture
def rows(tmp_path):
    """Eight predictions, three of them wrong; one file is gone."""
    made = []
    for i, (label, predicted, confidence) in enumerate([
            (0, 0, .9), (0, 1, .8), (1, 1, .7), (1, 1, .95), (2, 0, .99),
            (2, 2, .6), (3, 3, .5), (3, 2, .4)]):
        path = tmp_path / f'<b>{i}&.png'
        if i != 4:
            Image.new('RGBA', (40, 30), (9 * i, 0, 0, 128)).save(path)
        made.append(Predicted(str(path), label, predicted, confidence,
                              confidence / 2, i % 4))
    return made


@pytest.fixture
def run(tmp_path):
    path = tmp_path / 'run'
    path.mkdir()
    (path / 'result.json').write_text(json.dumps(RESULT))
    return path


class Page(HTMLParser):
    """Tags, text and every address of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.addresses, self.alts = [], [], [], []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith('on')
            if name in ('src', 'href', 'srcset', 'action', 'data'):
                self.addresses.append(value)
            if name == 'alt':
                self.alts.append(value)

    def handle_data(self, data):
        self.text.append(data)


def test_numbers(rows):
    summary = summarize(rows, NAMES)
    assert summary['accuracy'] == 62.5 and summary['images'] == 8
    assert summary['zero_shot'] == 25.  # of labels 00112233: 0, 1, 2, 3, ...
    assert summary['interval'] == pytest.approx([30.57, 86.32], abs=.01)
    first = summary['classes'][0]
    assert (first['accuracy'], first['images'], first['mistaken_for'],
            first['mistaken']) == (50., 2, '犬', 1)
    assert summary['classes'][1]['mistaken_for'] is None
    assert [mistake['confidence'] for mistake in summary['mistakes']] == [
        49.5, 40., 20.]
    assert len(summary['confused']) == 3
    assert sum(part['images'] for part in summary['bins']['before']) == 8
    low = summary['bins']['after'][0]
    assert low['images'] == 1 and low['accuracy'] == 0. and \
        low['confidence'] == pytest.approx(20.)
    assert interval(0, 0) is None and interval(9, 9)[1] == 100


def test_predictions_come_back(rows, tmp_path):
    """With equal names too, and without zero-shot."""
    rows[0] = rows[0]._replace(zero_shot=None)
    names = ['a', 'b,"', 'a', 'c\nd']
    write_predictions(tmp_path / 'x.csv', rows, names)
    assert read_predictions(tmp_path / 'x.csv', names) == rows
    with pytest.raises(ValueError, match='x.csv'):
        read_predictions(tmp_path / 'x.csv', ['b'])


def test_a_page_of_one_file(rows, run):
    path = write_page(run, RESULT, rows, NAMES)
    page = Page(path)
    assert not {'script', 'iframe', 'object', 'link', 'b>'} & set(page.tags)
    assert page.addresses and all(
        address.startswith('data:image/') for address in page.addresses)
    text = ''.join(page.text)
    for part in (*NAMES, '62.5 %', '25.0 %', 'GDA', '20.0 %', '5.0 %',
                 'cannot be read', '<b>1&.png',
                 '160 pixels, squash, bicubic, mean 0.5 0.4 0.3, std 1 1 1',
                 'told "a photo of a {}."', 'alpha 0.5', 'val draw, 9',
                 'seed 1', '31 and 86 %', 'temperature of 2.5', 'ViT-B/16'):
        assert part in text, part
    assert '<b>1&.png' in page.alts
    data = json.loads((run / 'report.json').read_text())
    assert data['accuracy'] == 62.5 and data['run']['seed'] == 1
    for name in ('confusion', 'calibration', 'mistakes'):
        with Image.open(run / f'report/{name}.png') as image:
            assert min(image.size) > 150
    before = path.read_text()
    assert rewrite_page(run).read_text() == before  # from what is kept


def test_what_was_evaluated_says_it(rows, run, tmp_path):
    """The page of a run that tested nothing, of a test of it."""
    (run / 'result.json').write_text(json.dumps(dict(
        RESULT, evaluated_on=None, metrics=None, zero_shot=None,
        ece_before=None, ece_after=77.7)))
    write_page(tmp_path / 'test', RESULT, rows, NAMES)
    page = Page(rewrite_page(run, tmp_path / 'test'))
    text = ''.join(page.text)
    assert '8 test images of 4 classes; learned from 48 others' in text
    assert 'told "a photo of a {}."' in text
    assert '20.0 % without the temperature' in text and '77.7' not in text


def test_names_that_the_font_has_not(rows, run):
    """The table has a number where the picture has it, and no other."""
    assert [page_pictures.is_drawable(name) for name in (
        'кошка', 'a’b', '犬')] == [True, True, False]
    names = ['кошка', '犬', 'a’b', 'dog']
    text = ''.join(Page(write_page(run, RESULT, rows, names)).text)
    assert ' #2' in text and ' #1' not in text and ' #3' not in text


def test_many_templates_are_not_all_quoted():
    assert quote_templates(['a {}.', 'b {}.', 'c']) == '"a {}." and 2 more'
    assert quote_templates(('a {}.', )) == quote_templates('a {}.') \
        == '"a {}."'


def test_zero_shot_of_frozen_towers_alone(vit_file):
    """A converted tower with a neck, or one that is tuned, is not CLIP's."""
    clip = dict(pretrained=vit_file)
    head = dict(type='mmcoop.PromptLearnerHead',
                prompt=dict(type='mmcoop.ContextPrompt', n_ctx=2))
    backbone, _, _ = converted = convert_vit(load_clip(**clip).image_tower)
    stock = MODELS.build(dict(
        type='mmpretrain.ImageClassifier', backbone=backbone,
        neck=dict(type='mmpretrain.LinearNeck', in_channels=len(
            converted.projection), out_channels=converted.projection.shape[1]),
        head=dict(head, clip=clip)))
    tuned = MODELS.build(dict(type='mmcoop.CoOp', clip=clip, head=head,
                              freeze_image_tower=False))
    for model in (stock, tuned):
        assert predict_zero_shot(model, None, 'a {}.') is None


def test_a_test_needs_no_validation_images(tmp_path, photos, small_clip):
    cfg = custom_config(tmp_path, photos, small_clip, 'zeroshot', report=True)
    runner = RUNNERS.build(cfg)
    runner._val_loop = dict(type='ValLoop')
    runner._val_dataloader = dict(dataset=dict(type='Gone'))
    runner.test()
    assert (tmp_path / 'work/report.html').exists()


def test_what_is_not_known_is_left_out(rows, run):
    """No zero-shot, no temperature, no mistake, hundreds of classes."""
    right = [row._replace(predicted=row.label, zero_shot=None)
             for row in rows]
    names = [f'class {i}' for i in range(1100)]
    text = ''.join(Page(write_page(run, dict(method='odd'), right,
                                   names)).text)
    assert 'Zero-shot' not in text and 'worst mistakes' not in text
    assert 'No temperature was fitted' in text and 'class 999' in text
    assert 'Confusion' not in text and '100 better ones' in text
    assert not (run / 'report/confusion.png').exists()


def test_only_images_that_are_shown_are_read(rows, run, monkeypatch):
    seen = []
    monkeypatch.setattr(page_pictures, 'load_thumbnail',
                        lambda path: seen.append(path))
    many = [rows[1]._replace(path=f'{i}.png') for i in range(3000)]
    write_page(run, RESULT, many, NAMES)
    assert len(seen) == 48 and (run / 'report.html').stat().st_size < 1e6


def test_the_command(rows, run, capsys):
    main = tool_main(ROOT / 'tools/analysis_tools/report_run.py')
    with pytest.raises(FileNotFoundError, match='report.json'):
        main([str(run), '--again'])
    with pytest.raises(SystemExit):
        main([str(run / 'nowhere')])
    assert 'no folder of a finished run' in capsys.readouterr().err
    write_page(run, RESULT, rows, NAMES)
    main([str(run), '--again'])
    assert f'Report: {run}/report.html' in capsys.readouterr().out
    (run / 'result.json').write_text('{"a": ')
    for again in ([], ['--again']):
        with pytest.raises(ValueError, match='result.json is damaged'):
            main([str(run), *again])


@pytest.mark.slow
def test_in_a_browser(rows, run):
    """Opened from the disk: all is laid out, and nothing is run."""
    browser = next(filter(None, map(shutil.which, (
        'chromium', 'chromium-browser', 'google-chrome'))), None)
    if browser is None:
        pytest.skip('no headless browser is installed')
    path = write_page(run, RESULT, rows, NAMES)
    for width in (1200, 500):
        shot = run / f'{width}.png'
        done = subprocess.run(
            [browser, '--headless', '--no-sandbox', '--disable-gpu',
             '--hide-scrollbars', f'--screenshot={shot}',
             f'--user-data-dir={run}/browser',
             f'--window-size={width},1000', path.as_uri()],
            capture_output=True, text=True, timeout=120)
        if not shot.exists():
            pytest.skip(f'the browser does not start: {done.stderr[-300:]}')
        with Image.open(shot) as image:
            assert image.size[0] == width
            assert len(image.convert('RGB').resize((99, 99)).getcolors(
                99 * 99)) > 50  # not blank
        assert 'Refused' not in done.stderr
