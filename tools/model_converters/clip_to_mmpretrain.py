"""Convert a CLIP's image tower to mmpretrain's own VisionTransformer.

Beside the weights, OUT.py is written: the config of the model, an
ImageClassifier without a head, for _base_ of a config. It needs no mmcoop.
"""
import argparse
from pathlib import Path
from typing import List, Optional

from mmcoop.command_line import ignore_host_warnings
from mmcoop.errors import add_debug, run_tool


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'clip', help='a file of CLIP weights, or a tag of open_clip (openai)')
    parser.add_argument('out', type=Path, help='the checkpoint, OUT.pth')
    parser.add_argument(
        '--model-name',
        help='open_clip\'s name of the CLIP (ViT-B-16), or its JSON config; '
        'not needed for a file in OpenAI\'s layout')
    add_debug(parser)
    args = parser.parse_args(argv)
    if args.out.suffix != '.pth':
        parser.error(f'{args.out}: the checkpoint must end in .pth')
    return args


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    ignore_host_warnings()
    import torch
    from mmengine.config import Config

    from mmcoop.clip import convert_clip, load_clip
    from mmcoop.files import check_writable, replacing
    check_writable(args.out.parent)
    model, state = convert_clip(
        load_clip(model_name=args.model_name, pretrained=args.clip))
    for part in ('backbone', 'neck'):  # not the head, which comes later
        model[part]['init_cfg'] = dict(
            type='Pretrained', checkpoint=str(args.out.absolute()),
            prefix=f'{part}.')
    config = args.out.with_suffix('.py')
    for path, write in [
            (args.out, lambda p: torch.save(dict(state_dict=state), p)),
            (config, lambda p: p.write_text(
                Config(dict(model=model)).pretty_text))]:
        with replacing(path) as temporary:
            write(temporary)
    print(f'{args.out}: {len(state)} tensors. {config}: the model, '
          f"_base_ = '{config}' in your config.")


if __name__ == '__main__':
    run_tool(main)
