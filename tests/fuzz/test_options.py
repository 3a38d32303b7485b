"""``--cfg-options``: any text is taken as it was meant, or refused."""
import copy
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmcoop.cfg_options import merge_options, parse_values
from mmcoop.config import check_options
from mmcoop.methods import configs_folder

from .examples import examples, nothing_runs

CONFIG = str(configs_folder() / 'coop/coop_demo.py')
letters = st.characters(exclude_categories=['Cs'])
values = st.text(letters, max_size=12) | st.text(
    '[](),\'"{} a1.-', max_size=12) | st.sampled_from([
        '__import__("os").system("true")', '[__import__("os")]', '9' * 5000,
        '[' * 300 + ']' * 300, '(' * 300 + ')' * 300, '[{[]: 1}]', 'nan',
        '[a photo of a {}., the {}.]', '{{_base_.x}}', '${seed}', '[1,'])


@examples(300, 50_000)
@given(values)
def test_values(value):
    """No code, no crash; and letters of it are never lost."""
    with nothing_runs():
        try:
            found = parse_values({'key': value})['key']
        except ValueError as error:
            assert str(error).startswith('key=')
            return
    if isinstance(found, str):
        assert found == value or found == value.strip('\'"')
    elif isinstance(found, (list, tuple)):
        for item in _flatten(found):
            assert not isinstance(item, str) or item in value
    elif isinstance(found, float) and math.isnan(found):
        assert 'nan' in value.lower()
    else:
        assert found is None or isinstance(found, (bool, int, float))


def _flatten(items):
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from _flatten(item)
        else:
            yield item


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(CONFIG)


def test_options(cfg):
    """An option is refused, or the config holds it afterwards."""
    places = ['shots', 'seed', 'max_epochs', 'model', 'model.head',
              'model.head.prompt.n_ctx', 'model.clip.pretrained',
              'custom_hooks', 'custom_hooks.0.type', 'train_dataloader.x',
              'train_dataloader.dataset.pipeline.0.type', 'shots.x', 'shot',
              'custom_hooks.99.x', 'custom_hooks.x', 'model..head', '.', '']
    keys = st.sampled_from(places) | st.text('shot.model0_', max_size=8) | \
        st.lists(st.sampled_from(['model', 'head', '0', 'x', 'type', '-1']),
                 min_size=1, max_size=4).map('.'.join)

    @examples(150, 5000)
    @given(keys, values)
    def run(key, value):
        changed = copy.deepcopy(cfg)
        try:
            check_options(CONFIG, {key: value})
            options = parse_values({key: value})
            merge_options(changed, options)
        except ValueError as error:
            assert key in str(error) and len(str(error)) > len(key) + 10
            return
        part = changed._cfg_dict
        for name in key.split('.'):
            part = part[int(name)] if isinstance(part, list) else part[name]
        assert repr(part) == repr(options[key])

    run()
