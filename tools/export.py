"""Export a trained classifier to one file that needs no mmcoop.

    python tools/export.py work_dirs/my_run --format onnx --images photos/

The file holds the image tower and the classifier; the text tower is gone, for
class features are constant after training. It is run on images and compared
with the classifier; where it differs, no file is left and the exit code is 1.
"""
import argparse
import tempfile
from pathlib import Path
from typing import List, Optional

from mmcoop.command_line import ignore_host_warnings
from mmcoop.errors import add_debug, run_tool

FORMATS = ('onnx', 'torchscript', 'torch-export', 'mmpretrain')


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', metavar='RUN_OR_CHECKPOINT',
                        help='folder of a run (its best or last checkpoint), '
                        'or a checkpoint')
    parser.add_argument('--format', choices=FORMATS, default='onnx',
                        help='default: onnx; mmpretrain is a config and a '
                        'checkpoint of its own ImageClassifier')
    parser.add_argument('--out', metavar='FILE',
                        help='default: export/ beside the checkpoint, with '
                        'its name and the suffix of the format')
    parser.add_argument('--clip', metavar='FILE',
                        help='weights of the CLIP, if they are not where they '
                        'were in training')
    parser.add_argument('--classes', nargs='+', metavar='NAME',
                        help='other classes, of a unified context, or a text '
                        'file with one in each line')
    parser.add_argument('--images', nargs='+', metavar='PATH',
                        help='images or folders to compare on (16 of them); '
                        'default: drawn images')
    parser.add_argument('--with-preprocessing', action='store_true',
                        help='the graph takes uint8 RGB images (N, S, S, 3) '
                        'and normalises them; resizing stays outside')
    parser.add_argument('--opset', type=int, default=17,
                        help='of ONNX; default: 17')
    parser.add_argument('--tolerance', type=float, default=1e-4,
                        help='largest difference of probabilities, and of '
                        'logits in parts of the largest; default: 1e-4')
    add_debug(parser)
    args = parser.parse_args(argv)
    if not args.tolerance > 0:  # nor nan
        parser.error(f'--tolerance {args.tolerance}: a number above 0')
    return args


def run(args: argparse.Namespace, folder: Path) -> None:
    """Export; drawn images go into a temporary folder."""
    from mmcoop.apis.export import (SUFFIXES, check_out, check_requirements,
                                    draw_images, export, spread)
    from mmcoop.apis.predict import find_images, read_names
    check_requirements(args.format, args.with_preprocessing)
    images = spread(find_images(args.images)) if args.images \
        else draw_images(folder)
    from mmcoop.apis.load import find_checkpoint, load
    path = find_checkpoint(args.checkpoint)
    out = Path(args.out or path.parent / 'export'
               / f'{path.stem}{SUFFIXES[args.format]}')
    check_out(out, args.format, path)
    clip = dict(precision='fp32')
    if args.clip:
        clip['pretrained'] = args.clip
    classifier = load(path, clip=clip, device='cpu')
    if args.classes:
        classifier.set_classes(read_names(args.classes))
    about = export(classifier, args.format, out, images,
                   args.with_preprocessing, args.opset, args.tolerance)
    check = about['check']
    files = [out] + [out.with_suffix('.pth')] * (args.format == 'mmpretrain')
    for file in files:
        print(f'{file}: {file.stat().st_size / 1e6:.1f} MB')
    print(f'{about["method"]}, {len(about["classes"])} classes; compared with '
          f'PyTorch on {check["batch_sizes"][0]} '
          f'{"" if args.images else "drawn "}images (batches of '
          f'{" and ".join(map(str, check["batch_sizes"]))}): largest '
          f'difference of probabilities {check["probabilities"]:.1e}, of '
          f'logits {check["logits"]:.1e} (the largest logit: '
          f'{check["largest_logit"]:.4g}).')
    if about['preprocessing']['size'] is None:
        print('How images are resized is not described, for the transforms of '
              "this run are none of mmcoop's configs.")
    print(f'What it takes and gives: {out}.json')


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    ignore_host_warnings()
    with tempfile.TemporaryDirectory() as folder:
        run(args, Path(folder))


if __name__ == '__main__':
    run_tool(main)
