"""Write report.html of a run: python tools/analysis_tools/report_run.py RUN.

A training on your own photos has written it; this makes it for any other run
of tools/train.py, whose test images are evaluated once more. It is one file
that opens without a network; pictures and the prediction of every image lie
beside it in report/ (docs/photos.md), the test in test/. With --again the page
is only made anew from the predictions that lie there.
"""
import argparse
from pathlib import Path
from typing import List, Optional

from mmcoop.errors import run_tool


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('run', type=Path, help='the folder of a run')
    parser.add_argument('--again', action='store_true',
                        help='from the predictions that were kept')
    args = parser.parse_args(argv)
    if not (args.run / 'result.json').is_file():
        parser.error(f'there is no result.json in {args.run}: it is no folder '
                     'of a finished run')
    return args


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    evaluated = None
    if not args.again:
        evaluated = args.run / 'test'
        evaluate(args.run, evaluated)
    from mmcoop.report.page import rewrite_page
    print(f'Report: {rewrite_page(args.run, evaluated)}')


def evaluate(run: Path, folder: Path) -> None:
    """Test a run as tools/test.py does, and keep the predictions."""
    from mmcoop.protocol.execute import tool_main
    from mmcoop.report.page import read_json
    result = read_json(run / 'result.json')
    tool_main(Path(__file__).parents[1] / 'test.py')([
        str(run / Path(result['config']).name), str(run), '--work-dir',
        str(folder), '--cfg-options',
        'default_hooks.report.type=mmcoop.ReportHook',
        'default_hooks.report.enable=True'])


if __name__ == '__main__':
    run_tool(main)
