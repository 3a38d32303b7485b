"""Variables, the places that take them, and names that nothing reads."""
import json
import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

import mmcoop
from mmcoop.clip import load_clip, read_architecture
from mmcoop.config import check_options

from ..conftest import ROOT, custom_config

COOP = ROOT / 'configs/coop/coop_vit-b16_16shot_eurosat.py'


def config(**values):
    return mmcoop.resolve(Config(values), values)


def test_whole_values_keep_their_type():
    cfg = config(a=4, b=None, c=[1, dict(x=(2, ))], model=dict(
        n='${a}', none='${b}', deep=['${c}', dict(text='is ${a}, ${b}')]))
    assert cfg.model == dict(n=4, none=None, deep=[
        [1, dict(x=(2, ))], dict(text='is 4, None')])
    assert set(cfg.keys()) == {'model'}


def test_places_take_other_places():
    cfg = config(seed=3, randomness=dict(seed='${seed}'),
                 model=dict(seed='${randomness.seed}', two='${model.list.1}',
                            list=[1, '${seed}']))
    assert cfg.model.seed == cfg.model.two == 3


def test_a_number_in_its_place_is_kept():
    cfg = Config.fromfile(COOP)
    cfg.merge_from_dict({'shots': 4, 'train_dataloader.dataset.shots': 2})
    assert mmcoop.resolve(cfg).train_dataloader.dataset.shots == 2


def test_the_given_config_is_left_as_it_is():
    cfg = Config.fromfile(COOP)
    before = repr(cfg)
    mmcoop.resolve(cfg).model.head.prompt.n_ctx = 3
    assert repr(cfg) == before


@pytest.mark.parametrize('values,message', [
    (dict(shots=1, model=dict(a=dict(n='${shot}'))),
     r'model.a.n: there is no variable \$\{shot\}; did you mean \$\{shots\}'),
    (dict(model=dict(n='${}')), 'there is no variable'),
    (dict(model=dict(n='${a.b.c}'), a=dict(b=1)), r'no variable \$\{a.b.c\}'),
    (dict(a='${b}', b='${a}', model=dict(n='${a}')),
     r'contains itself \(a -> b -> a\)'),
    (dict(shots=0), 'shots=0: a whole number'),
    (dict(max_epochs='ten'), 'max_epochs=ten: a whole number'),
    (dict(model=dict(n='${num_classes}')), 'num_classes=10, say'),
    (dict(model=dict(n='${image_size}')), 'image_size=224, say'),
    (dict(num_classes=3, dataset='dtd', model='${num_classes}', shot=4),
     "the config sets 'shot', and nothing in this config reads it"),
], ids=str)
def test_mistakes(values, message):
    with pytest.raises(ValueError, match=message):
        mmcoop.resolve(Config(values))


def test_the_same_config_by_mmengines_own_runner(tmp_path, photos,
                                                 small_clip):
    cfg = mmcoop.resolve(custom_config(tmp_path, photos, small_clip))
    cfg.pop('runner_type')
    cfg.train_dataloader.drop_last = False
    runner = Runner.from_cfg(cfg)
    runner.train()
    result = json.loads((tmp_path / 'work/result.json').read_text())
    assert (result['shots'], result['epochs']) == (3, 6)


class TestNamesThatNothingReads:

    @pytest.mark.parametrize('text,message', [
        ('shot = 4', "mine.py sets 'shot', .* did you mean 'shots'"),
        ('num_worker = 4', "did you mean 'num_workers'"),
        ('templates = "own"', "mine.py sets 'templates'"),
        ('a = 4\nb = a\nmodel = dict()', "mine.py sets 'b'"),
    ])
    def test_in_a_child_config(self, tmp_path, text, message):
        path = tmp_path / 'mine.py'
        path.write_text(f"_base_ = '{COOP}'\n{text}\n")
        with pytest.raises(ValueError, match=message):
            mmcoop.resolve(Config.fromfile(path))

    @pytest.mark.parametrize('text', [
        'size = 3\nmodel = dict(head=dict(topk=(size, )))',
        '_own = 3', 'cached_views = None', 'shots = 2',
        'own = 3\nmodel = dict(head=dict(topk="${own}"))',
        'model = dict(head=dict(topk=({{_base_.shots}}, )))',
    ])
    def test_what_is_read_is_no_mistake(self, tmp_path, text):
        path = tmp_path / 'mine.py'
        path.write_text(f"_base_ = ['{COOP}']\n{text}\n")
        mmcoop.resolve(Config.fromfile(path))

    def test_a_base_may_declare_what_its_child_does_not_take(self, tmp_path):
        """Here the child brings a data set without these variables."""
        path = tmp_path / 'mine.py'
        path.write_text(
            f"_base_ = '{COOP}'\ntrain_dataloader = dict(dataset=dict("
            "_delete_=True, type='CustomDataset', data_root='x'))\n"
            "custom_hooks = []\nmax_epochs = 3\n")
        cfg = mmcoop.resolve(Config.fromfile(path))
        assert cfg.train_cfg.max_epochs == 3
        assert 'shots' not in cfg

    @pytest.mark.parametrize('option,near', [
        ('shot=4', "did you mean 'shots'"),
        ('modell.clip.model_name=RN50', "did you mean 'model'"),
        ('zzz=1', 'configs/README.md lists'),
    ])
    def test_on_the_command_line(self, option, near):
        """Without importing torch, which takes seconds."""
        code = ('import runpy, sys\nsys.argv[0] = "tools/train.py"\n'
                'try:\n    runpy.run_path("tools/train.py", '
                'run_name="__main__")\nfinally:\n'
                '    assert "torch" not in sys.modules')
        done = subprocess.run(
            [sys.executable, '-c', code, str(COOP), '--cfg-options', option],
            cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2
        assert near in done.stderr and 'AssertionError' not in done.stderr

    def test_places_that_take_a_variable_whole(self):
        from mmcoop.cfg_options import merge_options
        with pytest.raises(ValueError, match=r'val_dataloader.dataset takes '
                           r'\$\{val_dataset\} whole'):
            merge_options(Config.fromfile(COOP),
                          {'val_dataloader.dataset.unreadable': 'skip'})

    def test_hosts_and_other_files_are_left_to_mmengine(self, tmp_path):
        (tmp_path / 'host.py').write_text(
            "_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'\n")
        (tmp_path / 'new.py').write_text(
            'from mmengine.config import read_base\nwith read_base():\n'
            '    from .x import *\n')
        (tmp_path / 'bad.py').write_text('a = (')
        (tmp_path / 'computed.py').write_text("_base_ = 'a' + '.py'")
        (tmp_path / 'gone.py').write_text("_base_ = ['gone_too.py']")
        (tmp_path / 'plain.json').write_text('{}')
        for path in tmp_path.iterdir():
            check_options(str(path), ['anything'])


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'reproduce.py',
                                  'transfer.py', 'check_data.py',
                                  'feature_cache.py',
                                  'analysis_tools/make_tables.py',
                                  'analysis_tools/read_prompt.py'])
def test_help_imports_nothing_heavy(tool):
    code = (f'import runpy, sys\nsys.argv = ["tools/{tool}", "--help"]\n'
            f'try:\n    runpy.run_path("tools/{tool}", run_name="__main__")\n'
            'finally:\n    heavy = {"torch", "mmengine", "mmpretrain", '
            '"open_clip", "pandas", "matplotlib"} & set(sys.modules)\n'
            '    print(heavy, file=sys.stderr)')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.strip() == 'set()'


def test_the_architecture_of_a_clip(small_clip, vit_file, rn_file):
    """Known without building the CLIP."""
    for clip in (small_clip, dict(pretrained=vit_file),
                 dict(pretrained=rn_file)):
        assert read_architecture(**clip) == load_clip(**clip).architecture
    assert read_architecture('RN50x4', 'openai').image_size == 288
    large = read_architecture('ViT-L/14-336')
    assert (large.image_size, large.image_layers, large.text_layers) == (
        336, 24, 12)
    assert read_architecture('MobileCLIP-S1').image_layers == 0


def test_data_that_is_not_published(tmp_path):
    """Photos and the demo, by the same variable in every config."""
    cfg = Config.fromfile(ROOT / 'configs/maple/'
                          'maple_vit-b16_16shot_imagenet.py')
    cfg.merge_from_dict(dict(data_root=str(tmp_path), image_size=32))
    for name, kind in (('folder', 'mmcoop.FolderDataset'),
                       ('demo', 'mmcoop.DemoWorld'),
                       ('dtd', 'mmcoop.CoOpDataset')):
        cfg.dataset = name
        done = mmcoop.resolve(cfg)
        assert {part.type for part in (
            done.train_dataloader.dataset.dataset,
            done.test_dataloader.dataset)} == {kind}
    cfg.dataset = 'folders'
    with pytest.raises(ValueError, match='Besides: folder .* and demo'):
        mmcoop.resolve(cfg)


def test_the_first_epoch_has_the_published_rate():
    cfg = Config.fromfile(ROOT / 'configs/coop/'
                          'coop_vit-b16_16shot_imagenet.py')
    cfg.merge_from_dict({'optim_wrapper.optimizer.lr': 0.0035,
                         'image_size': 32})
    warmup = mmcoop.resolve(cfg).param_scheduler[0]
    assert warmup.factor * 0.0035 == pytest.approx(1e-5)
