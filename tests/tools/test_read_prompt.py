"""tools/analysis_tools/read_prompt.py as a person runs it."""
import json
import runpy
import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS

from ..conftest import ROOT, custom_config

TOOL = str(ROOT / 'tools/analysis_tools/read_prompt.py')


def tool(*args):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', TOOL, *map(str, args)], cwd=ROOT,
        capture_output=True, text=True)


@pytest.fixture
def saved(tmp_path, photos, small_clip):
    """A class-specific prompt of five classes: (config, checkpoint)."""
    cfg = custom_config(tmp_path, photos, small_clip)
    cfg.model.head.prompt.class_specific = True
    cfg.dump(tmp_path / 'run.py')
    model = MODELS.build(cfg.model)
    model.set_classes(['fox', 'snow', 'grass', 'river', 'lake'])
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_2.pth')
    return tmp_path / 'run.py', tmp_path / 'epoch_2.pth'


@pytest.mark.slow
def test_tables_and_json(saved):
    config, checkpoint = saved
    done = tool(config, checkpoint, '--top', '2')
    assert done.returncode == 0, done.stderr[-3000:]
    for words in ('coop-m4-end-csc', 'Context of fox', 'Context of grass',
                  '"a photo of a"', '2 more classes'):
        assert words in done.stdout
    report = json.loads(
        checkpoint.with_name('epoch_2_prompt.json').read_text())
    assert report['checkpoint'] == str(checkpoint)
    assert [context['class_name'] for context in report['contexts']] == [
        'fox', 'snow', 'grass']
    assert len(report['contexts'][0]['vectors'][3]) == 2


@pytest.mark.slow
def test_choices(saved, tmp_path):
    out = tmp_path / 'lake.json'
    done = tool(*saved, '--classes', 'lake', '--phrases', 'art of a', 'my',
                '--out', out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Context of lake' in done.stdout and 'more' not in done.stdout
    report = json.loads(out.read_text())
    assert len(report['contexts']) == 1
    assert [row['phrase'] for row in report['phrases']] == ['art of a', 'my']


def test_mistakes(saved, capsys):
    config, checkpoint = map(str, saved)
    parse_args = runpy.run_path(TOOL)['parse']
    for args, message in (
            (['gone.pth'], 'there is no checkpoint gone.pth'),
            ([checkpoint, '--top', '0'], 'one word at least'),
            ([checkpoint, '--out', '/nowhere/x.json'],
             '/nowhere cannot be written to')):
        with pytest.raises(SystemExit):
            parse_args([config, *args])
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_an_unknown_class_shows_before_the_clip_is_loaded(saved):
    done = tool(*saved, '--classes', 'rivers')
    assert done.returncode != 0
    assert "'rivers': did you mean river?" in done.stderr
    assert 'CLIP' not in done.stdout
