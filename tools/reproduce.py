"""A table of the paper: plan its runs, do those that are missing, write it.

    python tools/reproduce.py few-shot --cfg-options data_root=/data

KIND is one of those below; what it compares is the paper's and can be narrowed
or changed by flags. Finished runs are skipped, an interrupted one goes on.
With --print the missing runs are printed instead, a command line each.

Writes below --work-dir (./work_dirs/reproduce): a folder a run, with its log,
checkpoints of tens of KB and result.json, and tables/ (Markdown, CSV, PNG).
"""
import argparse
import os
import shlex
from pathlib import Path
from typing import List, Optional

from mmcoop.command_line import CfgOptions
from mmcoop.datasets.catalog import CATALOG
from mmcoop.protocol.execute import result_of, run_all
from mmcoop.protocol.methods import find_method, in_order
from mmcoop.protocol.plan import PLANS, Plan, Run

ROOT = Path(os.path.relpath(Path(__file__).resolve().parents[1]))


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    kinds = '\n'.join(f'  {plan.kind:<15} {plan.shows}'
                      for plan in PLANS.values())
    parser = argparse.ArgumentParser(
        description=f'{__doc__}\nKIND:\n{kinds}',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=PLANS, metavar='KIND')
    parser.add_argument(
        '--datasets', nargs='+', choices=CATALOG, metavar='NAME',
        help='data sets to compare on, or targets: ' + ', '.join(CATALOG))
    parser.add_argument(
        '--source', choices=CATALOG, metavar='NAME',
        help='data set to learn on (domain, cross-dataset)')
    parser.add_argument(
        '--methods', nargs='+', metavar='METHOD',
        help='such as zeroshot-own, linear-probe, coop-m16-end, coop-m4-middle'
        '-csc, coop-m4-end-words')
    parser.add_argument('--shots', nargs='+', type=int)
    parser.add_argument('--seeds', nargs='+', type=int)
    parser.add_argument(
        '--backbones', nargs='+', metavar='CLIP',
        help='open_clip names (RN50, ViT-B-16) or JSON model configs')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/reproduce'))
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, default={},
        help='options of all runs: data_root=/data cached_views=16 ...')
    parser.add_argument(
        '--print', action='store_true', dest='only_print',
        help='print the command lines of the missing runs, for Slurm or xargs')
    parser.add_argument(
        '--gpus', type=int, metavar='N',
        help='with --print: trainings through torchrun, on N GPUs each')
    args = parser.parse_args(argv)
    for method in args.methods or ():
        try:
            find_method(method)
        except ValueError as error:
            parser.error(str(error))
    if args.gpus and not args.only_print:
        parser.error('--gpus is for --print: this process is one rank')
    return args


def make_plan(args: argparse.Namespace) -> Plan:
    return PLANS[args.kind].with_changes(
        datasets=args.datasets, source=args.source, shots=args.shots,
        methods=args.methods and in_order(args.methods),
        seeds=args.seeds, backbones=args.backbones)


def command_line(run: Run, args: argparse.Namespace) -> str:
    tool, *words = run.command(args.work_dir, args.cfg_options, ROOT)
    if args.gpus and run.tool == 'train':
        return shlex.join(['torchrun', '--standalone', '--nproc_per_node',
                           str(args.gpus), tool, *words,
                           '--launcher', 'pytorch'])
    return shlex.join(['python', tool, *words])


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    runs = make_plan(args).runs()
    missing = [run for run in runs
               if result_of(run, args.work_dir, args.cfg_options) is None]
    if args.only_print:
        for run in missing:
            print(command_line(run, args))
        return
    print(f'{len(runs)} runs, {len(runs) - len(missing)} of them done.')
    failed = run_all(missing, args.work_dir, args.cfg_options, ROOT)


if __name__ == '__main__':
    main()
