"""Cost against the number of classes: linear, and memory bounded by chunks.

    python tools/benchmarks/many_classes.py             # about 5 minutes, CPU
    python tools/benchmarks/many_classes.py --classes 21000 --text-memory 4

Text forward + backward of a unified context, M = 16, all within --text-memory
GiB of saved activations (the head's option `text_memory`).
"""
import resource

import torch
from common import (arguments, context, peak_gpu_memory, random_clip, report,
                    seconds)

from mmcoop.clip import TextDivider


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--classes', type=int, nargs='+',
                        default=[10, 100, 1000, 10000])
    parser.add_argument('--text-memory', type=float, default=1., help='GiB')
    args = parser.parse_args()
    tower = random_clip(args.model, args.device).text_tower
    gpu = args.device.startswith('cuda')
    rows = []
    for K in args.classes:
        prompt = context(tower, K, n_ctx=16)
        divider = TextDivider(args.text_memory)

        def step() -> None:
            prompt.ctx.grad = None
            features = divider.encode(tower, prompt(tower)[0])
            features.square().sum().backward()

        # thousands of classes take minutes: those are run once
        repeats = args.repeats if K <= 1000 else 1
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        if gpu:
            peak_gpu = peak_gpu_memory(step)
        time = seconds(step, args.device, repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        rows.append({
            'classes': K,
            'seconds': time,
            'ms a class': 1000 * time / K,
            'chunks': divider._number_of_chunks(tower, prompt(tower)[0]),
            'peak of the process so far (MiB)': peak,
            'this adds (MiB)': peak - before,
        })
        if gpu:
            rows[-1]['peak GPU (MiB)'] = peak_gpu
        report(rows, args, last=True)
        assert torch.isfinite(prompt.ctx.grad).all()
    print()
    report(rows, args)


if __name__ == '__main__':
    main()
