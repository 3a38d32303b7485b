"""Checkpoints that mmcoop.load refuses, with nothing of them run."""
from types import SimpleNamespace

import mmpretrain.registry
import pytest
import torch

import mmcoop


def test_what_says_nothing(small_run, tmp_path):
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


def test_a_later_format(edit):
    with pytest.raises(ValueError, match='update mmcoop'):
        mmcoop.load(edit(format=2))


@pytest.mark.parametrize('kind', [
    'evil.Model', 'mmcoop.evil.Model', 'os.system', 'evil', 7,
    'mmpretrain.evil_function'])
def test_unregistered_types_import_nothing(kind, edit, tmp_path,
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


def test_arguments_that_are_code(edit, tmp_path, monkeypatch):
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
def test_odd_tensors(name, value, small_run, tmp_path):
    content = torch.load(small_run / 'epoch_2.pth')
    content['state_dict'][name] = value
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='x.pth is damaged'):
        mmcoop.load(tmp_path / 'x.pth')


def test_what_is_no_classifier(edit):
    with pytest.raises(ValueError, match='GlobalAveragePooling is no cl'):
        mmcoop.load(edit(model=dict(
            type='mmpretrain.GlobalAveragePooling')))
    with pytest.raises(ValueError, match='names of its classes'):
        mmcoop.load(edit(classes=[1, 2]))


def test_pickled_objects(small_run, tmp_path):
    content = torch.load(small_run / 'epoch_2.pth')
    content['meta']['mmcoop']['model'] = SimpleNamespace()
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='pickled objects'):
        mmcoop.load(tmp_path / 'x.pth')
