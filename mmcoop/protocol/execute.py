"""Runs of a plan, one after the other in this process."""
import contextlib
import gc
import importlib.util
import json
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

from ..report.records import top1_of
from .plan import Run

# of two runs that differ only in these, the results are the same
SAME_RESULT = ('data_root', )


def result_of(run: Run, work_dir: Path, common: Dict[str, object]
              ) -> Optional[dict]:
    """The JSON that a run has left; None if it is still to do.

    A test of a checkpoint that has been trained again since is still to do.

    Raises:
        ValueError: It was run with other options, or cannot be read.
    """
    path = work_dir / run.folder / run.result
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is no JSON ({error}): remove it, and the '
                         'run is done again.') from None
    if run.trained:
        training = result_of(run.trained, work_dir, common)
        if training is None or training['finished'] > result['finished']:
            return None
    found, planned = (
        {key: value for key, value in options.items()
         if key not in SAME_RESULT}
        for options in (result.get('overrides') or {},
                        _as_read(run.options(common))))
    if found != planned:
        changed = [f'{key}={found.get(key)} (now {planned.get(key)})'
                   for key in sorted({*found, *planned})
                   if found.get(key) != planned.get(key)]
        raise ValueError(
            f'{path} was run with other options: {", ".join(changed)}. Give '
            'the same, or another --work-dir, or remove that folder.')
    return result


def run_all(runs: Sequence[Run], work_dir: Path, common: Dict[str, object],
            root: Path, log_line: Callable[[str], None] = print
            ) -> Dict[Run, str]:
    """Run what has no result yet; go on after a failure.

    Args:
        runs: In an order in which a training comes before its tests.
        work_dir: Where each run has its folder.
        common: ``--cfg-options`` of all runs.
        root: The repository. Each run is what its command line would do, but
            for what is printed, which goes to ``console.log``, and the CLIP,
            which is loaded once.
        log_line: Takes a line for each run that has ended.

    Returns:
        Runs that failed, with the last line of their error.
    """
    from ..clip import keep_clips  # imports open_clip
    failed: Dict[Run, str] = {}
    start, done = time.perf_counter(), 0
    mains = {name: tool_main(root / 'tools' / f'{name}.py')
             for name in {run.tool for run in runs}}
    with keep_clips():
        for i, run in enumerate(runs, 1):
            if run.trained in failed:
                failed[run] = 'its training failed'
                continue
            if result_of(run, work_dir, common) is not None:
                continue  # another process has run it since
            begin = time.perf_counter()
            _, *words = run.command(work_dir, common, root)
            log = work_dir / run.folder / 'console.log'
            log.parent.mkdir(parents=True, exist_ok=True)
            try:
                with _quiet(log):
                    mains[run.tool](words)
                result = result_of(run, work_dir, common)
                if result is None:
                    raise RuntimeError('it left no result')
                outcome = f'{top1_of(result, log.parent):.2f} %'
            except (Exception, SystemExit) as error:
                with log.open('a') as file:
                    traceback.print_exc(file=file)
                failed[run] = _reason(error, log)
                outcome = f'FAILED: {failed[run]} ({log})'
            done += 1
            seconds = time.perf_counter() - begin
            left = (time.perf_counter() - start) / done * (len(runs) - i)
            log_line(
                f'[{i}/{len(runs)}] {run.folder}: {outcome}, {seconds:.0f} s; '
                f'about {left / 60:.0f} min left')
            free_runs()
    return failed


def _as_read(options: Dict[str, object]) -> dict:
    return json.loads(json.dumps(options, default=str))


def _reason(error: BaseException, log: Path) -> str:
    """In a line; argparse's is in the log alone."""
    text = str(error)
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        text = log.read_text().strip().splitlines()[-1]
    return ' '.join(text.split())[:300]


def free_runs() -> None:
    """Free what finished runs leave: cycles, logs and their files.

    mmengine keeps the logger, message hub and visualizer of every run.
    """
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.visualization import Visualizer
    from mmpretrain.visualization import UniversalVisualizer
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for kept in (MMLogger, MessageHub, Visualizer, UniversalVisualizer):
        kept._instance_dict.clear()
    gc.unfreeze()  # build_runner froze them
    gc.collect()


def tool_main(path: Path) -> Callable[[List[str]], None]:
    """``main`` of a command line."""
    spec = importlib.util.spec_from_file_location(f'mmcoop_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@contextlib.contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """What is printed goes to a file."""
    with log.open('a') as file, contextlib.redirect_stdout(file), \
            contextlib.redirect_stderr(file):
        yield
