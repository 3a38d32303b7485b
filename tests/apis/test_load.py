"""A checkpoint alone gives the classifier (all methods: test_contract.py)."""
import copy
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

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
        with pytest.raises(CLIPLoadError, match='would not be read: give'):
            mmcoop.load(path, small_clip['pretrained'], 'cpu')
        mmcoop.load(path, dict(model_name=f'local-dir:{after}'), 'cpu')

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
