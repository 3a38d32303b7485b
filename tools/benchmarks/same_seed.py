"""How far the same seed goes: other threads, devices, versions, machines.

    python tools/benchmarks/same_seed.py --threads 1 2
    python tools/benchmarks/same_seed.py --devices cpu cuda cuda
    python tools/benchmarks/same_seed.py --threads 1 \
        --python .versions/lowest/bin/python .versions/newest/bin/python
    python tools/benchmarks/same_seed.py --out here.json     # one machine
    python tools/benchmarks/same_seed.py --first here.json   # another

Trains --config once for each Python, device and number of threads, and
compares the learned contexts and the metrics with those of the first.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join(filter(None, [str(ROOT), os.getenv('PYTHONPATH')]))
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
    parser.add_argument('--devices', nargs='+', default=['cpu'],
                        choices=['cpu', 'cuda'])
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument('--out', help='write the first context to this file')
    parser.add_argument('--first', help='compare with that of this file')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args()


def train(args: argparse.Namespace, python: str, device: str, threads: int,
          work: Path) -> tuple:
    """The context of the last epoch, and the metrics."""
    import torch
    hidden = dict(CUDA_VISIBLE_DEVICES='') if device == 'cpu' else {}
    subprocess.run([
        python, '-W', 'ignore', str(ROOT / 'tools/train.py'),
        str(ROOT / args.config), '--work-dir', str(work), '--cfg-options',
        f'max_epochs={args.epochs}', 'report=False', 'calibrate=False',
        *args.cfg_options
    ], check=True, stdout=subprocess.DEVNULL, env=dict(
        os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=PATH,
        MMCOOP_CACHE=str(work / 'cache'), **hidden))
    state = torch.load(work / f'epoch_{args.epochs}.pth', map_location='cpu',
                       weights_only=True)['state_dict']
    result = json.loads((work / 'result.json').read_text())
    return state['head.prompt.ctx'], result['metrics']


def processor() -> str:
    """The model's name, where Linux tells it."""
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.processor()


def main() -> None:
    import torch
    args, first = parse(), None
    if args.first:
        saved = json.loads(Path(args.first).read_text())
        first = torch.tensor(saved['context']), saved['metrics']
    print(f'{processor()}; compared with '
          f'{saved["processor"] if first else "the first row"}\n\n'
          '| Python, torch, mmengine | device | threads | largest difference '
          'of the context | of | metrics |\n'
          '| --- | --- | --- | --- | --- | --- |')
    with tempfile.TemporaryDirectory() as folder:
        for i, (python, device, threads) in enumerate(product(
                args.python, args.devices, args.threads)):
            versions = subprocess.run(
                [python, '-W', 'ignore', '-c', VERSIONS], check=True,
                text=True, capture_output=True).stdout.strip()
            found = train(args, python, device, threads,
                          Path(folder) / str(i))
            if args.out and not i:
                Path(args.out).write_text(json.dumps(dict(
                    processor=processor(), versions=versions,
                    context=found[0].tolist(), metrics=found[1])))
            first = first or found
            metrics = ', '.join(f'{name} {value:.6g}'
                                for name, value in found[1].items())
            print(f'| {versions} | {device} | {threads} | '
                  f'{(found[0] - first[0]).abs().max():.2g} | '
                  f'{first[0].abs().max():.3g} | {metrics} |', flush=True)


if __name__ == '__main__':
    main()
