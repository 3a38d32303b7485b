"""A checkpoint alone gives the classifier (all methods: test_contract.py)."""
import copy
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import mmpretrain.registry
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import mmcoop
from mmcoop.apis.load import check_device
from mmcoop.clip import CLIPLoadError
from mmcoop.engine.model_record import make_model_record
from mmcoop.registry import MODELS

CLASSES = ['grass', 'red_fox', 'snow']


@pytest.fixture(scope='session')
def classifier(small_run):
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return mmcoop.load(small_run, device='cpu')


@pytest.fixture
def files(small_run):
    return sorted(map(str, small_run.parent.glob('photos/*/*.png')))


@pytest.fixture
def edit(small_run, tmp_path):
    """Write a copy of the checkpoint with another record."""

    def write(**changes):
        content = torch.load(small_run / 'epoch_2.pth')
        record = content['meta']['mmcoop']
        for key, value in changes.items():
            part, *rest = key.split('__')
            if rest:
                record[part][rest[0]] = value
            else:
                record[part] = value
        torch.save(content, tmp_path / 'edited.pth')
        return tmp_path / 'edited.pth'

    return write


def save(path, model, pipeline=(), **settings):
    """A checkpoint without training."""
    built = MODELS.build(copy.deepcopy(model))
    getattr(built, 'set_classes', getattr(built.head, 'set_classes', list))(
        CLASSES)
    data = SimpleNamespace(metainfo=dict(classes=CLASSES))
    runner = SimpleNamespace(
        model=built, train_dataloader=SimpleNamespace(dataset=data),
        cfg=Config(dict(
            model=model, test_dataloader=dict(dataset=dict(
                type='x', pipeline=list(pipeline))), **settings)))
    torch.save(dict(meta=dict(mmcoop=make_model_record(runner)),
                    state_dict=built.state_dict()), path)
    return path


def test_import_is_light():
    code = "import sys, mmcoop; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, '-c', code], check=True)
    with pytest.raises(AttributeError, match='lode'):
        mmcoop.lode


def test_kinds_of_images(classifier, files):
    expected = classifier.logits(files, batch_size=3)
    assert expected.shape == (16, 3) and not expected.requires_grad
    images = [Image.open(path) for path in files]
    arrays = [np.asarray(image) for image in images]
    for kind in (images, arrays, list(map(Path, files)), np.stack(arrays)):
        torch.testing.assert_close(classifier.logits(kind), expected,
                                   rtol=0, atol=1e-5)
    assert torch.equal(classifier.logits(files[0]), classifier.logits(
        files[:1]))
    grey = Image.open(files[0]).convert('L')
    assert classifier.logits(grey).shape == (1, 3)
    assert classifier.predict([]) == []
    assert torch.equal(classifier.logits(path for path in files),
                       classifier.logits(files))
    late = Image.open(files[0])  # it is decoded when it is used
    assert len(classifier.predict(iter([late] * 20))) == 20
    for wrong in (grey.convert('I'), arrays[0] / 255, arrays[0][..., 0], 7,
                  arrays[0][:0], None):
        for images in (wrong, [wrong]):
            with pytest.raises(TypeError, match='an image is a path'):
                classifier.predict(images)
    with pytest.raises(OSError, match='cannot read the image nothere.jpg'):
        classifier.predict([files[0], 'nothere.jpg'])
    with pytest.raises(ValueError, match='batch_size=0'):
        classifier.predict(files, batch_size=0)


def test_probabilities_have_the_temperature(edit, classifier, files):
    logits = classifier.logits(files)
    for temperature in (None, 4.):
        other = mmcoop.load(edit(temperature=temperature), device='cpu')
        assert other.temperature == temperature
        for path, row, found in zip(files, logits, other.predict(
                files, threshold=.9)):
            wanted = (row / (temperature or 1)).double().softmax(0)
            np.testing.assert_allclose(found['probabilities'], wanted,
                                       atol=1e-6)
            assert found['score'] == max(found['probabilities'])
            assert found['path'] == path
            assert found['label'] == (
                CLASSES[row.argmax()] if wanted.max() >= .9 else None)


def test_the_hosts_inferencer(classifier, files):
    found = classifier.inferencer()(files)
    expected = classifier.logits(files).softmax(1)
    for one, row in zip(found, expected):
        np.testing.assert_allclose(one['pred_scores'], row, atol=1e-5)
        assert one['pred_class'] == CLASSES[row.argmax()]


def test_other_classes(edit, files, small_clip, tmp_path):
    found = mmcoop.load(edit(), device='cpu')
    assert found.class_features().shape == (3, 32)
    found.set_classes(['cat', 'dog'])
    with pytest.raises(TypeError, match="'cat'.: give a list of names"):
        found.set_classes('cat')
    assert found.logits(files[:2]).shape == (2, 2)
    assert found.predict(files[0])[0]['label'] in found.classes
    specific = dict(type='mmcoop.CoOp', clip=small_clip, head=dict(
        type='mmcoop.PromptLearnerHead', prompt=dict(
            type='mmcoop.ContextPrompt', n_ctx=2, class_specific=True)))
    found = mmcoop.load(save(tmp_path / 'x.pth', specific), device='cpu')
    found.set_classes(CLASSES)
    for others in (['cat', 'dog'], ['cat', 'dog', 'cow']):
        with pytest.raises(ValueError, match='and no others. For classes wi'):
            found.set_classes(others)


def test_conditional_and_linear_have_no_class_features(small_clip, tmp_path):
    for head, reason in (
            (dict(type='mmcoop.PromptLearnerHead',
                  prompt=dict(type='mmcoop.ConditionalContextPrompt')),
             'follow from each image'),
            (dict(type='mmcoop.LinearProbeHead'), 'image features alone')):
        found = mmcoop.load(save(tmp_path / 'x.pth', dict(
            type='mmcoop.CoOp', clip=small_clip, head=head)), device='cpu')
        with pytest.raises(TypeError, match=reason):
            found.class_features()


LINEAR = dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=32)
GREY = dict(mean=[127.] * 3, std=[60.] * 3, to_rgb=True)


class TestStock:
    """Classifiers of mmpretrain with parts of ours."""

    @pytest.mark.parametrize('kind', ['linear', 'prompt', 'stock'])
    def test_built(self, kind, small_clip, tmp_path):
        model = dict(type='mmpretrain.ImageClassifier', data_preprocessor=GREY,
                     backbone=dict(type='mmcoop.ImageTower', clip=small_clip),
                     head=LINEAR)
        if kind == 'prompt':
            model['head'] = dict(
                type='mmcoop.PromptLearnerHead', clip=small_clip,
                prompt=dict(type='mmcoop.ContextPrompt', n_ctx=2))
        if kind == 'stock':
            model.update(
                backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=.1,
                              init_cfg=dict(type='Pretrained', prefix='x',
                                            checkpoint='gone.pth')),
                neck=dict(type='mmpretrain.GlobalAveragePooling'),
                head=dict(LINEAR, in_channels=1280))
        path = save(tmp_path / 'x.pth', model)
        state = torch.load(path)['state_dict']
        found = mmcoop.load(path, device='cpu')
        assert found.classes == CLASSES
        for name, tensor in found.model.state_dict().items():
            assert torch.equal(tensor, state[name])

    def test_top_level_preprocessor(self, small_clip, tmp_path):
        """mmengine's runner puts it into the model, not into the config."""
        model = dict(type='mmcoop.CoOp', clip=small_clip,
                     head=dict(type='mmcoop.LinearProbeHead'))
        path = save(tmp_path / 'x.pth', model, data_preprocessor=GREY)
        found = mmcoop.load(path, device='cpu').model.data_preprocessor
        assert found.mean.flatten().tolist() == GREY['mean']
        path = save(tmp_path / 'x.pth', dict(
            model, data_preprocessor=dict(mean=[1.] * 3, std=[1.] * 3)),
            data_preprocessor=GREY)
        found = mmcoop.load(path, device='cpu').model.data_preprocessor
        assert found.mean.flatten().tolist() == [1.] * 3

    def test_arrays_with_a_stock_pipeline(self, small_clip, tmp_path, files):
        model = dict(type='mmcoop.CoOp', clip=small_clip,
                     head=dict(type='mmcoop.LinearProbeHead'))
        steps = [dict(type='LoadImageFromFile'), dict(
            type='Resize', scale=(32, 32)), dict(type='PackInputs')]
        found = mmcoop.load(save(tmp_path / 'x.pth', model, steps),
                            device='cpu')
        array = np.asarray(Image.open(files[0]))
        assert torch.equal(found.logits(array), found.logits(files[0]))
        found = mmcoop.load(save(tmp_path / 'x.pth', model), device='cpu')
        with pytest.raises(ValueError, match='does not say how images are'):
            found.logits(array)


def test_threads(small_run, files, classifier):
    """Some load, others predict."""
    expected = classifier.logits(files)

    def load(_):
        return mmcoop.load(small_run, device='cpu').logits(files)

    def predict(_):
        return classifier.logits(files)

    with ThreadPoolExecutor(6) as pool:
        found = [*pool.map(load, range(8)), *pool.map(predict, range(8))]
    assert all(torch.equal(logits, expected) for logits in found)


@pytest.mark.parametrize('device', ['meta', 'tpu9', 'xpu', 'cuda'])
def test_a_device_that_is_not_here(device):
    if device in ('xpu', 'cuda') and getattr(torch, device).is_available():
        pytest.skip('it is here')
    with pytest.raises(ValueError, match=f'device=.{device}.: PyTorch cannot'):
        check_device(device)


class TestWeights:

    @pytest.fixture
    def moved(self, edit):
        """Another machine: the files are not where they were in training."""
        gone = {f'model__{key}': value for key, value in dict(
            clip=dict(model_name='/gone/mmcoop-test-small.json',
                      pretrained='/gone/mmcoop-test-small.pt')).items()}
        return edit(**gone)

    def test_found_beside_the_checkpoint(self, moved, small_clip, classifier,
                                         files):
        for path in small_clip.values():
            shutil.copy(path, moved.parent)
        found = mmcoop.load(moved, device='cpu')
        assert torch.equal(found.logits(files), classifier.logits(files))

    def test_found_in_the_current_folder(self, moved, small_clip, monkeypatch):
        monkeypatch.chdir(Path(small_clip['pretrained']).parent)
        mmcoop.load(moved, device='cpu')

    def test_given(self, moved, small_clip):
        mmcoop.load(moved, clip=small_clip['pretrained'], device='cpu')
        mmcoop.load(moved, clip=small_clip, device='cpu')
        mmcoop.load(moved, dict(pretrained=small_clip['pretrained']), 'cpu')

    def test_not_found(self, moved):
        with pytest.raises(CLIPLoadError, match='no /gone/mmcoop-test-small'
                           '.json, nor a mmcoop-test-small.json in .*--clip'):
            mmcoop.load(moved)
        for clip in ('x.pt', dict(precision='fp32', pretrained='x.pt')):
            with pytest.raises(CLIPLoadError, match='there is no file x.pt'):
                mmcoop.load(moved, clip=clip)

    def test_other_weights(self, moved, small_clip, tmp_path):
        state = torch.load(small_clip['pretrained'])
        for part, reason in (('visual.proj', 'image tower had the finger'),
                             ('text_projection', 'learned for the text')):
            other = {**state, part: state[part] + 1}
            torch.save(other, tmp_path / 'other.pt')
            with pytest.raises(ValueError, match=reason) as caught:
                mmcoop.load(moved, clip=dict(
                    small_clip, pretrained=str(tmp_path / 'other.pt')))
            assert '--clip FILE' in str(caught.value)

    def test_local_folder_of_open_clip(self, small_clip, tmp_path):
        before, after = tmp_path / 'a/clip', tmp_path / 'b/clip'
        before.mkdir(parents=True)
        (before / 'open_clip_config.json').write_text(json.dumps(dict(
            model_cfg=json.loads(Path(small_clip['model_name']).read_text()))))
        shutil.copy(small_clip['pretrained'],
                    before / 'open_clip_pytorch_model.bin')
        path = save(tmp_path / 'b.pth', dict(
            type='mmcoop.CoOp', clip=dict(model_name=f'local-dir:{before}'),
            head=dict(type='mmcoop.LinearProbeHead')))
        after.parent.mkdir()
        before.rename(after)
        path = path.rename(after.parent / 'b.pth')
        assert mmcoop.load(path, device='cpu').model.clip_name == \
            f'local-dir:{after}'

    def test_file_of_a_tag(self, small_clip, tmp_path, monkeypatch):
        """Weights of a tag, beside the checkpoint under their own name."""
        from open_clip import pretrained
        path = save(tmp_path / 'a.pth', dict(
            type='mmcoop.CoOp', clip=dict(small_clip, quick_gelu=True),
            head=dict(type='mmcoop.LinearProbeHead')))
        content = torch.load(path)
        clip = content['meta']['mmcoop']['model']['clip']
        del clip['quick_gelu']
        clip['pretrained'] = 'tagged'
        torch.save(content, path)
        monkeypatch.setitem(
            pretrained._PRETRAINED, 'mmcoop-test-small', dict(tagged=dict(
                url='http://localhost:9/some-clip.pt', quick_gelu=True)))
        with pytest.raises(CLIPLoadError, match='other weights are given by'):
            mmcoop.load(path)
        for beside, given in ((True, None), (False, small_clip['pretrained'])):
            if beside:
                shutil.copy(small_clip['pretrained'],
                            tmp_path / 'some-clip.pt')
            tower = mmcoop.load(path, given, 'cpu').model.backbone
            assert 'QuickGELU' in str(tower)


def test_folder_of_a_run(small_run, tmp_path):
    from mmcoop.apis.load import find_checkpoint
    folder = shutil.copytree(small_run, tmp_path / 'moved')
    assert find_checkpoint(folder) == folder / 'epoch_2.pth'
    shutil.copy(folder / 'epoch_1.pth', folder / 'best_accuracy_epoch_1.pth')
    assert find_checkpoint(folder) == folder / 'best_accuracy_epoch_1.pth'
    for name in ('gone.pth', 'vis_data'):
        (folder / 'vis_data').mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
            find_checkpoint(folder / name)


class TestRefused:

    def test_what_says_nothing(self, small_run, tmp_path):
        content = torch.load(small_run / 'epoch_2.pth')
        del content['meta']['mmcoop']
        path = tmp_path / 'old.pth'
        torch.save(content, path)
        with pytest.raises(ValueError, match='made before mmcoop 0.6.*config'):
            mmcoop.load(path)
        for other in (content['state_dict'], [1]):
            torch.save(other, path)
            with pytest.raises(ValueError, match='does not say what model'):
                mmcoop.load(path)

    def test_a_later_format(self, edit):
        with pytest.raises(ValueError, match='update mmcoop'):
            mmcoop.load(edit(format=2))

    @pytest.mark.parametrize('kind', [
        'evil.Model', 'mmcoop.evil.Model', 'os.system', 'evil', 7,
        'mmpretrain.evil_function'])
    def test_unregistered_types_import_nothing(self, kind, edit, tmp_path,
                                               monkeypatch):
        for place in ('evil.py', 'evil/__init__.py', 'evil/registry.py'):
            (tmp_path / place).parent.mkdir(exist_ok=True)
            (tmp_path / place).write_text(f'open({str(tmp_path / "ran")!r}, '
                                          '"w")\nclass Model: pass')
        monkeypatch.syspath_prepend(tmp_path)
        # as mmpretrain registers what transformers builds
        monkeypatch.setitem(
            mmpretrain.registry.MODELS._module_dict, 'evil_function',
            lambda **kwargs: (tmp_path / 'ran').touch())
        head = dict(type='mmcoop.PromptLearnerHead', prompt=dict(type=kind))
        for changes in (
                dict(model__type=kind), dict(model__head=head),
                dict(model___scope_='evil'),
                dict(model__head=dict(head, regularizers=[dict(type=kind)])),
                dict(test_pipeline=[dict(type=kind)])):
            with pytest.raises(ValueError, match='is not registered'):
                mmcoop.load(edit(**changes))
        assert not (tmp_path / 'ran').exists()

    def test_arguments_that_are_code(self, edit, tmp_path, monkeypatch):
        """Registered parts of the host that evaluate or import a text."""
        (tmp_path / 'evil.py').write_text(
            f'open({str(tmp_path / "ran")!r}, "w")')
        monkeypatch.syspath_prepend(tmp_path)
        step = dict(type='torchvision/ConvertImageDtype', dtype='float if '
                    '__import__("evil") else torch.float')
        timm = dict(type='mmpretrain.TIMMBackbone', model_name='resnet18')
        for changes in (
                dict(test_pipeline=[step]),
                dict(model__backbone=dict(timm, norm_layer='evil.Layer')),
                dict(model__backbone=dict(timm, pretrained=True)),
                dict(model__backbone=dict(type='HuggingFaceClassifier')),
                dict(model__backbone=dict(type='mmpretrain.CLIPGenerator',
                                          tokenizer_path='x.pth'))):
            with pytest.raises(ValueError, match='nothing is built of it'):
                mmcoop.load(edit(**changes))
        assert not (tmp_path / 'ran').exists()

    @pytest.mark.parametrize('name, value', [
        ('x', torch.ones(1).expand(2**40)), ('x', torch.eye(2).to_sparse()),
        ('x', torch.ones(2, device='meta')), (1, torch.ones(1)),
        ('x', torch.ones(2).to(torch.float8_e4m3fn))],
        ids=['large', 'sparse', 'meta', 'name', 'float8'])
    def test_odd_tensors(self, name, value, small_run, tmp_path):
        content = torch.load(small_run / 'epoch_2.pth')
        content['state_dict'][name] = value
        torch.save(content, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match='x.pth is damaged'):
            mmcoop.load(tmp_path / 'x.pth')

    def test_what_is_no_classifier(self, edit):
        with pytest.raises(ValueError, match='GlobalAveragePooling is no cl'):
            mmcoop.load(edit(model=dict(
                type='mmpretrain.GlobalAveragePooling')))
        with pytest.raises(ValueError, match='names of its classes'):
            mmcoop.load(edit(classes=[1, 2]))

    def test_pickled_objects(self, small_run, tmp_path):
        content = torch.load(small_run / 'epoch_2.pth')
        content['meta']['mmcoop']['model'] = SimpleNamespace()
        torch.save(content, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match='pickled objects'):
            mmcoop.load(tmp_path / 'x.pth')
