"""Test-time prompt tuning of one image: text engine against 77 tokens.

    python tools/benchmarks/tpt_step.py                # a few minutes, CPU
    python tools/benchmarks/tpt_step.py --device cuda --classes 1000

What follows the encoding of the 64 views, with each path of the text tower:
forward, backward, AdamW, and the class features of the new context. The paths
take turns, so that both meet the same machine; medians, and the median of the
ratios. "logits differ" is the largest difference between their predictions.
"""
import statistics
import time
from typing import Dict, List

import torch
from common import arguments, class_names, random_clip, report, synchronize

from mmcoop.models import CoOp
from mmcoop.tta import TPT

PROMPTS = {
    '"a photo of a"': dict(type='mmcoop.ContextPrompt',
                           ctx_init='a photo of a'),
    'CoOp, M=16': dict(type='mmcoop.ContextPrompt', n_ctx=16),
    'CoCoOp': dict(type='mmcoop.ConditionalContextPrompt'),
}


def measure(args, name: str) -> Dict:
    model = CoOp(random_clip(args.model, args.device), head=dict(
        type='mmcoop.PromptLearnerHead', prompt=PROMPTS[name]))
    model.to(args.device).eval()
    model.set_classes(class_names(args.classes))
    tpt, tower = TPT(model), model.head.text_tower
    feats = torch.randn(64, tower.out_channels, device=args.device)
    times: List[List[float]] = [[], []]
    for turn in range(args.repeats + 1):
        logits = []
        for packed, kept in zip((False, True), times):
            tower.packable = packed  # False: encode_plain
            synchronize(args.device)
            start = time.perf_counter()
            with torch.no_grad():  # as the test loop calls it
                logits.append(tpt.adapt(feats, None))
            synchronize(args.device)
            if turn:  # the first warms up
                kept.append(time.perf_counter() - start)
    plain, ours = map(statistics.median, times)
    return {'what': name, 'classes': args.classes, '77 tokens (s)': plain,
            'ours (s)': ours, 'times faster': statistics.median(
                a / b for a, b in zip(*times)),
            'logits differ': (logits[0] - logits[1]).abs().max().item()}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--classes', type=int, default=100)
    args = parser.parse_args()
    report([measure(args, name) for name in PROMPTS], args)


if __name__ == '__main__':
    main()
