"""Any bytes in a file that users give: a sentence, and nothing is run."""
import json
import pickle
import sys
import types

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmcoop.apis import read_published
from mmcoop.clip import CLIPLoadError
from mmcoop.clip.weights import read_state_dict
from mmcoop.datasets.draw_file import read_draw_file
from mmcoop.datasets.photo_lists import read_list, read_names
from mmcoop.datasets.split_file import read_split_file
from mmcoop.methods import read_metafile
from mmcoop.safe_load import check_is_safe

from ..clip.test_loading import as_archive
from ..conftest import GOLDEN, ROOT
from .examples import (anything, damaged, damaged_archive, edited, examples,
                       says)

SPLIT = dict(train=[['a.jpg', 0, 'cat'], ['b.jpg', 1, 'dog']],
             val=[['c.jpg', 1, 'dog']], test=[['d.jpg', 0, 'cat']])
LIST = 'path,label,split\n1.jpg,cat,train\n"2, b.jpg",dog,test\n'
NAMES = 'n01: a cat\nn02: a dog\n'
text = st.text(st.characters(exclude_categories=['Cs']), max_size=40)


def contents(whole: bytes) -> st.SearchStrategy:
    return st.one_of(damaged(whole), st.binary(max_size=60),
                     text.map(str.encode))


def test_split_files(tmp_path):
    path = tmp_path / 'split.json'
    deep = b'[' * 100_000

    @examples(250, 20_000)
    @given(st.one_of(
        edited(SPLIT).map(lambda value: json.dumps(value).encode()),
        contents(json.dumps(SPLIT).encode()), st.just(deep)))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError):
            lists = read_split_file(str(path))
            # what passes is what data sets rely on
            labels = {label for items in lists.items.values()
                      for _, label in items}
            assert labels == set(range(len(lists.classes)))
            assert all(isinstance(file, str) for items in
                       lists.items.values() for file, _ in items)

    run()


def test_lists_of_photos(tmp_path):
    path = tmp_path / 'list.csv'
    (tmp_path / '1.jpg').touch()

    @examples(250, 20_000)
    @given(contents(LIST.encode()))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError, FileNotFoundError):
            rows = read_list(str(path))
            assert rows and all(row.path and row.label for row in rows)

    run()


@pytest.mark.parametrize('name', ['names.txt', 'names.json'])
def test_names_of_classes(tmp_path, name):
    path, classes = tmp_path / name, ['n01', 'n02']
    whole = NAMES if name == 'names.txt' else '{"n01": "cat", "n02": "dog"}'

    @examples(150, 10_000)
    @given(contents(whole.encode()) | anything.map(
        lambda value: json.dumps(value).encode()) | st.just(b'[' * 100_000))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError):
            found = read_names(str(path), classes)
            assert list(found) == classes and all(found.values())

    run()


def make_draw() -> bytes:
    """As the published code writes it, of a class that is not there."""
    modules = [types.ModuleType(name) for name in (
        'dassl', 'dassl.data', 'dassl.data.datasets')]
    kind = type('Datum', (), dict(__module__='dassl.data.datasets'))
    modules[-1].Datum = kind
    before = {m.__name__: sys.modules.get(m.__name__) for m in modules}
    sys.modules.update((m.__name__, m) for m in modules)
    try:
        items = []
        for i in range(3):
            item = kind()
            item.__dict__.update(_impath=f'/d/{i}.jpg', _label=i, _domain=0,
                                 _classname='cat')
            items.append(item)
        return pickle.dumps(dict(train=items, val=items[:1]))
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def test_draws(tmp_path):
    path, whole = tmp_path / 'shot_1-seed_1.pkl', make_draw()
    path.write_bytes(whole)
    assert [image.label for image in read_draw_file(
        str(path))['train']] == [0, 1, 2]

    @examples(250, 20_000)
    @given(contents(whole) | anything.map(pickle.dumps))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError):
            for images in read_draw_file(str(path)).values():
                assert all(isinstance(image.label, int) for image in images)

    run()


def test_published_checkpoints(tmp_path):
    path = tmp_path / 'model.pth.tar-50'
    found = sorted(GOLDEN.glob('published_checkpoints/**/*.tar-*'))
    wholes = [file.read_bytes() for file in found]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 1.)
    torch.save(dict(state_dict=dict(ctx=torch.ones(2, 3)), epoch=7,
                    optimizer=optimizer.state_dict(),
                    scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(
                        optimizer, 5)), path,
               _use_new_zipfile_serialization=False)
    old = path.read_bytes()
    assert wholes

    @examples(80, 4000)
    @given(st.one_of(*map(damaged_archive, wholes), damaged(old),
                     st.binary(max_size=60)))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError):
            assert read_published(path).tensors['ctx'].ndim in (2, 3)

    run()


@pytest.mark.parametrize('kind', ['plain', 'old', 'archive', 'safetensors'])
def test_weights_of_a_clip(tmp_path, kind):
    from safetensors.torch import save_file
    path = tmp_path / ('w.safetensors' if kind == 'safetensors' else 'w.pt')
    state = {'visual.proj': torch.ones(3, 4), 'a.b': torch.ones(2).half()}
    if kind == 'archive':
        as_archive(state, path)
    elif kind == 'safetensors':
        save_file(state, path)
    else:
        torch.save(dict(state_dict=state), path,
                   _use_new_zipfile_serialization=kind == 'plain')
    whole = path.read_bytes()
    assert set(read_state_dict(str(path))[0]) == set(state)

    @examples(80, 4000)
    @given(damaged_archive(whole) if kind in ('plain', 'archive')
           else damaged(whole))
    def run(content):
        path.write_bytes(content)
        with says(path, CLIPLoadError):
            found, _ = read_state_dict(str(path))
            assert all(torch.is_tensor(value) for value in found.values())
        if kind != 'safetensors':
            with says(path, ValueError):
                check_is_safe(str(path))

    run()


def test_metafiles(tmp_path):
    (tmp_path / 'a/b/c').mkdir(parents=True)
    path = tmp_path / 'a/b/c/metafile.yml'
    (path.parent / 'x.py').touch()
    whole = (ROOT / 'configs/coop/metafile.yml').read_text(encoding='utf-8')
    value = yaml.safe_load(whole)
    value = dict(
        Collections=[dict(value['Collections'][0], Notes=[])],
        Models=[dict(value['Models'][0], Config='x.py')])

    @examples(80, 10_000)
    @given(st.one_of(edited(value).map(lambda v: yaml.safe_dump(v).encode()),
                     contents(yaml.safe_dump(value).encode()),
                     st.just(b'[' * 400),
                     st.just(b'!!python/object/apply:os.system ["true"]')))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError):
            read_metafile(path)

    run()
