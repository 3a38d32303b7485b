"""The paper's linear probe: python tools/linear_probe.py CONFIG.

CONFIG is any few-shot config; its CLIP and its data are taken. Logistic
regressions are fitted on image features of the training images, their C is
chosen on the validation draw, the best is tested once. Writes the log, the
config as it was run and result.json into --work-dir
(./work_dirs/linear_probe/<config name>/shots<k>_seed<s>).

python tools/linear_probe.py CONFIG FOLDER tests the probe that a run has left
in FOLDER on CONFIG's data: ImageNet's on dataset=imagenet_r, say.

Needs scikit-learn: pip install -e '.[linear_probe]'.
"""
import argparse
import os.path as osp
from typing import List, Optional

from mmcoop.command_line import add_common_arguments, load_config
from mmcoop.protocol.linear_probe import probe
from mmcoop.protocol.probe_transfer import transfer


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a few-shot run')
    parser.add_argument(
        'folder', nargs='?', help='folder of a probe, to be tested only')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args, work_dir='./work_dirs')
    if args.folder is not None:
        cfg.work_dir = args.work_dir or osp.join(
            args.folder, f'test_{cfg.get("dataset")}')
        transfer(cfg, args.folder)
        return
    cfg.work_dir = args.work_dir  # the config's own may be a CoOp run's
    probe(cfg)


if __name__ == '__main__':
    main()
