"""Runs of a plan, one after the other in this process."""
import contextlib
import gc
import importlib.util
import json
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

from ..clip import keep_clips
from .plan import Run

# of two runs that differ only in these, the results are the same
SAME_RESULT = ('data_root', )


def result_of(run: Run, work_dir: Path, common: Dict[str, object]
              ) -> Optional[dict]:
    """The JSON that a run has left; None if it is still to do.

    Raises:
        ValueError: It was run with other options.
    """
    path = work_dir / run.folder / run.result
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    found, planned = (
        {key: value for key, value in options.items()
         if key not in SAME_RESULT}
        for options in (result.get('overrides') or {},
                        _as_read(run.options(common))))
    if found != planned:
        odd = [f'{key}={found.get(key)} (now {planned.get(key)})'
               for key in sorted({*found, *planned})
               if found.get(key) != planned.get(key)]
        raise ValueError(
            f'{path} was run with other options: {", ".join(odd)}. Give the '
            'same, or another --work-dir, or remove that folder.')
    return result


def run_all(runs: Sequence[Run], work_dir: Path, common: Dict[str, object],
            root: Path, say: Callable[[str], None] = print
            ) -> Dict[Run, str]:
    """Run what has no result yet; go on after a failure.

    Args:
        runs: In an order in which a training comes before its tests.
        work_dir: Where each run has its folder.
        common: ``--cfg-options`` of all runs.
        root: The repository. Each run is what its command line would do, but
            for what is printed, which goes to ``console.log``, and the CLIP,
            which is loaded once.
        say: Where a line a run goes.

    Returns:
        Runs that failed, with the last line of their error.
    """
    failed: Dict[Run, str] = {}
    start, done = time.perf_counter(), 0
    mains = {name: _main(root / 'tools' / f'{name}.py')
             for name in {run.tool for run in runs}}
    with keep_clips():
        for i, run in enumerate(runs, 1):
            if run.trained in failed:
                failed[run] = 'its training failed'
                continue
            if result_of(run, work_dir, common) is not None:
                continue  # by another process meanwhile
            begin = time.perf_counter()
            _, *words = run.command(work_dir, common, root)
            log = work_dir / run.folder / 'console.log'
            log.parent.mkdir(parents=True, exist_ok=True)
            try:
                with _quiet(log):
                    mains[run.tool](words)
                outcome = _accuracy(result_of(run, work_dir, common))
            except (Exception, SystemExit) as error:
                with log.open('a') as file:
                    traceback.print_exc(file=file)
                failed[run] = ' '.join(str(error).split())[:300]
                outcome = f'FAILED: {failed[run]} ({log})'
            done += 1
            seconds = time.perf_counter() - begin
            left = (time.perf_counter() - start) / done * (len(runs) - i)
            say(f'[{i}/{len(runs)}] {run.folder}: {outcome}, {seconds:.0f} s; '
                f'about {left / 60:.0f} min left')
            gc.unfreeze()  # build_runner froze: this run's things can go
            gc.collect()
    return failed


def _as_read(options: Dict[str, object]) -> dict:
    return json.loads(json.dumps(options, default=str))


def _accuracy(result: Optional[dict]) -> str:
    if result is None:
        raise RuntimeError('it left no result')
    values = [value for key, value in (result['metrics'] or {}).items()
              if key.endswith('accuracy/top1')]
    return f'{values[0]:.2f} %' if values else 'no accuracy'


def _main(path: Path) -> Callable[[List[str]], None]:
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
