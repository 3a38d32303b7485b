"""A table of the paper: plan its runs, do those that are missing, write it.

    python tools/reproduce.py few-shot --cfg-options data_root=/data

KIND is one of those below; what it compares is the paper's and can be narrowed
or changed by flags. Finished runs are skipped, an interrupted one goes on.
With --print the missing runs are printed instead, as command lines.

Writes below --work-dir (./work_dirs/reproduce): a folder a run, with its log,
checkpoints of tens of KB and result.json, and tables/ (Markdown, CSV, PNG).
"""
import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Dict, List, Optional

from mmcoop.catalog import CATALOG, SPLITS
from mmcoop.cfg_options import add_cfg_options
from mmcoop.config import check_options
from mmcoop.errors import run_tool
from mmcoop.methods import (all_methods, expand_groups, get_method,
                            register_configs, sort_methods)
from mmcoop.protocol.plan import OF_TRAINING, PLANS, Plan, Run

# options that the plan sets, and what to say instead
PLANNED = {
    'dataset': 'say --datasets', 'shots': 'say --shots',
    'seed': 'say --seeds', 'model.clip.model_name': 'say --backbones',
    'templates': 'choose among --methods',
    'template': 'own templates are the published ones here',
    'class_subset': 'take the kind base-to-new',
    'val_split': 'tables are of test images',
    'label_noise': 'take the kind noise, and say --noise',
    'noise_kind': 'say --noise-kind'
}
ROOT = Path(os.path.relpath(Path(__file__).resolve().parents[1]))


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    kinds = '\n'.join(f'  {plan.kind:<15} {plan.description}'
                      for plan in PLANS.values())
    parser = argparse.ArgumentParser(
        description=f'{__doc__}\nKIND:\n{kinds}',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=PLANS, metavar='KIND')
    parser.add_argument(
        '--datasets', nargs='+', choices=(*CATALOG, 'demo'), metavar='NAME',
        help='data sets to compare on, or targets: ' + ', '.join(CATALOG)
        + ', demo (default of leaderboard: those that data_root has)')
    parser.add_argument(
        '--source', choices=CATALOG, metavar='NAME',
        help='data set to learn on (domain, cross-dataset)')
    parser.add_argument(
        '--methods', nargs='+', metavar='METHOD',
        help='names of configs/*/metafile.yml (default: those that name this '
        'KIND), or heads (fitted at once), prompts (learned in epochs), all; '
        'these bring zero-shot: '
        + ', '.join(method.name for method in all_methods()))
    parser.add_argument(
        '--configs', nargs='+', type=Path, default=[], metavar='DIR',
        help='more folders of methods, with a metafile.yml for each')
    parser.add_argument('--shots', nargs='+', type=int)
    parser.add_argument('--seeds', nargs='+', type=int)
    parser.add_argument(
        '--noise', nargs='+', type=float, metavar='RATE',
        help='parts of the training labels that are wrong (noise)')
    parser.add_argument(
        '--noise-kind', choices=('symmetric', 'pair'),
        help='any other class (default), or the next one (noise)')
    parser.add_argument(
        '--backbones', nargs='+', metavar='CLIP',
        help='open_clip names (RN50, ViT-B-16) or JSON model configs')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/reproduce'))
    add_cfg_options(parser, 'data_root=/data cached_views=16, for all runs')
    parser.add_argument(
        '--print', action='store_true', dest='only_print',
        help='print the command lines of the missing runs, for Slurm or xargs;'
        ' a training and the tests of its checkpoint are one line')
    parser.add_argument(
        '--gpus', type=int, metavar='N',
        help='with --print: trainings through torchrun, on N GPUs each; the '
        'batch of 32 is each GPU\'s')
    args = parser.parse_args(argv)
    try:
        for folder in args.configs:
            register_configs(folder)
        args.methods = args.methods and expand_groups(args.methods, args.kind)
        for method in args.methods or ():
            get_method(method)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    for key in args.cfg_options:
        if key in PLANNED or key.startswith('model.head.prompt.'):
            parser.error(f'--cfg-options {key}: '
                         + PLANNED.get(key, 'choose among --methods'))
    for method in make_plan(args).chosen:  # a misspelt option, before any run
        try:
            check_options(str(method.config), [
                key for key in args.cfg_options if key not in OF_TRAINING])
        except ValueError as error:
            parser.error(str(error))
    if args.gpus and not args.only_print:
        parser.error('--gpus is for --print: this process is one rank')
    return args


def make_plan(args: argparse.Namespace) -> Plan:
    return PLANS[args.kind].with_changes(
        datasets=args.datasets, source=args.source, shots=args.shots,
        methods=args.methods and sort_methods(args.methods),
        seeds=args.seeds, backbones=args.backbones, noise=args.noise,
        noise_kind=args.noise_kind)


def command_line(run: Run, args: argparse.Namespace) -> str:
    tool, *words = run.command(args.work_dir, args.cfg_options, ROOT)
    if args.gpus and run.tool == 'train':
        return shlex.join(['torchrun', '--standalone', '--nproc_per_node',
                           str(args.gpus), tool, *words,
                           '--launcher', 'pytorch'])
    return shlex.join(['python', tool, *words])


def find_datasets(plan: Plan, data_root: str) -> List[str]:
    """The data sets of a plan that the data root has; the others are named.
    """
    from mmcoop.datasets.coop_dataset import find_missing_sources
    found = [name for name in plan.datasets
             if not find_missing_sources(CATALOG[name], data_root)]
    absent = [name for name in plan.datasets if name not in found]
    if absent:
        print(f'Left out, since {data_root} lacks files of them: '
              f'{", ".join(absent)}.', file=sys.stderr)
    if not found:
        raise SystemExit(f'{data_root} has no data set: set --cfg-options '
                         'data_root=...; tools/check_data.py tells what is '
                         'missing.')
    return found


def check_data(runs: List[Run], data_root: str) -> None:
    """Exit with all that is missing of the data, before anything is run."""
    from mmcoop.datasets.coop_dataset import (describe_sources,
                                              find_missing_sources)
    needed: Dict[str, set] = {}
    for run in runs:
        learns = run.tool != 'test'
        needed.setdefault(run.dataset, set()).update(
            SPLITS if learns else ['test'])
    missing = []
    for name, splits in needed.items():
        if name not in CATALOG:  # demo: it is drawn
            continue
        known = CATALOG[name]
        sources = find_missing_sources(known, data_root, sorted(splits))
        if sources:
            missing.append(f'{known.title}:\n'
                           + describe_sources(known, data_root, sources))
    if missing:
        raise SystemExit(
            'These are missing:\n' + '\n'.join(missing) + '\nSet '
            '--cfg-options data_root=..., or choose other --datasets. '
            'tools/check_data.py tells what is there.')


def report(plan: Plan, runs: List[Run],
           args: argparse.Namespace) -> None:
    """Tables of the runs of this plan, and of no others in the folder."""
    from mmcoop.protocol.execute import result_of
    from mmcoop.report.records import read_records
    from mmcoop.report.tables import table as table_of
    from mmcoop.report.words import words_table
    from mmcoop.report.write import write, write_tables
    done = [args.work_dir / run.folder for run in runs
            if result_of(run, args.work_dir, args.cfg_options) is not None]
    if not done:
        return
    folder = args.work_dir / 'tables'
    if plan.kind == 'words':
        tables = [words_table(done)]
        paths = write_tables(plan.kind, tables, folder)
    else:
        records = read_records(done)
        tables = table_of(plan.kind, records)
        paths = write(plan.kind, records, folder)
    for table in tables:
        print(f'\n{table.text()}')
    print('\n'.join(map(str, paths)))


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    from mmcoop.cfg_options import parse_values
    from mmcoop.protocol.execute import result_of, run_all
    args.cfg_options = parse_values(args.cfg_options)
    plan = make_plan(args)
    if plan.kind == 'leaderboard' and args.datasets is None:
        plan = plan.with_changes(datasets=find_datasets(
            plan, args.cfg_options.get('data_root', 'data')))
    try:
        runs = plan.runs()
        missing = [run for run in runs if result_of(
            run, args.work_dir, args.cfg_options) is None]
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if args.only_print:
        lines: Dict[Run, List[str]] = {}
        for run in missing:  # tests follow their training, in its line
            before = run.trained if run.trained in lines else run
            lines.setdefault(before, []).append(command_line(run, args))
        for line in lines.values():
            print(' && '.join(line))
        return
    check_data(missing, args.cfg_options.get('data_root', 'data'))
    print(f'{len(runs)} runs, {len(runs) - len(missing)} of them done.')
    try:
        failed = run_all(missing, args.work_dir, args.cfg_options, ROOT)
    except KeyboardInterrupt:
        raise SystemExit('\nInterrupted. The same command goes on from the '
                         'last finished epoch.') from None
    report(plan, runs, args)
    if failed:
        raise SystemExit(
            f'{len(failed)} of {len(missing)} runs failed; the same command '
            'tries them again. First: '
            + '; '.join(f'{run.folder}: {error}'
                        for run, error in list(failed.items())[:3]))


if __name__ == '__main__':
    run_tool(main)
