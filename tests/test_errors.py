"""How a command line ends when something is wrong."""
import errno
import logging
import os
import subprocess
import sys

import pytest
from mmengine.logging import MMLogger

from mmcoop import errors, files
from mmcoop.config.arguments import check_arguments

from .conftest import ROOT, custom_config


def ours():
    """An error of mmcoop's own."""
    from mmcoop.catalog import find
    find('eurosatt')


def ends(main, capsys, *flags):
    """(exit code, lines on stderr) of a tool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['tool.py', *flags])
        with pytest.raises(SystemExit) as end:
            errors.run_tool(main)
    return end.value.code, capsys.readouterr().err.splitlines()


def test_expected_errors_are_one_line(capsys):
    code, lines = ends(ours, capsys)
    assert code == 1 and len(lines) == 1
    assert lines[0].startswith("Error: there is no published data set 'euro")
    code, lines = ends(ours, capsys, '--debug')
    assert code == 1 and lines[0].startswith('Traceback')


@pytest.mark.parametrize('number, text', [
    (errno.ENOSPC, 'the disk is full: make room'),
    (errno.EADDRINUSE, 'another run has this port'),
    (errno.EROFS, 'give another --work-dir'),
])
def test_errors_of_the_machine(capsys, number, text):

    def main():
        raise OSError(number, 'No', '/work/x.pth')

    code, lines = ends(main, capsys)
    assert code == 1 and len(lines) == 1
    assert '/work/x.pth' in lines[0] and text in lines[0]


def test_unexpected_errors_keep_their_traceback(capsys):
    code, lines = ends(lambda: {}['gone'], capsys)
    assert code == 1 and lines[0].startswith('Traceback')
    assert "KeyError: 'gone'" in lines and 'please report' in lines[-1]


def test_a_value_error_of_others_is_unexpected(capsys):
    """Only what mmcoop raises itself is told without its traceback."""
    _, lines = ends(lambda: int('x'), capsys)
    assert lines[0].startswith('Traceback')


def test_codes(capsys):
    assert ends(lambda: None, capsys)[0] is None
    assert ends(lambda: 3, capsys)[0] == 3

    def interrupted():
        raise KeyboardInterrupt

    assert ends(interrupted, capsys) == (130, ['', 'Interrupted.'])


def test_a_loader_process(capsys):
    """torch gives the traceback of another process as the text."""

    def main():
        raise ValueError(
            'Caught ValueError in DataLoader worker process 0.\nOriginal '
            'Traceback (most recent call last):\n  File "/torch/x.py", line '
            f'1, in x\n    y()\n  File "{errors.PACKAGE}/datasets/images.py", '
            'line 9, in y\n    raise ValueError(z)\nValueError: a.jpg is cut '
            'short')

    assert ends(main, capsys) == (1, ['Error: a.jpg is cut short'])


def test_the_log_has_the_traceback(capsys, tmp_path):
    file = tmp_path / 'run.log'
    handler = logging.FileHandler(file)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        ends(ours, capsys)
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert 'Traceback' in file.read_text() and 'catalog.py' in file.read_text()


@pytest.mark.parametrize('options, message', [
    ({'model.head.prompt.nctx': 4},
     'nctx in model.head.prompt: ContextPrompt takes .* did you mean n_ctx'),
    ({'model.clip.modelname': 'x'}, 'modelname in model.clip: .*model_name'),
    ({'custom_hooks.4.view': 1}, 'view in custom_hooks.4.*did you mean views'),
    ({'train_dataloader.dataset.shot': 1}, 'did you mean shots'),
    ({'optim_wrapper.optimizer.momentum': 'high'},
     "optim_wrapper.optimizer.momentum='high': a number is needed"),
    ({'optim_wrapper.optimizer.lr': 'fast'},
     "optim_wrapper.optimizer.lr='fast': a number above 0 is needed"),
    ({'default_hooks.checkpoint.intervals': 5}, 'did you mean interval'),
    ({'default_hooks.checkpoint.interval': 'often'}, "'often': a number"),
    ({'optim_wrapper.optimizer.weight_decay': 'none'}, "'none': a number"),
    ({'custom_hooks.0.type': 'EMAHok'}, 'did you mean EMAHook'),
    ({'train_dataloader.collate_fn': dict(type='defaultcollate')},
     "type='defaultcollate' is not known"),
    ({'model.head.prompt.type': 'mmcoop.ContextPromt'},
     'did you mean mmcoop.ContextPrompt'),
])
def test_arguments(tmp_path, photos, small_clip, options, message):
    from mmcoop import resolve
    cfg = custom_config(tmp_path, photos, small_clip)
    cfg.merge_from_dict(options)
    with pytest.raises(ValueError, match=message):
        check_arguments(resolve(cfg))


def test_arguments_of_all_configs_are_known():
    """No config of the repository is refused."""
    from mmengine.config import Config

    from mmcoop import resolve
    from mmcoop.methods import all_methods
    checked = 0
    for method in all_methods():
        cfg = Config.fromfile(method.config)
        cfg.merge_from_dict(method.options)
        if 'checkpoint' in method.options or '${checkpoint}' in str(cfg):
            continue
        check_arguments(resolve(cfg))
        checked += 1
    assert checked > 30


class Odd:
    """A part of the host, which refuses a value."""

    def __init__(self, size):
        raise ValueError(f'size {size}')


def test_a_part_of_the_host_that_refuses_a_value(capsys):
    from mmengine.registry import HOOKS
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(HOOKS._module_dict, 'Odd', Odd)
        code, lines = ends(lambda: HOOKS.build(dict(type='Odd', size=-1)),
                           capsys)
    assert code == 1
    assert lines == ['Error: Odd cannot be built as the config says: size -1']


def test_an_error_in_a_part_of_ours_is_unexpected(capsys):
    """While mmengine builds it as well."""
    from mmcoop.registry import HOOKS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmcoop.engine.EpochHook.__init__',
                      lambda self: files.explain(OSError(), 2))
        _, lines = ends(lambda: HOOKS.build(dict(type='mmcoop.EpochHook')),
                        capsys)
    assert 'please report' in lines[-1]


def test_names_that_a_console_cannot_show():
    """In a process of its own: pytest replaces sys.stdout."""
    code = ('from mmcoop.errors import run_tool\n'
            'run_tool(lambda: print("kite \\u2603 \\udcff"))')
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING='ascii'))
    assert (done.returncode, done.stdout) == (0, 'kite \\u2603 \\udcff\n')
