"""Train a model: python tools/train.py CONFIG [--cfg-options shots=4 seed=2].

Writes into --work-dir (./work_dirs/<config name>): the log, the config as it
was run, checkpoints of tens of KB, result.json and, of your own photos,
report.html.
"""
import argparse
from typing import List, Optional

from mmcoop.command_line import (add_common_arguments, build_runner,
                                 load_config, parse_args)
from mmcoop.errors import run_tool

PLAIN_WRAPPERS = (None, 'OptimWrapper', 'AmpOptimWrapper')


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='train config file')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from the latest checkpoint in the work folder, or from '
        'the checkpoint given')
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision (GPU)')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate at the end of training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size of all GPUs')
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start new loader processes for every epoch')
    return parse_args(parser, argv)


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    cfg = load_config(args, work_dir='./work_dirs')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        wrapper = cfg.optim_wrapper.get('type')
        if wrapper not in PLAIN_WRAPPERS:
            raise SystemExit(
                f'--amp would replace the optimiser wrapper {wrapper} of this '
                'method: compute the towers in half precision instead, '
                '--cfg-options model.clip.precision=bf16.')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.no_persistent_workers:
        for name in ('train_dataloader', 'val_dataloader'):
            if cfg.get(name) is not None:
                cfg[name].persistent_workers = False
    build_runner(cfg, ('train_dataloader', 'val_dataloader')).train()


if __name__ == '__main__':
    run_tool(main)
