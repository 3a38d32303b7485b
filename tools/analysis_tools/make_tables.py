"""Tables and figures from the results of runs.

    python tools/analysis_tools/make_tables.py work_dirs

reads every result.json and result_test.json below the folders, prints the
tables and writes them as Markdown and CSV, and the figures as PNG.
"""
import argparse
from pathlib import Path

from mmcoop.errors import run_tool
from mmcoop.report import KINDS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'folders', nargs='+', type=Path, metavar='WORK_DIR',
        help='folder of runs, of any depth')
    parser.add_argument(
        '--kinds', nargs='+', choices=KINDS, default=KINDS,
        help='what to make (default: all that there are results of)')
    parser.add_argument(
        '--out', type=Path,
        help='folder to write to (default: tables/ in the first WORK_DIR)')
    parser.add_argument(
        '--configs', type=Path, metavar='DIR',
        help='folder of your own methods, with a metafile.yml in it or in '
        'its sub-folders')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # after the arguments: --help needs none of it
    from mmcoop.methods import register_configs
    from mmcoop.report.records import FILES, read_records
    from mmcoop.report.tables import table
    from mmcoop.report.write import write
    folders = ', '.join(map(str, args.folders))
    try:
        if args.configs:
            register_configs(args.configs)
        records = read_records(args.folders)
        if not records:
            raise SystemExit(
                f'no results in {folders}: a run on a data set of the '
                f'catalogue leaves {" or ".join(FILES)} with its method and '
                'data set.')
        out, paths = args.out or args.folders[0] / 'tables', []
        for kind in args.kinds:
            for part in table(kind, records):
                print(part.text())
            paths += write(kind, records, out)
    except (FileNotFoundError, ValueError, ImportError) as error:
        raise SystemExit(str(error)) from None
    if not paths:
        raise SystemExit(
            f'{len(records)} results in {folders}, but none for '
            f'{", ".join(args.kinds)}.')
    for path in paths:
        print(path)


if __name__ == '__main__':
    run_tool(main)
