"""Everything that needs a GPU, in one command and at most 10 minutes.

    python tools/benchmarks/on_gpu.py
    python tools/benchmarks/on_gpu.py --device cpu --quick    # does it run?

The tests marked gpu, training with and without AMP and bf16 towers, DDP over
NCCL where there are two GPUs, 50 epochs of an ImageNet-shaped run (1000
classes, 16 shots, generated images, a ViT-B/16 with random weights: speed does
not depend on them), and every benchmark. Writes one Markdown table after each
part, so that nothing is lost when the time is up; what was not run says so.
"""
import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import List, Optional

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CONFIG = 'configs/coop/coop_vit-b16_16shot_custom.py'
GRACE = 10  # seconds between asking a part to stop and stopping it


@dataclass
class Part:
    """A command, the most seconds it may take, where its numbers are.

    Args:
        name: Its name in the table.
        command: Arguments after the Python.
        limit: Seconds after which it is stopped.
        result: The file it writes: rows of a benchmark (``--out``), or the
            ``result.json`` of a run.
        env: Environment variables to add.
        why_not: Why it is not run here, if it is not.
    """
    name: str
    command: List[str]
    limit: float
    result: Optional[Path] = None
    env: dict = field(default_factory=dict)
    why_not: Optional[str] = None


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda', choices=['cuda', 'cpu'])
    parser.add_argument('--quick', action='store_true',
                        help='tiny sizes: shows that the script works, and '
                        'no numbers to quote')
    parser.add_argument('--limit', type=float, default=600,
                        help='seconds for all parts')
    parser.add_argument('--only', nargs='+', default=[''],
                        help='parts with these words in their names')
    parser.add_argument('--out', default='work_dirs/on_gpu.md')
    return parser.parse_args()


def main() -> None:
    args = parse()
    gpus, machine = describe(args.device)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + args.limit
    lines = ['| part | | numbers | seconds |', '| --- | --- | --- | --- |']
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for part in parts(args, gpus, Path(folder)):
            left = deadline - time.monotonic()
            if part.why_not is None and left < 5:
                part.why_not = f'the {args.limit:.0f} seconds were up'
            if part.why_not is not None:
                rows = [('not run', part.why_not)]
                spent = 0.
            else:
                print(f'{part.name}: {" ".join(part.command)}', flush=True)
                if str(Path(folder) / 'images') in ' '.join(part.command):
                    make_images(Path(folder) / 'images', args.quick)
                state, spent, printed = run(part, min(part.limit, left))
                failed |= state not in ('done', 'stopped')
                rows = numbers(part, state, printed)
            for i, (case, values) in enumerate(rows):
                lines.append(f'| {"" if i else part.name} | {case} | {values} '
                             f'| {"" if i or not spent else f"{spent:.0f}"} |')
                print(lines[-1], flush=True)
            out.write_text('\n'.join([machine, '', *lines, '']))
    print(f'\nThe table: {out}')
    raise SystemExit(1 if failed else 0)


def describe(device: str) -> tuple:
    """How many GPUs there are, and the machine in words."""
    import torch
    gpus = torch.cuda.device_count() if device == 'cuda' else 0
    if device == 'cuda' and not gpus:
        raise SystemExit('PyTorch sees no GPU here. That the script works is '
                         'shown by --device cpu --quick.')
    name = f'{gpus} x {torch.cuda.get_device_name()}' if gpus else 'no GPU'
    return gpus, (f'{name}, {platform.machine()}, {os.cpu_count()} CPUs, '
                  f'torch {torch.__version__}, '
                  f'Python {platform.python_version()}, '
                  f'{time.strftime("%Y-%m-%d")}')


def parts(args: argparse.Namespace, gpus: int, folder: Path) -> List[Part]:
    quick, gpu = args.quick, args.device == 'cuda'

    def bench(script: str, *options: str, why_not: Optional[str] = None
              ) -> Part:
        out = folder / f'{len(found)}.json'
        sizes = ['--repeats', '1', '--model',
                 str(ROOT / 'mmcoop/demo/tiny_clip.json')] if quick else \
            ['--repeats', '10'] if gpu else []
        return Part(f'benchmarks/{script}', [
            str(HERE / script), '--device', args.device, '--out', str(out),
            *sizes, *options], 90 if gpu else 180, out, why_not=why_not)

    def training(name: str, *options: str, flags=(), ranks: int = 1,
                 limit: float = 90, why_not: Optional[str] = None) -> Part:
        work = folder / f'run{len(found)}'
        launch = [str(ROOT / 'tools/train.py')]
        if ranks > 1:
            launch = ['-m', 'torch.distributed.run', '--nproc-per-node',
                      str(ranks), '--rdzv-backend=c10d',
                      '--rdzv-endpoint=localhost:0', *launch]
            flags = [*flags, '--launcher', 'pytorch']
        tiny = [f'model.clip.model_name={ROOT}/mmcoop/demo/tiny_clip.json'] \
            if quick else []
        return Part(name, [
            *launch, str(ROOT / CONFIG), '--work-dir', str(work), *flags,
            '--cfg-options', f'data_root={folder / "images"}',
            'model.clip.pretrained=None', 'shots=16', *tiny, *options],
            limit, work / 'result.json',
            env=dict(MMCOOP_CACHE=str(folder / 'cache')), why_not=why_not)

    found: List[Part] = []

    def tests(name: str, *files: str) -> Part:
        return Part(name, [
            '-m', 'pytest', '-m', 'gpu', '-p', 'no:cacheprovider', '-n',
            str(min(8, os.cpu_count())), *files], 150,
            env=dict(MMCOOP_TEST_DEVICE=args.device))

    found.append(tests('tests marked gpu', 'tests/test_gpu.py'))
    epochs = 2 if quick else 50
    found.append(training(  # in the published precision
        f'ImageNet-shaped, {epochs} epochs', f'max_epochs={epochs}',
        'cached_views=1',
        f'model.clip.precision={"fp16" if gpu else "fp32"}', limit=400))
    short = ['max_epochs=1', 'cached_views=1']
    found.append(training('one epoch, fp32', *short))
    found.append(training(
        'one epoch, AMP', *short, flags=['--amp'],
        why_not=None if gpu else 'mixed precision needs a GPU'))
    found.append(training('one epoch, bf16 towers', *short,
                          'model.clip.precision=bf16'))
    found.append(training(
        'one epoch, 2 processes', *short, ranks=2,
        why_not='one GPU' if gpu and gpus < 2 else None))
    amp = ['--amp'] if gpu else []
    few = ['--classes', '8'] if quick else []
    many = ['--classes', '1000'] if gpu and not quick else few
    found.append(bench('text_step.py', *many, *amp))
    found.append(bench('training_step.py', *amp, *(
        ['--plain-classes', '4', '--eval-batches', '2'] if quick else
        ['--plain-classes', '1000'] if gpu else [])))
    found.append(bench('methods_step.py', *few, '--only', 'CoCoOp'))
    found.append(bench('precision.py', *many))
    found.append(bench('many_classes.py', *(
        ['--classes', '5', '20'] if quick else [])))
    found.append(bench('heads.py', *(
        ['--classes', '5', '--shots', '4', '--width', '8', '--images',
         '2000'] if quick else [])))
    found.append(bench('tpt_step.py', *few))
    found.append(bench('multi_gpu.py', *few, why_not='one GPU'
                       if gpu and gpus < 2 else None))
    found.append(bench('loading.py', *(['--images', '64'] if quick else [])))
    found.append(Part('the same seed twice', [
        str(HERE / 'same_seed.py'), '--threads', '1', '--epochs', '2' if quick
        else '6', '--devices', args.device, args.device, 'cpu'], 120))
    if not quick:
        found.append(tests('contract of all methods',
                           'tests/test_contract.py'))
    return [part for part in found
            if any(word in part.name for word in args.only)]


def make_images(folder: Path, quick: bool) -> None:
    """ImageNet's class names, 16 images to train on and 1 to test on each."""
    if folder.exists():
        return
    from common import class_names
    names: List[str] = []
    for name in class_names(8 if quick else 1000):
        name = name.replace('/', ' ')
        names.append(name if name not in names else f'{name} (2)')
    with get_context('spawn').Pool() as pool:
        pool.starmap(_make_class, [(folder, label, name)
                                   for label, name in enumerate(names)])


def _make_class(folder: Path, label: int, name: str) -> None:
    import numpy as np
    from PIL import Image
    rng = np.random.default_rng(label)
    color = rng.integers(0, 150, 3)
    for part, count in (('train', 16), ('test', 1)):
        place = folder / part / name
        place.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 100, (16, 20, 3)) + color
            Image.fromarray(pixels.astype(np.uint8)).resize(
                (320, 256)).save(place / f'{i}.jpg', quality=85)


def run(part: Part, limit: float) -> tuple:
    """Run a part: how it ended, its seconds, what it printed."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.getenv('PYTHONPATH')]))
    env = {**os.environ, 'PYTHONPATH': path, **part.env}
    start = time.monotonic()
    with tempfile.TemporaryFile('w+') as printed:
        process = subprocess.Popen(
            [sys.executable, *part.command], cwd=ROOT, env=env,
            stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(limit)
            state = 'done' if code == 0 else f'failed (exit code {code})'
        except subprocess.TimeoutExpired:
            state = 'stopped'
            for number in (signal.SIGTERM, signal.SIGKILL):  # its children too
                os.killpg(process.pid, number)
                try:
                    process.wait(GRACE)
                    break
                except subprocess.TimeoutExpired:
                    continue
        printed.seek(0)
        text = printed.read()
    if state.startswith('failed'):
        print(text[-3000:], flush=True)
    return state, time.monotonic() - start, text


def numbers(part: Part, state: str, printed: str) -> List[tuple]:
    """Rows (case, numbers) of the table."""
    if part.result is None:  # pytest's count, or rows of a table
        rows = re.findall(r'^\| (\d.*) \|$', printed, re.MULTILINE)
        return [(state, '; '.join(row.split(' | '))) for row in rows] or [
            (state, ''.join(re.findall(r'.*\d (?:passed|failed|skipped).*',
                                       printed)[-1:]))]
    if part.result.name != 'result.json':
        rows = json.loads(part.result.read_text())['rows'] \
            if part.result.is_file() else []
        cases = [(next(iter(row.values())), '; '.join(
            f'{key} {_short(value)}'
            for key, value in list(row.items())[1:])) for row in rows]
        return cases if state == 'done' else [
            *cases, (state, f'after {part.limit:.0f} s at most')]
    words = [f'epoch {epoch}: loss {loss:.3f}, {seconds * 1000:.1f} ms a step'
             for epoch, loss, seconds in _epochs(part.result.parent)]
    if part.result.is_file():
        result = json.loads(part.result.read_text())
        words += [f'training {result["seconds_of_training"]:.0f} s',
                  *(f'{what} {mib} MiB' for what, mib in
                    result['peak_memory_mib'].items())]
    return [(state, '; '.join(words))]


def _epochs(work: Path) -> List[tuple]:
    """(epoch, loss, seconds a step) of the first and last epoch so far."""
    files = sorted(work.glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for line in files[-1].read_text().splitlines()] \
        if files else []
    rows = [(row['epoch'], row['loss'], row['time'])
            for row in rows if 'loss' in row]
    return [rows[0], rows[-1]] if len({r[0] for r in rows}) > 1 else rows[-1:]


def _short(value) -> str:
    return f'{value:.3g}' if isinstance(value, float) else str(value)


if __name__ == '__main__':
    main()
