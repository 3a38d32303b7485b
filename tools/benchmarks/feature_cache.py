"""Training end to end: views cached, against images in every epoch.

    python tools/benchmarks/feature_cache.py \
        configs/coop/coop_vit-b16_16shot_eurosat.py --seeds 1 2 3 \
        --cfg-options data_root=/data

Runs tools/train.py as a user would, start of Python and test included, with an
empty cache for each side; --warm adds a second cached run on the features of
the first. Accuracies stand beside the seconds: with fewer views than epochs
the cached run is an approximation.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import arguments, report

ROOT = Path(__file__).resolve().parents[2]


def train(args, seed: int, cache: str, options: list) -> tuple:
    """Seconds and top-1 of one run."""
    with tempfile.TemporaryDirectory() as work_dir:
        command = [
            sys.executable, str(ROOT / 'tools/train.py'), args.config,
            '--work-dir', work_dir, '--cfg-options', f'seed={seed}',
            *args.cfg_options, *options
        ]
        start = time.perf_counter()
        done = subprocess.run(
            command, env=dict(os.environ, MMCOOP_CACHE=cache),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        spent = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stdout[-3000:])
        result = json.loads((Path(work_dir) / 'result.json').read_text())
        return spent, result['metrics']['accuracy/top1']


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('config')
    parser.add_argument('--seeds', type=int, nargs='+', default=[1])
    parser.add_argument('--views', type=int, default=16)
    parser.add_argument('--warm', action='store_true')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    args = parser.parse_args()
    views = f'cached_views={args.views}'
    rows = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as cache:
            cached = train(args, seed, cache, [views])
            warm = train(args, seed, cache, [views]) if args.warm else None
        with tempfile.TemporaryDirectory() as cache:
            plain = train(args, seed, cache, [])
        rows.append({'seed': seed, 'images (s)': plain[0],
                     f'{args.views} views (s)': cached[0],
                     'times faster': plain[0] / cached[0],
                     'images top-1': plain[1], 'views top-1': cached[1]})
        if warm:
            rows[-1]['again (s)'] = warm[0]
        report(rows, args, last=True)
    if len(rows) > 1:
        rows.append({'seed': 'mean', **{
            key: statistics.mean(row[key] for row in rows)
            for key in rows[0] if key != 'seed'}})
    print()
    report(rows, args)


if __name__ == '__main__':
    main()
