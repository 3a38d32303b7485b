"""Exported files: equal to PyTorch, whole or absent, usable without mmcoop."""
import io
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.runner import Runner
from PIL import Image

import mmcoop
from mmcoop.apis import Classifier, export, graph_files
from mmcoop.apis.graph import ExportError
from mmcoop.clip import CLIPLoadError
from mmcoop.protocol.execute import tool_main

from ..conftest import DATA, ROOT, custom_config, make_photos
from .conftest import run_without

CLASSES = ['red fox', 'snow', 'gras & Grün']
FORMATS = {'onnx': '.onnx', 'torchscript': '.pt', 'torch-export': '.pt2',
           'mmpretrain': '.py'}


@pytest.fixture
def classifier(small_clip, request):
    """A context for CLASSES, at a random start, with a temperature."""
    mode, as_shown = getattr(request, 'param', ('shortest', False))
    torch.manual_seed(0)
    model = mmcoop.models.CoOp(
        clip=small_clip, head=dict(
            type='mmcoop.PromptLearnerHead', classes=CLASSES,
            prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4))).eval()
    model.head.temperature = 1.5
    load = dict(type='mmcoop.LoadImage', as_shown=True) if as_shown \
        else dict(type='mmcoop.LoadImage')
    pipeline = [
        load, dict(type='mmcoop.CLIPResize', scale=32, resize_mode=mode),
        dict(type='PackInputs')]
    return Classifier(model, Compose(pipeline), dict(
        method='coop', classes=CLASSES, test_pipeline=pipeline,
        preprocessing=dict(
            size=32, resize_mode=mode, interpolation='bicubic',
            mean=[.48145466, .4578275, .40821073],
            std=[.26862954, .26130258, .27577711])))


@pytest.fixture
def pictures(tmp_path):
    """Images of several shapes and kinds."""
    rng = np.random.default_rng(0)
    files = sorted(map(str, DATA.glob('eurosat/2750/*/*.jpg')))[:2]
    image = Image.fromarray(rng.integers(0, 256, (50, 91, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, kind, options in (
            ('wide.png', 'RGB', {}), ('grey.png', 'L', {}),
            ('alpha.png', 'RGBA', {}), ('palette.gif', 'P', {}),
            ('cmyk.jpg', 'CMYK', {}), ('turned.jpg', 'RGB', {'exif': turned})):
        files.append(str(tmp_path / name))
        image.convert(kind).save(files[-1], **options)
    return files


@pytest.mark.parametrize('format', FORMATS)
def test_formats(format, classifier, pictures, tmp_path):
    if format == 'onnx':
        pytest.importorskip('onnxruntime')
    out = tmp_path / f'model{FORMATS[format]}'
    about = export.export(classifier, format, out, pictures[:6])
    assert json.loads((tmp_path / f'{out}.json').read_text()) == about
    assert about['classes'] == CLASSES
    assert about['temperature'] == 1.5
    assert about['check']['batch_sizes'] == [6, 1]
    assert 0 <= about['check']['probabilities'] < 1e-6
    assert not list(tmp_path.glob('*.part*'))
    expected = classifier.logits(pictures) / 1.5
    samples = export.read_samples(classifier, pictures)  # a third batch size
    if format == 'onnx':
        run = graph_files.load_onnx(out)
    elif format == 'torchscript':
        extra = {'mmcoop.json': ''}
        run = torch.jit.load(str(out), _extra_files=extra)
        assert json.loads(extra['mmcoop.json'])['classes'] == CLASSES
    elif format == 'torch-export':
        extra = {'mmcoop.json': ''}
        run = torch.export.load(out, extra_files=extra).module()
        assert json.loads(extra['mmcoop.json'])['classes'] == CLASSES
    else:
        meta = torch.load(out.with_suffix('.pth'), weights_only=True)['meta']
        assert meta['dataset_meta']['classes'] == CLASSES
        return
    logits, probabilities = run(samples.inputs)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(probabilities, expected.softmax(1), rtol=0,
                               atol=1e-5)


@pytest.mark.parametrize('format', ['onnx', 'mmpretrain'])
def test_differences_leave_no_file(format, classifier, pictures, tmp_path,
                                   monkeypatch):
    if format == 'onnx':
        pytest.importorskip('onnxruntime')
    fold = export.ClassifierGraph

    def wrong(*args):
        graph = fold(*args)
        graph.head.bias += torch.tensor([0., 0., .1])
        return graph

    monkeypatch.setattr(export, 'ClassifierGraph', wrong)
    folder = tmp_path / 'out'
    with pytest.raises(ExportError, match='probabilities differ by up to'):
        export.export(classifier, format,
                      folder / f'model{FORMATS[format]}', pictures[:3])
    assert not list(folder.iterdir())


def test_nan_is_no_agreement():
    logits = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(ExportError):
        export.compare(lambda x: (x * torch.nan, x), logits, logits, 1e9)


def test_plot_has_a_loop(small_clip, classifier, pictures, tmp_path):
    """It stops by values, at another step for other images."""
    pytest.importorskip('onnxruntime')
    classifier.model = mmcoop.models.CoOp(
        clip=small_clip, head=dict(
            type='mmcoop.PromptLearnerHead', classes=CLASSES,
            prompt=dict(type='mmcoop.TransportPrompt', n_ctx=4,
                        tolerance=1e-5))).eval()
    classifier.model.head.temperature = None
    for format in ('onnx', 'torchscript'):
        export.export(classifier, format, tmp_path / f'x{FORMATS[format]}',
                      pictures)
    with pytest.raises(ExportError, match='--format onnx or torchscript'):
        export.export(classifier, 'torch-export', tmp_path / 'x.pt2', pictures)


@pytest.mark.parametrize('classifier, with_preprocessing', [
    (('shortest', False), False), (('squash', False), True),
    (('longest', False), False),
    (('shortest', True), True)], indirect=['classifier'])
def test_example_without_torch(with_preprocessing, classifier, pictures,
                               tmp_path):
    pytest.importorskip('onnxruntime')
    out = tmp_path / 'model.onnx'
    export.export(classifier, 'onnx', out, pictures, with_preprocessing)
    printed = run_without(
        ['torch', 'torchvision', 'mmcoop', 'mmengine', 'mmpretrain', 'mmcv'],
        ROOT / 'docs/examples/serve_onnx.py', out, *pictures)
    for line, path, one in zip(printed.splitlines(), pictures,
                               classifier.predict(pictures), strict=True):
        assert line.startswith(path)
        found = json.loads(line[len(path):])
        assert list(found) == CLASSES
        np.testing.assert_allclose([*found.values()], one['probabilities'],
                                   atol=1e-3)


def test_example_serves(classifier, pictures, tmp_path, monkeypatch):
    """Its WSGI application, without the server of the standard library."""
    pytest.importorskip('onnxruntime')
    out = tmp_path / 'model.onnx'
    export.export(classifier, 'onnx', out, pictures)
    monkeypatch.setattr(sys, 'argv', ['serve_onnx.py', str(out), pictures[0]])
    serve = runpy.run_path(str(ROOT / 'docs/examples/serve_onnx.py'))['serve']
    body, status = Path(pictures[1]).read_bytes(), []
    request = {'CONTENT_LENGTH': str(len(body)),
               'wsgi.input': io.BytesIO(body)}
    answer, = serve(request, lambda *args: status.extend(args))
    assert status[0] == '200 OK'
    one, = classifier.predict(pictures[1])
    np.testing.assert_allclose([*json.loads(answer).values()],
                               one['probabilities'], atol=1e-3)


STOCK = '''
import json, sys
from mmpretrain import ImageClassificationInferencer
run = ImageClassificationInferencer(sys.argv[1], pretrained=sys.argv[2])
found = run(sys.argv[3:], batch_size=3)
assert not any(name.startswith('mmcoop') for name in sys.modules)
with open(sys.argv[1] + '.found', 'w') as file:
    json.dump([(one['pred_class'], one['pred_scores'].tolist())
               for one in found], file)
'''


@pytest.mark.parametrize(
    'classifier', [('squash', False), ('longest', False)], indirect=True)
def test_other_resizing_in_stock(classifier, pictures, tmp_path):
    out = tmp_path / 'model.py'
    if classifier.preprocessing['resize_mode'] == 'squash':
        about = export.export(classifier, 'mmpretrain', out, pictures[:4])
        assert about['check']['probabilities'] < 1e-6
        return
    with pytest.raises(ExportError, match='no transforms.*longest'):
        export.export(classifier, 'mmpretrain', out, pictures)
    classifier.preprocessing.update(resize_mode='shortest', mean=None)
    with pytest.raises(ExportError, match='no transforms.*None'):
        export.export(classifier, 'mmpretrain', out, pictures)


@pytest.mark.slow
def test_stock_without_mmcoop(classifier, pictures, tmp_path):
    out = tmp_path / 'model.py'
    pictures = pictures[:3]  # the inferencer reads others by OpenCV
    export.export(classifier, 'mmpretrain', out, pictures)
    assert 'mmcoop' not in out.read_text()
    (tmp_path / 'stock.py').write_text(STOCK)
    run_without(['mmcoop', 'open_clip'], tmp_path / 'stock.py', out,
                out.with_suffix('.pth'), *pictures)
    found = json.loads((tmp_path / 'model.py.found').read_text())
    for (name, scores), one in zip(found, classifier.predict(pictures),
                                   strict=True):
        assert name == one['label']
        np.testing.assert_allclose(scores, one['probabilities'], atol=1e-4)


@pytest.mark.slow
def test_tool(tmp_path, small_clip, capsys, monkeypatch):
    """From the folder of a run in half precision to a file in fp32."""
    pytest.importorskip('onnxruntime')
    photos = make_photos(tmp_path / 'photos', {'fox': 6, 'snow': 6})
    clip = dict(small_clip, precision='bf16')
    cfg = custom_config(tmp_path, photos, clip, max_epochs=1)
    Runner.from_cfg(mmcoop.resolve(cfg)).train()
    main = tool_main(ROOT / 'tools/export.py')
    main([str(tmp_path / 'work'), '--images', str(photos)])
    out, = (tmp_path / 'work/export').glob('*.onnx')
    words = capsys.readouterr().out
    assert f'{out}: ' in words and 'batches of 12 and 1' in words
    about = json.loads(out.with_name(out.name + '.json').read_text())
    assert about['classes'] == ['fox', 'snow']
    main([str(tmp_path / 'work'), '--classes', 'a wolf', 'ice', 'sand',
          '--out', str(tmp_path / 'wolf.onnx')])
    about = json.loads((tmp_path / 'wolf.onnx.json').read_text())
    assert about['classes'] == ['a wolf', 'ice', 'sand']
    assert '8 drawn images' in capsys.readouterr().out
    checkpoint = next((tmp_path / 'work').glob('*.pth'))
    for flags, words in (
            (['--out', str(tmp_path)], 'give a file with the suffix .onnx'),
            (['--out', str(checkpoint.with_suffix('.py')),
              '--format', 'mmpretrain'], 'would replace the checkpoint'),
            (['--images', str(tmp_path / 'none.jpg')], 'there is no '),
            (['--images', str(tmp_path / 'work/export')], 'no image in'),
            (['--classes', 'one'], 'at least two'),
            (['--format', 'mmpretrain', '--with-preprocessing'],
             'leave out --with-preprocessing'),
            (['--opset', '5'], '--opset 5'),
            (['--clip', 'none.pt'], 'none.pt')):
        with pytest.raises((ValueError, OSError, CLIPLoadError), match=words):
            main([str(checkpoint), *flags])


def test_out(classifier, pictures, tmp_path):
    """Only what would replace the checkpoint is refused beside it."""
    checkpoint = tmp_path / 'epoch_2.pth'
    for format, suffix in FORMATS.items():
        out = checkpoint.with_suffix(suffix)
        if format == 'mmpretrain':
            with pytest.raises(ExportError, match='would replace'):
                export.check_out(out, format, checkpoint)
        else:
            export.check_out(out, format, checkpoint)
        with pytest.raises(ExportError, match=f'the suffix {suffix}'):
            export.export(classifier, format, tmp_path / 'x.bin', pictures)
    with pytest.raises(ExportError, match='no images'):
        export.export(classifier, 'torchscript', tmp_path / 'x.pt', [])


def test_missing_packages(monkeypatch):
    monkeypatch.setattr(export.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match='pip install onnx onnxruntime'):
        export.check_requirements('onnx')
    export.check_requirements('torchscript')
