"""What a person sees of a run."""
import io
import logging

import pytest
from mmengine.registry import RUNNERS
from rich.console import Console

from mmcoop import progress, resolve
from mmcoop.command_line import build_runner
from mmcoop.engine import console_hook

from .conftest import log


def words(text):
    return ' '.join(text.split())


def test_a_run_in_a_few_lines(config, capsys, tmp_path):
    cfg = resolve(config(max_epochs=3, shots=2, report=True))
    build_runner(cfg, ('train_dataloader', 'val_dataloader')).train()
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 25 and 'mmengine' not in out
    for text in (
            'Data 16 images of 3 classes, 4 to 6 a class',
            'grass (4), red_fox (6), snow (6)',
            'Training 6 images: 2 a class, drawn with seed 1; 5 others',
            'Held out 5 images for testing: 1 to 2 a class, 30 %',
            'Method CoOp', '3 epochs of 1 step', 'CLIP mmcoop-test-small',
            'training: 3 epochs, loss', 'of 5 test images',
            'told "a photo of a {}."', f'Report: {tmp_path}/work/report.html',
            f'Result: {tmp_path}/work/result.json'):
        assert text in words(out), text
    lines = log(tmp_path)  # all of mmengine's log, and ours
    assert any('Epoch(train) [3][1/1]' in line for line in lines)
    assert any('Held out: 5 images' in line for line in lines)


def test_verbose(config, capsys):
    cfg = config(max_epochs=1)
    cfg.default_hooks.pop('console')
    RUNNERS.build(cfg).train()
    out = capsys.readouterr().out
    assert 'Epoch(train) [1]' in out and 'Held out' not in out


@pytest.fixture
def shown(monkeypatch):
    """What a terminal of 100 columns shows."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    make = progress.Display.__init__
    monkeypatch.setattr(progress.Display, '__init__',
                        lambda self, _=None: make(self, console))
    monkeypatch.setattr(progress, 'REFRESH', 0)
    return console


def test_a_terminal_and_an_error(config, shown, monkeypatch):
    """Warnings are above the bar, and an error gives the cursor back."""
    runner = RUNNERS.build(config(max_epochs=2))
    step = type(runner.model).train_step

    def fail(self, *args, **kwargs):
        if runner.iter == 3:
            raise RuntimeError('no more')
        runner.logger.info('unseen')
        runner.logger.warning('mind [bold]this[/bold]')
        return step(self, *args, **kwargs)

    monkeypatch.setattr(type(runner.model), 'train_step', fail)
    with pytest.raises(RuntimeError, match='no more'):
        runner.train()
    text = shown.file.getvalue()
    assert 'of 2, loss' in text and 'left' in text
    assert text.count('Warning: mind [bold]this[/bold]') == 1
    assert 'unseen' not in text
    assert text.count('\x1b[?25l') == text.count('\x1b[?25h') > 0
    assert not progress._open
    assert progress.begin('nothing', 3).display is None


def test_validation_images_are_named_so(config, capsys):
    RUNNERS.build(config(max_epochs=1, shots=2, val_split='val')).train()
    out = words(capsys.readouterr().out)
    assert 'of 5 validation images' in out and 'test images' not in out


def test_brackets_of_a_path_are_no_markup(config, capsys, tmp_path):
    folder = tmp_path / 'a [red] :smile: [/b]'
    RUNNERS.build(config(max_epochs=1, work_dir=str(folder))).train()
    assert f'Result: {folder}/result.json' in capsys.readouterr().out


def test_a_bar_may_outlive_its_display(shown):
    """As one of work that an error ended, and that is collected later."""
    with progress.Display():
        bar = progress.begin('encoding', 3)
        bar.update(1)
    bar.end()
    assert not progress._open


def test_other_ranks_say_nothing(config, capsys, monkeypatch):
    monkeypatch.setattr(console_hook, 'is_main_process', lambda: False)
    RUNNERS.build(config(max_epochs=1, **{
        f'model.clip.{name}': [.5, .5, .5] for name in ('mean', 'std')
    })).train()  # else a warning, which the first rank alone gives
    assert capsys.readouterr().out == ''


def test_a_few_lines_where_there_is_no_terminal(monkeypatch):
    now = [0.]
    monkeypatch.setattr(progress.time, 'perf_counter', lambda: now[0])
    file = io.StringIO()
    with progress.Display(Console(file=file, width=100)) as display:
        bar = progress.begin('training', 1000)
        for i in range(1000):
            now[0] += 1
            if bar.due():
                bar.update(i + 1, f'step {i + 1}')
        bar.end('1000 steps')
        display.print('end')
    lines = file.getvalue().splitlines()
    assert 9 <= len(lines) <= 13
    assert lines[0] == 'training: step 3, about 17 min left'
    assert lines[-2:] == ['training: 1000 steps, 17 min', 'end']


@pytest.mark.parametrize('seconds,text', [
    (.2, '0.2 s'), (12.4, '12 s'), (99.6, '2 min'), (5000, '83 min'),
    (7800, '2 h 10 min')])
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


def test_the_data_are_checked_without_a_word(config, photos, capsys):
    """The runner says the same again."""
    (photos / 'snow/notes.txt').write_text('x')
    cfg = resolve(config(max_epochs=1))
    build_runner(cfg, ('train_dataloader', 'val_dataloader')).train()
    assert words(capsys.readouterr().out).count('are no images') == 1
    levels = {handler.level for handler in
              console_hook.MMLogger.get_current_instance().handlers}
    assert max(levels) < logging.ERROR
