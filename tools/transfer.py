"""Test one checkpoint on other data sets, with their class names.

    python tools/transfer.py CONFIG CHECKPOINT \
        --datasets imagenetv2 imagenet_sketch imagenet_a imagenet_r

A unified context serves any classes; a class-specific one is refused where
the classes are others. Without CHECKPOINT: zero-shot CLIP (--cfg-options
templates=own). Writes result_test.json into --work-dir/<data set>.
"""
import argparse
import json
from pathlib import Path
from typing import List, Optional

from mmengine.config import Config

from mmcoop.catalog import CATALOG
from mmcoop.clip import keep_clips
from mmcoop.command_line import CfgOptions
from mmcoop.datasets.coop_dataset import check_published
from mmcoop.protocol.execute import tool_main
from mmcoop.report.records import top1_of
from mmcoop.report.table import Table


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', nargs='?',
                        help='checkpoint, or folder of a run')
    parser.add_argument('--datasets', nargs='+', required=True,
                        choices=CATALOG, metavar='NAME',
                        help=', '.join(CATALOG))
    parser.add_argument('--work-dir', type=Path,
                        help='default: transfer/ beside the checkpoint, or '
                        './work_dirs/<config name>/transfer')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions,
                        default={}, help='as of tools/test.py')
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    beside = Path(args.checkpoint or Path('work_dirs') / Path(
        args.config).stem)
    beside = beside.parent if beside.is_file() else beside
    work_dir = args.work_dir or beside / 'transfer'
    data_root = args.cfg_options.get('data_root') or \
        Config.fromfile(args.config).get('data_root', 'data')
    for name in args.datasets:  # all of them, before the first is tested
        check_published(CATALOG[name], data_root, 'test')
    test = tool_main(Path(__file__).with_name('test.py'))
    model = [args.config] + ([args.checkpoint] if args.checkpoint else [])
    rows = []
    with keep_clips():
        for name in args.datasets:
            options = {**args.cfg_options, 'dataset': name}
            test([*model, '--work-dir', str(work_dir / name), '--cfg-options',
                  *(f'{key}={value}' for key, value in options.items())])
            result = json.loads(
                (work_dir / name / 'result_test.json').read_text())
            rows.append([CATALOG[name].title, str(result['num_classes']),
                         str(result['num_images_evaluated']),
                         top1_of(result, work_dir / name)])
    print(Table('transfer', f'{result["method"]} on other data sets',
                ['data set', 'classes', 'images', 'top-1 (%)'], rows).text())


if __name__ == '__main__':
    main()
