"""Test one checkpoint on other data sets, with their class names.

    python tools/transfer.py CONFIG CHECKPOINT \
        --datasets imagenetv2 imagenet_sketch imagenet_a imagenet_r

A unified context can be tested on any classes; a class-specific one, or a
linear classifier, on its own. Zero-shot CLIP (configs/zeroshot) takes no
CHECKPOINT. CONFIG is that of the run, or the one that a run has left. Writes
result_test.json into --work-dir/<data set>.
"""
import argparse
import json
from pathlib import Path
from typing import List, Optional

from mmcoop.catalog import CATALOG
from mmcoop.cfg_options import add_cfg_options
from mmcoop.command_line import parse_args
from mmcoop.errors import run_tool


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', nargs='?',
                        help='checkpoint, or folder of a run')
    parser.add_argument('--datasets', nargs='+', required=True,
                        choices=CATALOG, metavar='NAME',
                        help=', '.join(CATALOG))
    parser.add_argument('--data-root', metavar='FOLDER',
                        help='where the data lies, if not as in the config')
    parser.add_argument('--work-dir', type=Path,
                        help='default: transfer/ beside the checkpoint, or '
                        './work_dirs/<config name>/transfer')
    add_cfg_options(parser, 'as of tools/test.py')
    return parse_args(parser, argv)


def read_data_root(args: argparse.Namespace) -> str:
    """The folder above the data sets, as flags or config say."""
    if args.data_root:
        return args.data_root
    from mmcoop.cfg_options import merge_options, parse_values
    from mmcoop.command_line import read_config
    from mmcoop.config import resolve
    cfg = read_config(args.config)
    merge_options(cfg, parse_values(args.cfg_options))
    return resolve(cfg).test_dataloader.dataset.data_root


def options_of(name: str, data_root: str, args: argparse.Namespace) -> dict:
    """What tests a config on another data set of the catalogue.

    These are places, not variables: a config that a run left has none.
    """
    options = {**args.cfg_options,
               'test_dataloader.dataset.type': 'mmcoop.CoOpDataset',
               'test_dataloader.dataset.name': name,
               'test_dataloader.dataset.data_root': data_root}
    from mmengine.config import Config
    prompt = Config.fromfile(args.config).model.get('head', {}).get('prompt')
    if prompt and 'own' in prompt:  # the data set's hand-written prompt
        options['model.head.prompt.own'] = CATALOG[name].template
    return options


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    from mmcoop.clip import keep_clips
    from mmcoop.datasets.coop_dataset import check_published
    from mmcoop.protocol.execute import tool_main
    from mmcoop.report.records import top1_of
    from mmcoop.report.table import Table
    beside = Path(args.checkpoint or Path('work_dirs') / Path(
        args.config).stem)
    beside = beside.parent if beside.is_file() else beside
    work_dir = args.work_dir or beside / 'transfer'
    data_root = read_data_root(args)
    for name in args.datasets:  # all of them, before the first is tested
        check_published(CATALOG[name], data_root, 'test')
    test = tool_main(Path(__file__).with_name('test.py'))
    model = [args.config] + ([args.checkpoint] if args.checkpoint else [])
    rows = []
    with keep_clips():
        for name in args.datasets:
            options = options_of(name, data_root, args)
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
    run_tool(main)
