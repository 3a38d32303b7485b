"""Text forward + backward: the text engine against the plain 77-token path.

    python tools/benchmarks/text_step.py                # about 25 minutes, CPU
    python tools/benchmarks/text_step.py --classes 100  # about 5
    python tools/benchmarks/text_step.py --amp          # on a GPU

The plain path at 500 classes saves 12.6 GiB for its backward pass, at 1000
25 GiB. "share of rate": linear layers' floating-point operations on the tokens
that remain, per second, over this machine's matrix-product rate measured just
before and after; attention, norms and the rest count as lost time.

On a GPU ours is replayed as CUDA graphs, as in training; the environment
variable MMCOOP_CUDA_GRAPHS=0 measures it without.
"""
import multiprocessing
from functools import partial
from typing import Callable, Tuple

import torch
from common import (arguments, context, peak_gpu_memory, product_rate,
                    random_clip, report, seconds)

from mmcoop.clip import PromptSet, TextDivider, TextTower
from mmcoop.clip.divide import saved_bytes
from mmcoop.clip.plain import encode_plain
from mmcoop.clip.text_engine import encode_packed

P = 8  # prompt sets at once
CASES = {
    'unified, end, M=16': dict(n_ctx=16),
    'unified, end, M=4': dict(n_ctx=4),
    'class-specific, M=16': dict(n_ctx=16, class_specific=True),
    f'{P} prompt sets, M=16': dict(n_ctx=16),
}


def linear_flop(tower: TextTower, prompts: PromptSet) -> float:
    """FLOP of the linear layers on tokens that matter, both directions."""
    D, layers = tower.width, len(tower.transformer.resblocks)
    K, a = len(prompts.layout.lengths), prompts.prefix.shape[1]
    sets = len(prompts.prefix)
    tokens = sets * (a + sum(prompts.layout.lengths))
    full, last = 24 * D * D, 6 * D * D * tokens + 18 * D * D * sets * K
    return 2 * (full * tokens * (layers - 1) + last)


def case(name: str, tower: TextTower,
         K: int) -> Tuple[int, Callable, torch.Tensor]:
    """Classes, a function that makes the prompt set, and its leaf."""
    options = CASES[name]
    if name.startswith('unified'):
        prompt = context(tower, K, **options)
        return K, lambda: prompt(tower)[0], prompt.ctx
    K = min(K, 100)
    prompt = context(tower, K, **options)
    if options.get('class_specific'):
        return K, lambda: prompt(tower)[0], prompt.ctx
    base = prompt(tower)[0]
    noise = torch.randn(P, 1, 1, device=base.prefix.device)
    beginnings = (base.prefix + .01 * noise).detach().requires_grad_()
    return K, lambda: PromptSet(beginnings, base.endings,
                                base.layout), beginnings


def step(encode, tower: TextTower, make: Callable, leaf: torch.Tensor,
         one_by_one: bool = False) -> None:
    """Forward and backward; the plain path may take set after set."""
    leaf.grad = None
    prompts = make()
    sets = [prompts]
    if one_by_one:
        sets = [PromptSet(p[None], prompts.endings, prompts.layout)
                for p in prompts.prefix]
    for part in sets:
        encode(tower, part).float().sum().backward()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--classes', type=int, default=500)
    parser.add_argument('--only', default='', help='cases with these words')
    parser.add_argument('--amp', action='store_true',
                        help='GPU: ours under autocast (fp16), plain in fp16 '
                        'as published')
    args = parser.parse_args()
    names = [name for name in CASES if args.only in name]
    rows = []
    # a process each: freed memory is not always given back on a CPU
    gpu = args.device.startswith('cuda')
    with multiprocessing.get_context('spawn').Pool(
            1, maxtasksperchild=None if gpu else 1) as pool:
        for row in pool.imap(partial(measure, args), names, chunksize=1):
            rows.append(row)
            report(rows, args, last=True)
    print()
    report(rows, args)


def measure(args, name: str) -> dict:
    """One row of the table."""
    tower = random_clip(args.model, args.device).text_tower
    plain_tower = tower
    if args.amp:
        plain_tower = random_clip(args.model, args.device).text_tower.half()
    dtype = torch.float16 if args.amp else torch.float32
    encode = TextDivider().encode  # as the head does
    K, make, leaf = case(name, tower, args.classes)
    _, make_plain, plain_leaf = case(name, plain_tower, args.classes)

    def ours() -> None:
        with torch.autocast(args.device.split(':')[0], enabled=args.amp,
                            dtype=torch.float16):
            step(encode, tower, make, leaf)

    def plain() -> None:
        step(encode_plain, plain_tower, make_plain, plain_leaf,
             one_by_one=True)

    gpu = args.device.startswith('cuda')
    if gpu:
        m_ours, m_plain = peak_gpu_memory(ours), peak_gpu_memory(plain)
    rate = product_rate(args.device, dtype)
    t_ours = seconds(ours, args.device, args.repeats)
    rate = max(rate, product_rate(args.device, dtype))
    t_plain = seconds(plain, args.device, args.repeats)
    if not gpu:
        m_ours = saved_bytes(lambda: encode_packed(tower, make()), tower)
        # of one set, times the sets: as ours is of all at once
        sets = len(make_plain().prefix)
        m_plain = sets * saved_bytes(
            lambda: encode_plain(plain_tower, _first(make_plain())),
            plain_tower)
        m_ours, m_plain = m_ours / 2**20, m_plain / 2**20
    return {'case': name, 'classes': K, 'plain (s)': t_plain,
            'ours (s)': t_ours, 'times faster': t_plain / t_ours,
            'share of rate': linear_flop(tower, make()) / t_ours / rate,
            'plain (MiB)': m_plain, 'ours (MiB)': m_ours,
            'times smaller': m_plain / m_ours, 'rate (GFLOP/s)': rate / 1e9}


def _first(prompts: PromptSet) -> PromptSet:
    return PromptSet(prompts.prefix[:1], prompts.endings, prompts.layout)


if __name__ == '__main__':
    main()
