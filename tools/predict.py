"""Name what is on photos: python tools/predict.py RUN photos/

RUN is the folder of a run (its best or last checkpoint) or a checkpoint. No
config is needed. Prints a line for each image; images that cannot be read are
named at the end, and the exit code is then 1; it is 2 if nothing was done.
"""
import argparse
import contextlib
import os
import sys
from typing import Iterator, List, Optional

from mmcoop.command_line import ignore_host_warnings
from mmcoop.errors import add_debug, run_tool


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'checkpoint', metavar='RUN_OR_CHECKPOINT',
        help='folder of a run, or a checkpoint (.pth)')
    parser.add_argument(
        'paths', nargs='+', metavar='PATHS',
        help='images, folders (with their sub-folders), patterns '
        '("photos/**/*.jpg"), or - for a list on the standard input')
    parser.add_argument(
        '--clip', metavar='FILE',
        help="the CLIP's weights, if they are not where they were in training")
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME',
        help='other classes, without training: names, or a text file with '
        'one in each line; for a context that is shared by all classes')
    parser.add_argument(
        '--top-k', type=int, default=1, metavar='K',
        help='name the K most probable classes')
    parser.add_argument(
        '--threshold', type=float, metavar='P',
        help='say "none of these" where no probability reaches P (0 to 1)')
    parser.add_argument('--out', metavar='FILE',
                        help='write the predictions to FILE.json or FILE.csv')
    parser.add_argument(
        '--format', choices=['table', 'json', 'csv'],
        help='what is printed; a table by default, nothing with --out')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ...; a GPU if '
                        'there is one')
    add_debug(parser)
    args = parser.parse_args(argv)
    if args.out and os.path.splitext(args.out)[1] not in ('.json', '.csv'):
        parser.error('--out: name a .json or .csv file')
    if args.out and not os.path.isdir(os.path.dirname(args.out) or '.'):
        parser.error(f'--out: there is no folder {os.path.dirname(args.out)}')
    if args.top_k < 1 or args.batch_size < 1:
        parser.error('--top-k and --batch-size: at least 1')
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        parser.error('--threshold: a probability, 0 to 1')
    return args


def main(argv: Optional[List[str]] = None) -> int:
    return int(predict(parse(argv)) > 0)


def predict(args: argparse.Namespace) -> int:
    """Predict, print and write; returns how many files cannot be read."""
    ignore_host_warnings()
    from mmcoop.apis import load
    from mmcoop.apis import predict as apis
    from mmcoop.files import check_writable
    if args.out:
        check_writable(os.path.dirname(args.out) or '.')
    files = list(apis.read_list(sys.stdin)) if '-' in args.paths else []
    files += apis.find_images(path for path in args.paths if path != '-')
    if not files:
        raise ValueError('the list on the standard input is empty')
    names = args.classes and apis.read_names(args.classes)
    with quiet():
        classifier = load(args.checkpoint, args.clip, args.device)
        if names:
            classifier.set_classes(names)
        predictions = apis.predict_files(
            classifier, files, args.top_k, args.threshold, args.batch_size,
            lambda images: show_progress(images, len(files), args.batch_size))
    if args.out:
        kind = os.path.splitext(args.out)[1][1:]
        apis.write_text(apis.FORMATS[kind](predictions), args.out)
        print(f'{len(predictions.found)} predictions: {args.out}',
              file=sys.stderr)
    if args.format or not args.out:
        print(apis.FORMATS[args.format or 'table'](predictions), end='')
    if predictions.unreadable:
        print(f'{len(predictions.unreadable)} of {len(files)} files cannot be '
              'read:', file=sys.stderr)
        for one in predictions.unreadable:
            print(f'  {one["path"]}: {one["reason"]}', file=sys.stderr)
    return len(predictions.unreadable)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Of the log warnings alone, and not among the predictions."""
    from mmengine.logging import MMLogger
    with contextlib.redirect_stdout(sys.stderr):
        logger = MMLogger.get_current_instance()
        before = logger.level
        logger.setLevel('WARNING')
        try:
            yield
        finally:
            logger.setLevel(before)


def show_progress(images, total: int, batch_size: int):
    """A bar on the standard error, where it takes more than two batches."""
    from rich.console import Console
    from rich.progress import track
    return track(images, 'Images', total, console=Console(stderr=True),
                 transient=True, disable=total <= 2 * batch_size)


if __name__ == '__main__':
    run_tool(main, failed=2)
