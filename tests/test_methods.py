"""Metafiles: what is read from them, and what is refused."""
import pytest

from mmcoop import methods
from mmcoop.methods import (all_methods, find_method, get_method, methods_in,
                            register_configs)

from .conftest import ROOT

METAFILE = '''
Collections: [{{Name: Mine, Order: 5}}]
Models:
  - {{Name: {name}, In Collection: Mine, Config: {config}}}
'''


@pytest.fixture
def registry(monkeypatch):
    """What a test registers is forgotten after it."""
    all_methods()
    monkeypatch.setattr(methods, '_registered', dict(methods._registered))
    monkeypatch.setattr(methods, '_read', set(methods._read))


def write(folder, name='mine', config='mine.py', text=METAFILE):
    folder.mkdir()
    (folder / 'mine.py').touch()
    (folder / 'metafile.yml').write_text(
        text.format(name=name, config=config))
    return folder


def test_published_numbers():
    """Fig. 3 and Table 1 of the paper differ by 0.02 on ImageNet."""
    coop = get_method('coop-m16-end')
    at = ('imagenet', 'RN50', 16)
    assert [coop.find_published(table, *at).metrics[methods.TOP1]
            for table in ('few-shot', 'domain')] == [62.97, 62.95]
    assert coop.find_published('few-shot', 'imagenet', 'RN50', 8) is None
    # what was measured here is no published number
    assert not any(row.backbone.startswith('mini')
                   for method in all_methods() for row in method.published)


@pytest.mark.parametrize('path', sorted(ROOT.glob('configs/*/metafile.yml')),
                         ids=lambda path: path.parent.name)
def test_they_are_model_indexes(path):
    """As OpenMMLab's own tools read them."""
    from modelindex.load_model_index import load
    index = load(str(path))
    index.build_models_with_collections()
    names = [model.name for model in index.models]
    assert names == [method.name for method in all_methods()
                     if method.config.parent == path.parent]
    for model in index.models:
        assert (ROOT / model.config).is_file()
        assert (ROOT / model.full_model.readme).is_file()


def test_settings_in_brackets():
    assert find_method('coop-m4-end (50 epochs)').name == 'coop-m4-end'
    assert find_method('nobody') is None


def test_an_outside_folder(registry, tmp_path):
    folder = write(tmp_path / 'a')
    method, = register_configs(tmp_path)
    assert (method.title, method.learns) == ('mine', True)
    assert get_method('mine') is method and method not in methods_in('domain')
    # between zero-shot and the linear probe; and read once
    order = [m.name for m in all_methods()]
    assert order.index('mine') == order.index('linear-probe') - 1
    assert register_configs(folder) == []


@pytest.mark.parametrize('change,message', [
    (dict(name='coop-m16-end'), "'coop-m16-end' is registered already"),
    (dict(config='gone.py'), 'the config gone.py of mine does not exist'),
    (dict(text='Models: {{'), 'is no metafile of methods'),
    (dict(text='Models: [{{Name: x}}]'), 'is no metafile of methods'),
    (dict(text='3'), 'is no metafile of methods'),
], ids=str)
def test_mistakes(registry, tmp_path, change, message):
    write(tmp_path / 'a', **change)
    with pytest.raises(ValueError, match=message):
        register_configs(tmp_path)


def test_no_metafile(tmp_path):
    with pytest.raises(FileNotFoundError, match='no metafile.yml in'):
        register_configs(tmp_path)
