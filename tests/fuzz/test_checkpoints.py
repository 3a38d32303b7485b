"""Checkpoints with other bytes or another record: a sentence, no code."""
import copy
import json
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mmcoop
from mmcoop.clip import CLIPLoadError
from mmcoop.heads.record import read_record
from mmcoop.heads.saved_prompt import SavedPrompt
from mmcoop.safe_load import check_is_safe

from .examples import damaged, damaged_archive, edited, examples, says

ERRORS = (ValueError, CLIPLoadError, OSError)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A module that a dotted name in a file would import."""
    (tmp_path / 'fuzz_canary.py').write_text('class Thing: pass\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    assert 'fuzz_canary' not in sys.modules


@pytest.fixture(scope='module')
def checkpoint(small_run):
    return small_run / 'epoch_2.pth'


def test_bytes(checkpoint, tmp_path, canary):
    path, whole = tmp_path / 'epoch_2.pth', checkpoint.read_bytes()

    @examples(60, 4000)
    @given(damaged_archive(whole))
    def run(content):
        path.write_bytes(content)
        with says(path, ValueError):
            check_is_safe(str(path))
        with says(path, *ERRORS):
            mmcoop.load(path, device='cpu')

    run()


def test_what_it_says_of_its_model(checkpoint, tmp_path, canary):
    path = tmp_path / 'epoch_2.pth'
    content = torch.load(checkpoint, weights_only=True)

    @examples(60, 4000)
    @given(edited(content['meta']['mmcoop']))
    def run(record):
        changed = dict(content, meta=dict(mmcoop=record))
        torch.save(changed, path)
        with says(path, *ERRORS):
            mmcoop.load(path, device='cpu')

    run()


def test_record_in_the_state_dict(checkpoint, tmp_path, canary):
    path = tmp_path / 'epoch_2.pth'
    content = torch.load(checkpoint, weights_only=True)
    whole = read_record(content['state_dict']['head.record'])
    model = mmcoop.load(checkpoint, device='cpu').model

    @examples(150, 10_000)
    @given(st.one_of(
        edited(whole).map(lambda value: json.dumps(value).encode()),
        damaged(json.dumps(whole).encode()), st.just(b'[' * 100_000)),
        st.sampled_from([torch.uint8] * 9 + [torch.float]))
    def run(raw, dtype):
        state = copy.copy(content['state_dict'])
        state['head.record'] = torch.tensor(list(raw), dtype=dtype)
        with says('', ValueError, RuntimeError):
            model.load_state_dict(state)
        torch.save(dict(state_dict=state), path)
        with says(path, ValueError):
            SavedPrompt(str(path))

    run()


@pytest.mark.parametrize('key', ['temperature', 'image_tower', 'model'])
def test_a_field_is_missing(checkpoint, tmp_path, key):
    content = torch.load(checkpoint, weights_only=True)
    del content['meta']['mmcoop'][key]
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=f'is damaged: .*{key}'):
        mmcoop.load(tmp_path / 'x.pth', device='cpu')


@pytest.mark.parametrize('value', [
    torch.tensor(10**12), torch.ones(2, 2, dtype=torch.uint8), 'text', None])
def test_a_record_that_is_no_tensor_of_text(checkpoint, value):
    model = mmcoop.load(checkpoint, device='cpu').model
    state = dict(torch.load(checkpoint)['state_dict'])
    state['head.record'] = value
    with pytest.raises(ValueError, match='record of this checkpoint|holds no'):
        model.load_state_dict(state)
        read_record(value)
