"""Every command and every Python block of README.md and docs/ works.

A block is run as it is written, in a folder that looks like the repository's
root with photos, data and two finished runs in it, but for what takes long: a
small CLIP instead of ViT-B/16, one epoch, a few images, EuroSAT's in place of
other data sets. Blocks that cannot be run say why, in the line before:
<!-- not run: REASON -->.
"""
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmcoop import resolve
from mmcoop.protocol.execute import tool_main

from .conftest import DATA, ROOT, make_photos

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
BLOCK = re.compile(r'((?:^[^\n]*\n){0,2})^```(\w*)\n(.*?)^```$', re.M | re.S)
NOT_RUN = re.compile(r'<!-- not run: (.+) -->\n$')
RUNS = ('configs/custom/custom_vit-b16.py',
        'configs/coop/coop_vit-b16_16shot_eurosat.py')


def blocks(page):
    """(language, code, why it is not run) of each block."""
    for before, language, code in BLOCK.findall(page.read_text()):
        why = NOT_RUN.search(before)
        yield language, code, why and why[1]


@pytest.fixture(scope='module')
def finished(tmp_path_factory, deep_clip):
    """A folder with photos and the runs that docs speak of."""
    folder = tmp_path_factory.mktemp('docs')
    for name in ('configs', 'tools', 'mmcoop', 'docs', 'tests'):
        (folder / name).symlink_to(ROOT / name)
    make_photos(folder / 'photos', {'red_fox': 6, 'snow': 6, 'grass': 5})
    for png in folder.glob('photos/*/*.png'):
        Image.open(png).save(png.with_suffix('.jpg'))
        png.unlink()
    shutil.copy(folder / 'photos/snow/0.jpg', folder / 'new.jpg')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for config in RUNS:
            run_command(f'python tools/train.py {config} --cfg-options '
                        'data_root=' + ('photos' if 'custom' in config
                                        else '/data'), deep_clip)
    return folder


@pytest.fixture
def place(tmp_path, finished, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / 'mmcoop', symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_blocks(place, page, deep_clip):
    """In their order: what one makes, a later one uses."""
    for language, code, why in blocks(page):
        if why is None and language == 'python':
            run_python(code, place)
        elif why is None and language == 'bash':
            run_bash(code, deep_clip)


def run_python(code, place):
    """A config is read and resolved; other code is run."""
    if re.search(r'^(_base_|model) = ', code, re.M) and 'import' not in code:
        path = place / 'config_of_the_docs.py'
        path.write_text(code)
        cfg = Config.fromfile(path)
        resolve(cfg) if '_base_' in code else None
        return
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        exec(compile(code, 'docs', 'exec'), {'__name__': '__main__'})


def run_bash(code, clip):
    """Tools run in this process, all else in a shell."""
    variables = {}
    lines = code.replace('\\\n', ' ').splitlines()
    while lines:
        line = lines.pop(0)
        document = re.search(r"<<'(\w+)'", line)
        if document:
            while not line.endswith(f'\n{document[1]}'):
                line += f'\n{lines.pop(0)}'
        name = re.fullmatch(r'(\w+)=(\S+)', line)
        if name:
            variables['$' + name[1]] = name[2]
            continue
        for variable, value in variables.items():
            line = line.replace(variable, value)
        run_command(line, clip)


def run_command(line, clip):
    """A command line of the docs, made quick."""
    first, _, after = line.partition(' | ')
    given = ''
    if after and not first.startswith('python'):
        given, first = shell(first), after
    words = shlex.split(first, comments=True)
    if not words or words[:2] == ['pip', 'install']:
        return  # .ci/run installs
    if words[:3] == ['python', '-m', 'mmcoop'] and words[3][0] != '-':
        words = ['python', f'tools/{words[3].replace("-", "_")}.py',
                 *words[4:]]
    if words[0] != 'python' or not words[1].startswith('tools/'):
        assert re.match('python|cat|find|mkdir|PYTHONPATH=', line), line
        shell(line)
        return
    words = [word.replace('/data', str(DATA)) for word in words]
    tool = next((ROOT / 'tools').rglob(Path(words[1]).name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [words[1],
                                    *quick(tool.stem, words[2:], clip)])
        patch.setattr(sys, 'stdin', io.StringIO(given))
        try:
            tool_main(tool)()
        except SystemExit as end:
            assert not end.code, f'{line}: {end.code}'


def shell(line):
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    return subprocess.run(['bash', '-c', line], check=True, text=True,
                          stdout=subprocess.PIPE, env=dict(
                              os.environ, PATH=path, PYTHONPATH=str(ROOT))
                          ).stdout


def quick(tool, words, clip):
    """Arguments of a tool, with options that make it quick."""
    if tool == 'reproduce':
        return words[:1] + ['--print'] * ('--print' not in words) + words[1:]
    if tool not in ('train', 'test', 'transfer'):
        return words
    path = next((word for word in words if word.endswith('.py')), '')
    if path and not Path(path).exists():
        path = f'configs/{path}'
    if not (ROOT / path).is_file() or 'demo' in path:  # of a run; quick
        return words
    cfg, given = Config.fromfile(ROOT / path), ' '.join(words)
    options = [f'model.clip.{key}={value}' for key, value in clip.items()]
    options += ['num_workers=0']
    options += [f'{key}={value}' for key, value in dict(
        max_epochs=1, steps_per_shot=2).items()
        if key in cfg and f' {key}=' not in given]
    if '=folder' not in given and 'custom' not in path:
        options += ['dataset=eurosat']
    if '--tta' in words:
        options += ['test_dataloader.dataset.indices=3']
    if '--cfg-options' not in words:
        words = [*words, '--cfg-options']
    return [*words, *options]


def test_every_block_is_run_or_says_why_not():
    for page in PAGES:
        for language, code, why in blocks(page):
            assert language, f'{page.name}: a block without language: {code}'


def test_links():
    """Links to files and headings of this repository lead somewhere."""
    for page in PAGES:
        for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
            if '://' in target:
                continue
            name, _, heading = target.partition('#')
            path = page.parent / name if name else page
            assert path.exists(), f'{page.name}: {target}'
            if heading:
                titles = re.findall(r'^#+ (.+)$', path.read_text(), re.M)
                assert heading in [re.sub(r'[^\w\- ]', '', t.lower())
                                   .replace(' ', '-') for t in titles], target
