"""Nothing that a user downloads is run: weights, checkpoints, archives."""
import ast
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Dict, List, Tuple

import pytest
import torch
import torch.nn as nn

from mmcoop.clip import CLIPLoadError, load_clip
from mmcoop.clip.from_mmpretrain import _load_weights
from mmcoop.clip.weights import read_state_dict
from mmcoop.heads.saved_prompt import SavedPrompt
from mmcoop.protocol.read_prompt import _record_of
from mmcoop.safe_load import UnsafeFileError, check_is_safe, read_torchscript

from .clip.test_loading import as_archive
from .conftest import ROOT, golden_state_dict


class Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f'touch {self.mark}', )


class HostileModule(nn.Module):
    """Writes a file when ``torch.jit.load`` makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.place = ''

    def forward(self) -> torch.Tensor:
        return self.weight

    @torch.jit.export
    def __getstate__(self) -> Tuple[torch.Tensor, str, bool]:
        return self.weight, self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: Tuple[torch.Tensor, str, bool]) -> None:
        self.weight, self.place, self.training = state
        torch.save(state[0], state[1])


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('read', [
    check_is_safe, read_state_dict, SavedPrompt, _record_of,
    lambda path: load_clip(pretrained=path),
    lambda path: _load_weights(nn.Linear(1, 1), path, '')
], ids=['checkpoint', 'weights', 'saved prompt', 'read_prompt', 'load_clip',
        'image tower'])
def test_a_hostile_pickle_is_called_that(tmp_path, zipped, read):
    mark, path = tmp_path / 'ran', str(tmp_path / 'weights.pt')
    torch.save(dict(state_dict={'visual.proj': Attack(mark)}), path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises((CLIPLoadError, UnsafeFileError)) as raised:
        read(path)
    message = str(raised.value)
    assert 'weights.pt holds pickled objects that would run code' in message
    assert f'({os.system.__module__}.system)' in message
    assert 'weights_only' not in message and 'damaged' not in message
    assert '\n' not in message and not mark.exists()
    torch.load(path, weights_only=False)  # without the check it does harm
    assert mark.exists()


def test_torchscript_programs_are_not_run(tmp_path):
    mark, path = tmp_path / 'written', str(tmp_path / 'hostile.pt')
    module = HostileModule()
    module.place = str(mark)
    torch.jit.script(module).save(path)
    assert not mark.exists()
    with pytest.raises(CLIPLoadError, match='holds no tensors'):
        load_clip(pretrained=path)
    with pytest.raises(ValueError, match='it is a TorchScript archive'):
        check_is_safe(path)
    assert not mark.exists()
    torch.jit.load(path)
    assert mark.exists()


def test_a_hostile_pickle_in_a_torchscript_archive(tmp_path):
    """Its data.pkl asks for what no archive of torch.jit.save has."""
    import pickle
    mark, path = tmp_path / 'ran', str(tmp_path / 'hostile.pt')
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a/data.pkl', pickle.dumps(Attack(mark)))
        archive.writestr('a/constants.pkl', b'')
    with pytest.raises(CLIPLoadError) as raised:
        load_clip(pretrained=path)
    assert 'would run code (posix.system)' in str(raised.value)
    assert not mark.exists()


class Inner(nn.Module):

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3).half()
        self.plain = torch.ones(2)  # neither parameter nor buffer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.plain


class Everything(nn.Module):
    """All that an archive's pickle can hold beside tensors."""
    words: Dict[str, int]
    empty: List[int]

    def __init__(self) -> None:
        super().__init__()
        self.words, self.empty = {'a': 1}, []
        self.text, self.number, self.nothing = 'x', 1.5, None
        self.tensors = torch.jit.Attribute([torch.ones(1)],
                                           List[torch.Tensor])
        self.turned = nn.Parameter(torch.arange(6.).view(2, 3).t())
        self.part = nn.Parameter(torch.arange(6.)[2:4])
        self.tied = self.part
        self.register_buffer('count', torch.tensor(3))
        self.register_buffer('mask', torch.ones(2, 0, dtype=torch.bool))
        self.blocks = nn.Sequential(Inner(), nn.ModuleList([Inner()])[0])

    def forward(self):
        return (self.words, self.empty, self.tensors, self.text, self.number,
                self.blocks(self.part))


def test_tensors_of_torchscript_are_those_of_torch(tmp_path):
    path = str(tmp_path / 'everything.pt')
    torch.jit.script(Everything()).save(path)
    check_equal(path)
    # traced modules in OpenAI's layout, in fp16, with the three numbers
    as_archive(golden_state_dict(), path)
    check_equal(path)
    assert read_torchscript(path)['vocab_size'] == 49408
    traced = torch.jit.trace(
        nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4)).eval(),
        torch.ones(1, 3, 4, 4))
    traced.save(path)
    check_equal(path)


def check_equal(path: str) -> None:
    expected = torch.jit.load(path, map_location='cpu').state_dict()
    found = read_torchscript(path)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_a_compressed_archive_is_refused(tmp_path):
    """A few kilobytes would become gigabytes."""
    path = tmp_path / 'a.pt'
    torch.jit.script(Inner()).save(str(path))
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(
            tmp_path / 'b.pt', 'w', zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, before.read(name))
    with pytest.raises(CLIPLoadError, match='compressed'):
        read_state_dict(str(tmp_path / 'b.pt'))


def test_a_compressed_checkpoint_is_refused(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(x=torch.zeros(10**6)), path)
    assert check_is_safe(str(path))['x'].shape == (10**6, )
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(
            tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, before.read(name))
    assert torch.load(tmp_path / 'b.pth')['x'].shape == (10**6, )
    with pytest.raises(ValueError, match='b.pth is damaged.* unpacks to 4,00'):
        check_is_safe(str(tmp_path / 'b.pth'))


# what runs code of a file, or of a string; and where there is none of others
RUNS_CODE = {'eval', 'exec', 'compile', '__import__', 'Popen', 'check_output',
             'system', 'import_module', 'fromstring', 'unsafe_load'}
ALLOWED = {
    'mmcoop/apis/graph_files.py: torch.jit.load',  # what was written just now
    'mmcoop/apis/graph_files.py: torch.export.load',
    'mmcoop/apis/graph_files.py: onnx.load',
    'mmcoop/report/page_pictures.py: image.load',
    'mmcoop/datasets/images.py: image.load',
}


def test_the_source_has_no_other_way_to_run_code():
    """Every reader of files in the package and the tools."""
    odd = []
    for path in [*ROOT.glob('mmcoop/**/*.py'), *ROOT.glob('tools/**/*.py')]:
        if 'benchmarks' in path.parts or '.mim' in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            last = name.split('.')[-1]
            options = {word.arg: ast.unparse(word.value)
                       for word in node.keywords}
            is_safe = options.get('weights_only') == 'True'
            if (name if last in ('eval', 'exec', 'compile') else last) \
                    in RUNS_CODE or \
                    options.get('shell') or \
                    options.get('trust_remote_code') or \
                    name in ('torch.load', 'pickle.load', 'pickle.loads',
                             'yaml.load', 'torch.jit.load', 'onnx.load',
                             'torch.export.load', 'np.load', 'joblib.load') \
                    and not is_safe:
                odd.append(f'{path.relative_to(ROOT)}: {name}')
    assert set(odd) <= ALLOWED, sorted(set(odd) - ALLOWED)
    assert 'mmcoop/apis/graph_files.py: torch.jit.load' in odd


def test_shell_scripts_quote_their_arguments(tmp_path):
    """A file name is one word, whatever is in it."""
    (tmp_path / 'bin').mkdir()
    for name in ('torchrun', 'srun'):
        fake = tmp_path / 'bin' / name
        fake.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
        fake.chmod(0o755)
    odd = f'a b; touch {tmp_path}/ran $(touch {tmp_path}/ran) *'
    for script, before in (('dist_train.sh', []), ('dist_test.sh', ['c']),
                           ('slurm_train.sh', ['p', 'j']),
                           ('slurm_test.sh', ['p', 'j', 'c'])):
        slurm = script.startswith('slurm')
        words = [*before, odd, odd if slurm else '1', odd]
        done = subprocess.run(
            ['bash', str(ROOT / 'tools' / script), *words], text=True,
            capture_output=True, check=True,
            env={**os.environ, 'PATH': f'{tmp_path}/bin:{os.environ["PATH"]}'})
        lines = done.stdout.splitlines()
        assert sum(line.endswith(odd) for line in lines) == 2 + slurm, lines
        assert not (tmp_path / 'ran').exists()
