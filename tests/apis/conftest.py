"""Photos of a short run, its checkpoint changed, a Python without modules."""
import subprocess
import sys

import pytest
import torch


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


# runs the file named first, where the modules named before -- do not exist
BLOCK = '''
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in blocked:
            raise ModuleNotFoundError(f'{name} is blocked')
cut = sys.argv.index('--')
blocked, sys.argv = sys.argv[1:cut], sys.argv[cut + 1:]
sys.meta_path.insert(0, Block())
for name in blocked:
    sys.modules.pop(name, None)
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def run_without(modules, *args):
    command = [sys.executable, '-c', BLOCK, *modules, '--', *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True,
                          check=True, cwd=args[0].parent).stdout
