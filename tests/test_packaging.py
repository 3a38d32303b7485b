"""Without the repository: the wheel, python -m mmcoop, other projects."""
import filecmp
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch
import yaml
from mmengine.config import Config
from mmpretrain import get_model, list_models
from mmpretrain.apis.model import ModelHub

import mmcoop
from mmcoop.__main__ import find_tools
from mmcoop.command_line import find_config
from mmcoop.config import check_options
from mmcoop.methods import all_methods, configs_folder

from .conftest import ROOT

DEMO = ROOT / 'configs/coop/coop_demo.py'


def run(*words, cwd, path=ROOT):
    return subprocess.run([sys.executable, '-W', 'ignore', *map(str, words)],
                          cwd=cwd, env=dict(PYTHONPATH=str(path)),
                          capture_output=True, text=True)


def test_what_lies_in_the_package():
    inside = ROOT / 'mmcoop/.mim'
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (inside / name).resolve() == (ROOT / name).resolve()
    assert configs_folder() == ROOT / 'configs'
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert index['Import'] == sorted(
        str(path.relative_to(ROOT))
        for path in ROOT.glob('configs/*/metafile.yml'))


class TestDoors:

    def test_every_tool_has_one(self):
        tools = find_tools()
        assert {'train', 'test', 'transfer', 'reproduce', 'check-data',
                'feature-cache', 'make-tables'} <= set(tools)
        assert {path.resolve() for path in tools.values()} >= {
            path.resolve() for path in ROOT.glob('tools/*.py')}
        # none hides another
        scripts = [path for folder in ('.', '*_tools', '*_converters')
                   for path in ROOT.glob(f'tools/{folder}/*.py')]
        assert len(scripts) == len(tools)

    @pytest.mark.parametrize('words,code,text', [
        (['--help'], 0, 'train                  Train a model\n'),
        (['train', '--help'], 0, 'usage: python -m mmcoop train [-h]'),
        (['feature_cache', '--help'], 0, 'Show or clear the cache'),
        (['published-to-mmcoop', '--help'], 0, 'SRC is a model.pth.tar-N of'),
        (['mmcoop-to-published', '--help'], 0, 'model.pth.tar-N (MaPLe'),
        (['trian'], 2, 'there is no tool trian: choose from check-data,'),
        (['train', 'coop/no.py'], 2, 'there is no config coop/no.py, neither'),
    ], ids=str)
    def test_quick_answers(self, tmp_path, words, code, text):
        script = ('import runpy, sys; sys.argv[0] = ""\ntry:\n    '
                  'runpy.run_module("mmcoop", run_name="__main__")\nfinally:'
                  '\n    assert "torch" not in sys.modules')
        done = run('-c', script, *words, cwd=tmp_path)
        assert done.returncode == code
        assert text in done.stdout + done.stderr
        assert 'AssertionError' not in done.stderr

    def test_configs_by_their_place(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ('coop/coop_demo.py', 'configs/coop/coop_demo.py', DEMO):
            assert find_config(str(name)) == str(DEMO)
        (tmp_path / 'coop').mkdir()
        (tmp_path / 'coop/coop_demo.py').touch()  # one's own goes first
        assert find_config('coop/coop_demo.py') == 'coop/coop_demo.py'

    def test_scripts_of_others(self, tmp_path):
        """Such as mmpretrain's tools/train.py."""
        (tmp_path / 'theirs.py').write_text(
            "_base_ = 'mmcoop::coop/coop_demo.py'\nshots = 3\n")
        (tmp_path / 'script.py').write_text(
            'import sys\nfrom mmengine.config import Config\n'
            'if __name__ == "__main__":\n'
            '    print(Config.fromfile(sys.argv[1]).shots, *sys.argv[2:])')
        done = run('-m', 'mmcoop', 'script.py', 'theirs.py', '--flag',
                   cwd=tmp_path)
        assert done.stdout == '3 --flag\n', done.stderr


class TestBaseOfAnotherProject:

    @pytest.fixture
    def theirs(self, tmp_path):
        path = tmp_path / 'theirs.py'
        path.write_text("_base_ = 'mmcoop::coop/coop_demo.py'\nshots = 3\n")
        return path

    def test_it_is_the_same_config(self, theirs, tmp_path):
        (tmp_path / 'by_path.py').write_text(
            f"_base_ = '{DEMO}'\nshots = 3\n")
        found, wanted = (
            mmcoop.resolve(Config.fromfile(tmp_path / name)).to_dict()
            for name in ('theirs.py', 'by_path.py'))
        assert found == wanted
        assert found['train_dataloader']['dataset']['shots'] == 3

    def test_mistakes_are_seen(self, theirs):
        with pytest.raises(ValueError, match="did you mean 'shots'"):
            check_options(str(theirs), ['shot'])
        theirs.write_text("_base_ = 'mmcoop::coop/coop_demo.py'\nshot = 3\n")
        with pytest.raises(ValueError, match="did you mean 'shots'"):
            mmcoop.resolve(Config.fromfile(theirs))

    def test_a_part_in_a_config_without_our_runner(self, tmp_path,
                                                   small_clip):
        """Built in the scope mmcoop, where CrossEntropyLoss is found too."""
        path = tmp_path / 'theirs.py'
        path.write_text("_base_ = ['mmcoop::_base_/models/coop.py']\n"
                        'model = dict(head=dict(prompt=dict(n_ctx=4)))\n')
        model = get_model(path, clip=dict(_delete_=True, **small_clip))
        assert type(model.head.loss_module).__name__ == 'CrossEntropyLoss'
        assert model.head.prompt.ctx.shape == (4, 64)

    @pytest.mark.parametrize('order', [
        'import mmcoop', 'import mmengine.config, mmcoop',
        'import mmcoop, mmengine.config.utils'])
    def test_whichever_is_imported_first(self, theirs, order):
        script = (f'{order}\nfrom mmengine.config import Config\n'
                  'print(Config.fromfile("theirs.py").shots)')
        done = run('-c', script, cwd=theirs.parent)
        assert done.stdout == '3\n', done.stderr


class TestModelHub:

    def test_our_methods_are_listed(self):
        names = [method.name for method in all_methods()]
        assert set(names) <= set(list_models())
        assert 'coop-m16-end' in list_models('coop')
        assert 'resnet18_8xb32_in1k' in list_models('resnet18')
        assert 'gda' in list_models(task='Image Classification')

    @pytest.mark.parametrize('name', ['coop-m4-middle-csc', 'tip-adapter',
                                      'zeroshot-ensemble7', 'linear-probe'])
    def test_a_config_is_the_method(self, name):
        """Its options are applied and its variables filled in."""
        cfg = ModelHub.get(name).config
        assert '${' not in cfg.pretty_text
        for place, value in mmcoop.methods.get_method(name).options.items():
            for key in place.split('.'):
                cfg = cfg[key]
            assert cfg == value
            cfg = ModelHub.get(name).config

    def test_get_model(self, small_clip, tmp_path):
        clip = dict(_delete_=True, **small_clip)
        model = get_model('coop-m4-end', clip=clip)
        assert model.head.prompt.n_ctx == 4 and not model.training
        model.set_classes(['fox', 'snow'])
        torch.nn.init.normal_(model.head.prompt.ctx)
        path = tmp_path / 'model.pth'
        torch.save(dict(state_dict=model.state_dict(), meta=dict(
            dataset_meta=dict(classes=('fox', 'snow')))), path)
        again = get_model('coop-m4-end', clip=clip, pretrained=str(path))
        assert torch.equal(again.head.prompt.ctx, model.head.prompt.ctx)
        assert again.head.class_names == ['fox', 'snow']
        assert again._dataset_meta['classes'] == ('fox', 'snow')


@pytest.mark.slow
def test_the_wheel(tmp_path):
    """All that is needed is in it; .ci/run installs it and runs the demo."""
    source = tmp_path / 'source'
    for name in ('setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    for name in ('mmcoop', 'configs', 'tools'):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    built = run('-c', 'from setuptools import build_meta\n'
                'build_meta.build_wheel("..")', cwd=source)
    assert built.returncode == 0, built.stderr
    wheel, = tmp_path.glob('mmcoop-*.whl')
    installed = tmp_path / 'installed'
    with zipfile.ZipFile(wheel) as file:
        file.extractall(installed)
    inside = installed / 'mmcoop/.mim'
    for folder in ('configs', 'tools'):
        files = [path.relative_to(ROOT) for path in (ROOT / folder).rglob('*')
                 if path.is_file() and '__pycache__' not in path.parts]
        assert len(files) > 10 and filecmp.cmpfiles(
            ROOT, inside, files, shallow=False) == (files, [], [])
    shutil.rmtree(source)
    script = ('import mmcoop\nfrom mmengine.config import Config\n'
              'from mmcoop.command_line import find_config\n'
              'from mmcoop.methods import all_methods\n'
              'cfg = Config.fromfile(find_config("coop/coop_demo.py"))\n'
              'print(cfg.model.clip.model_name, all_methods()[0].config)')
    done = run('-c', script, cwd=tmp_path, path=installed)
    assert done.stdout.split() == [
        str(installed / 'mmcoop/demo/tiny_clip.json'),
        str(inside / 'configs/zeroshot/zeroshot_vit-b16_imagenet.py')
    ], done.stderr
    done = run('-m', 'mmcoop', 'reproduce', 'few-shot', '--help',
               cwd=tmp_path, path=installed)
    assert 'coop-m16-end' in done.stdout, done.stderr
