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

from mmcoop.cfg_options import add_cfg_options
from mmcoop.command_line import parse_args
from mmcoop.errors import run_tool

PHRASE = 'a photo of a'


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
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
        help='classes to read of a class-specific context (the first three)')
    parser.add_argument(
        '--phrases',
        nargs='*',
        default=[PHRASE],
        metavar='PHRASE',
        help=f'what to compare the prompt with ("{PHRASE}")')
    parser.add_argument('--out', help='the JSON file')
    add_cfg_options(parser, 'those of the run')
    args = parse_args(parser, argv)
    if args.top < 1:
        parser.error(f'--top {args.top}: one word at least')
    if osp.isdir(args.checkpoint):
        from mmcoop.checkpoints import find_last_checkpoint
        args.checkpoint = find_last_checkpoint(args.checkpoint) or \
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
    args = parse(argv)
    from mmengine.config import Config
    from mmengine.fileio import dump

    from mmcoop.cfg_options import merge_options, parse_values
    from mmcoop.config import resolve
    from mmcoop.files import replacing
    from mmcoop.protocol.read_prompt import as_tables, read_prompt
    cfg = Config.fromfile(args.config)
    merge_options(cfg, parse_values(args.cfg_options))
    cfg = resolve(cfg, args.cfg_options)
    report = read_prompt(cfg, args.checkpoint, args.top, args.classes,
                         args.phrases)
    print(f'\n{report["method"]} of {report["clip"]}\n')
    print(as_tables(report))
    left = report['num_classes'] - len(
        {context['class_name'] for context in report['contexts']})
    if args.classes is None and report['prompt'].get('class_specific') \
            and left:
        print(f'\n{left} more classes have contexts of their own: --classes '
              'NAME ... chooses.')
    with replacing(args.out) as temporary:
        dump(dict(config=args.config, checkpoint=args.checkpoint, **report),
             str(temporary), file_format='json', indent=1)
    print(f'\nWritten: {args.out}')


if __name__ == '__main__':
    run_tool(main)
