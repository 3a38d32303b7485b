"""Small runs that are killed in a process of their own."""
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from safetensors import safe_open

from mmcoop.methods import get_method

from ..conftest import custom_config, make_photos
from .server import Server

OPTIONS = dict(max_epochs=4, report=False, calibrate=False)


@pytest.fixture(scope='session')
def server():
    server = Server()
    yield server
    server.close()


class Run:
    """A run of 4 epochs of 2 steps in a folder of its own, on 2 cached views.

    Args:
        server: The server.
        folder: Its folder.
        config: The config file.
        options: Of ``--cfg-options``.
    """

    def __init__(self, server, folder, config, options):
        self.server, self.folder, self.config = server, folder, config
        self.options = ['--cfg-options', *(
            f'{key}={value}' for key, value in options.items())]
        self.work, self.cache = folder / 'work', folder / 'cache'
        self.log = folder / 'output.txt'
        folder.mkdir(exist_ok=True)

    def train(self, *flags, env=None, **kwargs):
        return self.server.run(
            'train', self.config, '--work-dir', self.work, *flags,
            *self.options,
            log=self.log, roots=[self.work, self.cache],
            env={'MMCOOP_CACHE': str(self.cache), **(env or {})}, **kwargs)

    def result(self):
        """What a run ends with, but for times and folders."""
        result = json.loads((self.work / 'result.json').read_text())
        return {key: result[key] for key in (
            'metrics', 'method', 'num_images_evaluated', 'selected')
            if key in result}

    def learned(self):
        """What was learned, from the last checkpoint."""
        last = (self.work / 'last_checkpoint').read_text()
        return torch.load(last)['state_dict']

    def names(self):
        """Names of the files, but for the folders of logs."""
        return sorted(path.name for path in self.work.iterdir()
                      if path.is_file())


@pytest.fixture(scope='module')
def make_run(server, tmp_path_factory, small_clip):
    """``make_run(name, method, **options)``: a run, not yet started."""
    root = tmp_path_factory.mktemp('faults')
    photos = make_photos(root / 'photos', dict(red_fox=6, snow=6, grass=4))

    def make(name, method='coop', **options):
        folder = root / name
        folder.mkdir()
        if method == 'coop':
            cfg = custom_config(folder, photos, small_clip,
                                **{**OPTIONS, 'cached_views': 2, **options})
            cfg.dump(folder / 'run.py')
            return Run(server, folder, folder / 'run.py', {'shots': 3})
        return Run(server, folder, get_method(method).config, {
            'dataset': 'folder', 'data_root': photos, 'shots': 2,
            'num_workers': 0, 'model.head.epochs': 20, 'report': False,
            'calibrate': False,
            **{f'model.clip.{key}': value
               for key, value in small_clip.items()}, **options})

    return make


def check_files(*folders: Path, temporary: bool = True):
    """Check that every file under its final name is whole.

    Args:
        *folders: Where to look.
        temporary: Whether temporary files may be there.
    """
    for path in [path for folder in folders for path in folder.rglob('*')]:
        if path.name.endswith('.tmp'):
            assert temporary, path
        elif path.suffix == '.pth':
            assert 'state_dict' in torch.load(path), path
        elif path.suffix == '.safetensors':
            with safe_open(path, 'pt') as part:
                assert len(part.get_tensor('keys')) == \
                    len(part.get_tensor('features')), path
        elif path.suffix == '.json' and path.parent.name != 'vis_data' \
                and not path.name[:8].isdigit():  # logs, line by line
            json.loads(path.read_text())
        elif path.suffix == '.py' and path.parent.name != 'vis_data':
            Config.fromfile(path)
        elif path.suffix == '.png':
            from PIL import Image
            Image.open(path).load()
        elif path.suffix == '.html':
            assert path.read_text().rstrip().endswith('</html>'), path
