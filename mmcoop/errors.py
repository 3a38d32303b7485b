"""How a command line ends when something is wrong.

What a person can mend is told in one line. The traceback is in the run's log,
and on the console with ``--debug``. What nobody expected keeps its traceback.
"""
import argparse
import errno
import linecache
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Optional

DEBUG = '--debug'
PACKAGE = Path(__file__).resolve().parent
REMEDIES = {
    errno.ENOSPC: 'the disk is full: make room, and start again (--resume '
    'goes on from the last checkpoint)',
    errno.EDQUOT: 'your quota is used up: make room, and start again '
    '(--resume goes on from the last checkpoint)',
    errno.EROFS: 'it cannot be written to: give another --work-dir',
    errno.EACCES: 'you may not: give another path, or change its permissions',
    errno.EADDRINUSE: 'another run has this port: PORT=29501 '
    'tools/dist_train.sh ..., or torchrun --master-port',
}


def add_debug(parser: argparse.ArgumentParser) -> None:
    """The flag ``--debug`` in a tool's help; :func:`run_tool` reads it."""
    parser.add_argument(
        DEBUG, action='store_true',
        help='after an error show the traceback too, not the message alone')


def run_tool(main: Callable[[], Any], failed: int = 1) -> None:
    """Run the ``main`` of a command line, and end the process.

    Exit codes are 0, 1 for an error, 2 for wrong usage (argparse's) and 130
    for an interrupt.

    Args:
        main: Reads ``sys.argv``; a number that it returns is the exit code.
        failed: The exit code for an error.
    """
    debug = DEBUG in sys.argv[1:]
    sys.argv = [word for word in sys.argv if word != DEBUG]
    # names of classes and files may hold what a console cannot show
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        code = main()
    except KeyboardInterrupt:
        if debug:
            raise
        print('\nInterrupted.', file=sys.stderr)
        code = 130
    except BrokenPipeError:  # "... | head" has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        log_traceback(error)
        sentence = None if debug else describe(error)
        if sentence is None:
            traceback.print_exception(error)
            if not debug:
                print('This was not expected: please report it, with the '
                      'lines above.', file=sys.stderr)
        else:
            print(f'Error: {sentence}', file=sys.stderr)
        code = failed
    sys.exit(code)


def describe(error: BaseException) -> Optional[str]:
    """An expected error in one line; None for others.

    Expected are errors that mmcoop raises itself, those of files and of the
    network, and too little memory.
    """
    text = ' '.join(str(error).split())
    if type(error).__name__ == 'OutOfMemoryError' or isinstance(
            error, MemoryError):
        return ('there is not enough memory: set model.head.text_memory=4 '
                '(GiB), model.clip.precision=bf16 or a smaller '
                f'train_dataloader.batch_size (docs/speed.md). {text[:200]}')
    if is_own(error):
        return text
    taken = 'EADDRINUSE' in text  # torch 2.6 tells it by a RuntimeError
    if isinstance(error, OSError) or taken:
        remedy = REMEDIES.get(errno.EADDRINUSE if taken else error.errno)
        return text + (f' ({remedy})' if remedy else '')
    if 'unexpected keyword argument' in text and isinstance(error, TypeError):
        return f'{text}: an argument in the config is misspelt'
    if isinstance(error, ImportError) and 'install' in text:
        return text  # the host names the package that a part needs
    return _from_worker(str(error)) or _from_config(error)


def is_own(error: BaseException) -> bool:
    """Whether mmcoop, or a tool of it, raised an error by itself.

    The place of the error is then a ``raise`` in one of its files.
    """
    frame = error.__traceback__
    if frame is None:
        return False
    while frame.tb_next is not None:
        frame = frame.tb_next
    file = frame.tb_frame.f_code.co_filename
    line = linecache.getline(file, frame.tb_lineno)
    return line.strip().startswith('raise ') and any(
        folder in Path(file).resolve().parents
        for folder in (PACKAGE, _tools_folder()))


def _tools_folder() -> Path:
    return (PACKAGE / '.mim/tools').resolve()


def _from_worker(text: str) -> Optional[str]:
    """The sentence of an error that mmcoop raised in a loader's process.

    torch gives the other process's traceback as the error's text.
    """
    lines = text.strip().splitlines()
    files = [line for line in lines if line.lstrip().startswith('File "')]
    if not text.startswith('Caught ') or not files or \
            f'"{PACKAGE}' not in files[-1]:
        return None
    return lines[-1].partition(': ')[2]


def _from_config(error: BaseException) -> Optional[str]:
    """The sentence of a part of the host that refuses what a config says.

    mmengine was building it, and nothing of this package's ran in it.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = [i for i, frame in enumerate(frames)
             if frame.f_code.co_name == 'build_from_cfg']
    refused = isinstance(error, (AssertionError, KeyError, TypeError,
                                 ValueError))
    if not (built and refused and error.args and error.args[0]) or any(
            PACKAGE in Path(frame.f_code.co_filename).resolve().parents
            for frame in frames[built[-1]:]):
        return None
    part = frames[built[-1]].f_locals.get('cfg') or {}
    return (f'{part.get("type")} cannot be built as the config says: '
            f'{" ".join(str(error.args[0]).split())}')


def log_traceback(error: BaseException) -> None:
    """Write a traceback into the files of mmengine's current log."""
    module = sys.modules.get('mmengine.logging')
    if module is None:
        return
    record = logging.LogRecord(
        'mmcoop', logging.ERROR, __file__, 0, 'The run ended with an error.',
        None, (type(error), error, error.__traceback__))
    for handler in module.MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            try:
                handler.emit(record)
            except OSError:  # a full disk, which is being told
                pass


def is_of_lost_rank(error: RuntimeError) -> bool:
    """Whether an error says that another rank is not there any more."""
    import torch
    return isinstance(error, torch.distributed.DistError) or any(
        words in str(error) for words in (
            'closed by peer', 'reset by peer', 'Broken pipe'))


class LogFailure:
    """Say once that a log file cannot be written, and go on without."""

    def __init__(self, handler: logging.FileHandler) -> None:
        self.handler, self.said = handler, False

    def __call__(self, record: logging.LogRecord) -> None:
        if not self.said:
            self.said = True
            print(f'{self.handler.baseFilename} cannot be written '
                  f'({sys.exc_info()[1]}): the run goes on without a log.',
                  file=sys.stderr)
