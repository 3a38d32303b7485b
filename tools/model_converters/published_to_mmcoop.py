"""Make an mmcoop checkpoint of a published one: SRC DST.

    python tools/model_converters/published_to_mmcoop.py \
        output/dtd/CoOp/rn50_16shots/nctx16_cscFalse_ctpend/seed1 coop.pth

SRC is a model.pth.tar-N of the code of CoOp, CoCoOp, KgCoOp, ProGrad or MaPLe,
or the folder of a run. Its pickled code is not run. Backbone, data set, shots,
seed and position of the class name are taken from the folders' names, as the
published scripts write them, and can be said by --cfg-options; the shape of
the context is that of the file. DST goes to tools/test.py with the same
config, and to mmcoop.load alone.
"""
import argparse
import os
from typing import List, Optional

from mmcoop.cfg_options import add_cfg_options
from mmcoop.command_line import find_config, ignore_host_warnings
from mmcoop.errors import run_tool


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='published checkpoint, or folder of a run')
    parser.add_argument('dst', help='the checkpoint to write, *.pth')
    parser.add_argument(
        '--config', help="the method's config (default: by what SRC holds)")
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME',
        help='class names in the order of their labels, or a file with one in '
        'each line (default: those of the data set if --cfg-options names '
        'data_root, else those in SRC, in lower case)')
    add_cfg_options(parser, 'model.clip.model_name=RN50 '
                    'model.head.prompt.class_token_position=middle')
    args = parser.parse_args(argv)
    if not os.path.exists(args.src):
        parser.error(f'there is no {args.src}')
    if not args.dst.endswith('.pth') or \
            not os.path.isdir(os.path.dirname(args.dst) or '.'):
        parser.error(f'DST {args.dst}: name a file *.pth in a folder that '
                     'exists')
    if args.config:
        try:
            args.config = find_config(args.config)
        except FileNotFoundError as error:
            parser.error(str(error))
    if args.classes and len(args.classes) == 1 and \
            os.path.isfile(args.classes[0]):
        with open(args.classes[0], encoding='utf-8-sig') as file:
            args.classes = [line.strip() for line in file if line.strip()]
    return args


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    ignore_host_warnings()
    import torch
    from mmengine.registry import DefaultScope

    from mmcoop.apis import read_published, to_mmcoop
    from mmcoop.apis.published import find_config, read_options
    from mmcoop.cfg_options import merge_options, parse_values
    from mmcoop.command_line import read_config
    from mmcoop.config import resolve
    from mmcoop.files import replacing
    from mmcoop.registry import DATASETS
    published = read_published(args.src)
    options = {**read_options(published), **args.cfg_options}
    config = args.config or find_config(published)
    cfg = read_config(config)
    merge_options(cfg, parse_values(options))
    cfg = resolve(cfg, options)
    if not args.classes and 'data_root' in options:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            data = DATASETS.build(cfg.test_dataloader.dataset)
        args.classes = data.metainfo['classes']
    checkpoint = to_mmcoop(published, cfg, args.classes)
    with replacing(args.dst) as temporary:
        torch.save(checkpoint, temporary)
    names = checkpoint['meta']['mmcoop']['classes']
    said = ' '.join(f'{key}={value}' for key, value in options.items())
    print(f'{args.dst}: {published.method}, epoch {published.epoch}, '
          f'{published.precision}, context '
          f'{list(published.tensors["ctx"].shape)}, {len(names)} classes '
          f'({", ".join(names[:3])}, ...)\n\n'
          f'python tools/test.py {config} {args.dst} --cfg-options {said}')


if __name__ == '__main__':
    run_tool(main)
