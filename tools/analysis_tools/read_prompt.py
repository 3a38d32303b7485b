"""Read a learned prompt: python tools/analysis_tools/read_prompt.py CONFIG
CHECKPOINT.

Prints the words nearest to each context vector, as the paper's Table 4, and
how like "a photo of a" (or other --phrases) the learned prompts are. Needs no
images. Writes all of it as JSON beside the checkpoint
(epoch_N_prompt.json).
"""
import argparse
import os
import os.path as osp
from typing import List, Optional

from mmengine.config import Config
from mmengine.fileio import dump
from mmengine.runner import find_latest_checkpoint

from mmcoop.command_line import CfgOptions
from mmcoop.protocol.read_prompt import PHRASE, SHOWN, as_tables, read_prompt


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', help='checkpoint, or folder of a run')
    parser.add_argument(
        '--top', type=int, default=1, help='words for each vector (1)')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='classes to read of a class-specific context (the first '
        f'{SHOWN})')
    parser.add_argument(
        '--phrases',
        nargs='*',
        default=[PHRASE],
        metavar='PHRASE',
        help=f'what to compare the prompt with ("{PHRASE}")')
    parser.add_argument('--out', help='the JSON file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='override settings of the config as key=value, those of the run '
        'for example')
    args = parser.parse_args(argv)
    if args.top < 1:
        parser.error(f'--top {args.top}: one word at least')
    if osp.isdir(args.checkpoint):
        args.checkpoint = find_latest_checkpoint(args.checkpoint) or \
            osp.join(args.checkpoint, 'epoch_*.pth')
    if not osp.isfile(args.checkpoint):
        parser.error(f'there is no checkpoint {args.checkpoint}')
    if args.out is None:
        args.out = osp.splitext(args.checkpoint)[0] + '_prompt.json'
    folder = osp.dirname(osp.abspath(args.out))
    if not os.access(folder, os.W_OK):
        parser.error(f'{folder} cannot be written to: give --out FILE.json')
    return args


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    report = read_prompt(cfg, args.checkpoint, args.top, args.classes,
                         args.phrases)
    print(f'\n{report["method"]} of {report["clip"]}\n')
    print(as_tables(report))
    left = report['num_classes'] - len(report['contexts'])
    if args.classes is None and report['prompt']['class_specific'] and left:
        print(f'\n{left} more classes have contexts of their own: --classes '
              'NAME ... chooses.')
    dump(dict(config=args.config, checkpoint=args.checkpoint, **report),
         args.out, file_format='json', indent=1)
    print(f'\nWritten: {args.out}')


if __name__ == '__main__':
    main()
