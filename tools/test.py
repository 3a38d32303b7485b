"""Test a model: python tools/test.py CONFIG CHECKPOINT.

CHECKPOINT is a file, or the folder of a run: its last one. Zero-shot CLIP
(--cfg-options templates=own) learns nothing and takes none. Writes the metrics
to result_test.json in --work-dir (./work_dirs/<config name>/test; with --tta
METHOD test_METHOD).
"""
import argparse
import os
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from mmcoop.command_line import (add_common_arguments, build_runner,
                                 drop_training, load_config, parse_args)
from mmcoop.config import find_model
from mmcoop.errors import run_tool
from mmcoop.methods import configs_folder

if TYPE_CHECKING:
    from mmengine.config import Config

PREDICTIONS = '.pkl', '.pickle'
METRICS = '.json', '.yaml', '.yml', *PREDICTIONS


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='test config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint, or folder of a run; none for zero-shot')
    add_common_arguments(parser)
    parser.add_argument('--out', help='file for predictions (.pkl) or metrics')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out holds; predictions (.pkl) by default')
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision (GPU)')
    parser.add_argument(
        '--show-dir', help='folder for images with their predictions')
    parser.add_argument(
        '--show', action='store_true', help='show images in a window')
    parser.add_argument(
        '--interval', type=int, default=1, help='show every n-th image')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds a window stays')
    parser.add_argument(
        '--tta', nargs='?', const='', metavar='METHOD',
        help='test-time augmentation: tta_pipeline and tta_model of the '
        'config, or the mean over the image and its mirror image. With '
        'METHOD test-time adaptation: a config of configs/tta, or the path '
        f'of one ({", ".join(tta_methods())})')
    args = parse_args(parser, argv)
    if args.out_item is not None and args.out is None:
        parser.error('--out-item needs --out')
    if args.out:
        _check_out(parser, Path(args.out), args.out_item)
    if args.interval < 1:
        parser.error(f'--interval {args.interval}: at least 1 is needed')
    if args.show_dir and os.path.isfile(args.show_dir):
        parser.error(f'--show-dir {args.show_dir} is a file: name a folder')
    if args.checkpoint and os.path.isdir(args.checkpoint):
        from mmcoop.checkpoints import find_last_checkpoint
        last = find_last_checkpoint(args.checkpoint)
        if last is None:
            parser.error(f'there is no checkpoint in {args.checkpoint}')
        args.checkpoint = last
    if args.checkpoint and '://' not in args.checkpoint and \
            not os.path.isfile(args.checkpoint):
        parser.error(f'there is no checkpoint {args.checkpoint}')
    if args.tta:
        path = Path(args.tta)
        if path.suffix != '.py':
            path = configs_folder() / 'tta' / f'{args.tta}.py'
        if not path.is_file():
            parser.error(
                f'--tta {args.tta}: there is no {path}. Methods: '
                f'{", ".join(tta_methods())}; or give the path of a config. '
                '(A checkpoint stands before --tta.)')
        args.tta = str(path)
    return args


def _check_out(parser: argparse.ArgumentParser, path: Path,
               item: Optional[str]) -> None:
    """What would be seen when the test is over."""
    endings = METRICS if item == 'metrics' else PREDICTIONS
    if path.suffix not in endings:
        parser.error(f'--out {path}: name a file {" or ".join(endings)}' + (
            '' if item == 'metrics' else ' for predictions, or add '
            '--out-item metrics'))
    if path.is_dir() or not path.parent.is_dir():
        parser.error(f'--out {path}: ' + (
            'it is a folder' if path.is_dir() else
            f'there is no folder {path.parent}'))


def tta_methods() -> List[str]:
    """Names of the configs in configs/tta."""
    folder = configs_folder() / 'tta'
    return sorted(path.stem for path in folder.glob('*.py'))


def add_tta(cfg: 'Config') -> None:
    """Test-time augmentation as mmpretrain's tool sets it up, or adaptation.
    """
    from mmengine.config import ConfigDict
    dataset = cfg.test_dataloader.dataset
    if 'tta_pipeline' not in cfg:
        *load, pack = deepcopy(dataset.pipeline)
        flips = [dict(type='RandomFlip', prob=p) for p in (1., 0.)]
        cfg.tta_pipeline = [
            *load, dict(type='TestTimeAug', transforms=[flips, [pack]])
        ]
    tta_model = cfg.get('tta_model') or dict(
        type='mmpretrain.AverageClsScoreTTA')
    cfg.model = ConfigDict(**tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline
    # a page is of the plain model, which sees one view of an image
    (cfg.get('default_hooks') or {}).pop('report', None)
    cfg.custom_hooks = [*cfg.get('custom_hooks', ()),
                        dict(type='mmcoop.AdaptationHook')]


def starts_from_words(cfg: 'Config') -> bool:
    """Whether a learned context starts from words, and is adapted as it is
    tested: then it needs no training."""
    from mmcoop.registry import MODELS
    prompt = find_model(cfg).get('head', {}).get('prompt') or {}
    return 'tta_model' in cfg and bool(prompt.get('ctx_init')) and getattr(
        MODELS.get(cfg.tta_model.type), 'learns_context', False)


def learns_prompt(cfg: 'Config') -> bool:
    """Whether the prompt of a config is learned, not written by hand."""
    from mmcoop.registry import MODELS
    prompt = find_model(cfg).get('head', {}).get('prompt')
    return prompt is not None and MODELS.get(prompt['type']).learned


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    cfg = load_config(args, work_dir='./work_dirs', tta=args.tta or None)
    if args.work_dir is None:
        method = f'_{Path(args.tta).stem}' if args.tta else ''
        cfg.work_dir = os.path.join(cfg.work_dir, f'test{method}')
    cfg.load_from = args.checkpoint
    cfg.resume = False
    untrained = ('head.prompt.ctx', ) \
        if args.tta is not None and starts_from_words(cfg) else ()
    if args.checkpoint is None and learns_prompt(cfg) and not untrained:
        raise SystemExit(
            f'{args.config} learns a prompt: give the checkpoint that holds '
            'it (work_dirs/.../epoch_N.pth), or test zero-shot CLIP '
            '(configs/zeroshot). A method of --tta that tunes the context '
            'can start it from words instead: --cfg-options '
            'model.head.prompt.ctx_init="a photo of a".')
    drop_training(cfg)
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        cfg.default_hooks.visualization.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval)
    if args.tta is not None:
        add_tta(cfg)
    runner = build_runner(cfg, ('test_dataloader', ))
    if args.checkpoint is None and any(
            p.requires_grad and not name.endswith(untrained)
            for name, p in runner.model.named_parameters()):
        raise SystemExit(f'{args.config} learns something: give the '
                         'checkpoint that holds it.')
    if args.out and args.out_item != 'metrics':
        from mmcoop.engine.predictions import DumpResults
        runner.test_evaluator.metrics.append(
            DumpResults(out_file_path=args.out))
    metrics = runner.test()
    if args.out and args.out_item == 'metrics':
        from mmengine.fileio import dump

        from mmcoop.files import replacing
        with replacing(args.out) as temporary:
            dump(metrics, str(temporary),
                 file_format=os.path.splitext(args.out)[1][1:])


if __name__ == '__main__':
    run_tool(main)
