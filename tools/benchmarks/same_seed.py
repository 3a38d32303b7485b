"""How far the same seed goes: other threads, other library versions.

    python tools/benchmarks/same_seed.py --threads 1 2
    python tools/benchmarks/same_seed.py --threads 1 \
        --python .versions/lowest/bin/python .versions/newest/bin/python

Trains --config once for each Python and number of threads, and compares the
learned contexts and the metrics with those of the first.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = '''
import platform, torch, mmengine
print(platform.python_version(), torch.__version__, mmengine.__version__)
'''


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='configs/coop/coop_demo.py')
    parser.add_argument('--python', nargs='+', default=[sys.executable])
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args()


def train(args: argparse.Namespace, python: str, threads: int,
          work: Path) -> tuple:
    """The context of the last epoch, and the metrics."""
    import torch
    subprocess.run([
        python, '-W', 'ignore', str(ROOT / 'tools/train.py'),
        str(ROOT / args.config), '--work-dir', str(work), '--cfg-options',
        f'max_epochs={args.epochs}', 'report=False', 'calibrate=False',
        *args.cfg_options
    ], check=True, stdout=subprocess.DEVNULL, env=dict(
        os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=str(ROOT),
        MMCOOP_CACHE=str(work / 'cache')))
    state = torch.load(work / f'epoch_{args.epochs}.pth', map_location='cpu',
                       weights_only=True)['state_dict']
    result = json.loads((work / 'result.json').read_text())
    return state['head.prompt.ctx'], result['metrics']


def main() -> None:
    args, first = parse(), None
    print('| Python, torch, mmengine | threads | largest difference of the '
          'context | of | metrics |\n| --- | --- | --- | --- | --- |')
    with tempfile.TemporaryDirectory() as folder:
        for i, python in enumerate(args.python):
            versions = subprocess.run(
                [python, '-W', 'ignore', '-c', VERSIONS], check=True,
                text=True, capture_output=True).stdout.strip()
            for threads in args.threads:
                found = train(args, python, threads,
                              Path(folder) / f'{i}_{threads}')
                first = first or found
                metrics = ', '.join(f'{name} {value:.6g}'
                                    for name, value in found[1].items())
                print(f'| {versions} | {threads} | '
                      f'{(found[0] - first[0]).abs().max():.2g} | '
                      f'{first[0].abs().max():.3g} | {metrics} |', flush=True)


if __name__ == '__main__':
    main()
