"""Write a checkpoint as the published codes do: CHECKPOINT DST.

    python tools/model_converters/mmcoop_to_published.py \
        work_dirs/coop output/nctx16_cscFalse_ctpend/seed1

Writes DST/prompt_learner/model.pth.tar-N (MaPLe's: MultiModalPromptLearner),
which the code of CoOp, CoCoOp, KgCoOp, ProGrad and MaPLe loads with
--model-dir DST --load-epoch N. There is no optimiser in it to resume from.
"""
import argparse
import os
from pathlib import Path
from typing import List, Optional

from mmcoop.command_line import ignore_host_warnings
from mmcoop.errors import add_debug, run_tool


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint, or folder of a run')
    parser.add_argument('dst', type=Path, help="the run's folder to write to")
    parser.add_argument(
        '--clip', metavar='FILE',
        help='the weights of the CLIP, if not where they were in training')
    parser.add_argument(
        '--precision', choices=['fp32', 'fp16'],
        help='of the published run that is to load it, TRAINER.*.PREC '
        '(default: as it was read, else fp32)')
    parser.add_argument(
        '--epoch', type=int, help="N (default: the checkpoint's own)")
    add_debug(parser)
    args = parser.parse_args(argv)
    if not os.path.exists(args.checkpoint):
        parser.error(f'there is no checkpoint {args.checkpoint}')
    return args


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    ignore_host_warnings()
    import mmcoop
    from mmcoop.apis import to_published, write_published
    from mmcoop.apis.load import find_checkpoint
    from mmcoop.safe_load import check_is_safe
    path = find_checkpoint(args.checkpoint)
    classifier = mmcoop.load(path, args.clip, 'cpu')
    meta = check_is_safe(str(path))['meta']
    before = meta.get('published') or {}
    epoch = meta.get('epoch', 0) if args.epoch is None else args.epoch
    if not isinstance(epoch, int):  # it becomes a part of a path
        raise ValueError(f'{path} is damaged: its epoch is {epoch!r:.100}.')
    published = to_published(
        classifier, epoch,
        args.precision or before.get('precision', 'fp32'))
    shape = list(published.tensors['ctx'].shape)
    print(f'{write_published(published, args.dst)}: {published.method}, '
          f'{published.precision}, context {shape}')


if __name__ == '__main__':
    run_tool(main)
