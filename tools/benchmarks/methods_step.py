"""Text towers' work of the other methods, against the published way.

    python tools/benchmarks/methods_step.py             # about 10 minutes, CPU
    python tools/benchmarks/methods_step.py --only KgCoOp ProGrad

CoCoOp, MaPLe: text forward and backward, against 77 tokens of every class (for
CoCoOp of every image). KgCoOp, ProGrad: a whole step on cached features
(batch 32, loss, backward, SGD), against CoOp's with as many vectors; steps
alternate, so that both meet the same machine. Memory: the peak of a step of
CoCoOp with 1000 classes and 32 images, above what the model takes.
"""
import multiprocessing
import statistics
import time
from functools import partial
from typing import Callable, Dict, List

import torch
from common import (arguments, class_names, random_clip, report, seconds,
                    synchronize)
from mmengine.optim import OptimWrapper

from mmcoop.clip import TextTower
from mmcoop.clip.plain import encode_plain
from mmcoop.clip.text_engine import encode_packed
from mmcoop.engine import ProGradOptimWrapper
from mmcoop.engine.result_hook import peak_memory_mib, reset_peak_memory
from mmcoop.models import CoOp

CONTEXT = dict(type='mmcoop.ContextPrompt', n_ctx=16)
COCOOP = dict(type='mmcoop.ConditionalContextPrompt')
WORDS = dict(type='mmcoop.ContextPrompt', n_ctx=4, ctx_init='a photo of a')
WRITTEN = dict(type='mmcoop.TemplatePrompt')
TEXT = {
    'CoCoOp, batch 8': (COCOOP, 8),
    'MaPLe, depth 9, 2 vectors': (
        dict(type='mmcoop.MultiModalPrompt'), None),
    'IVLP, depth 9, 4 vectors': (
        dict(type='mmcoop.MultiModalPrompt', n_ctx=4, coupled=False), None),
}
STEPS = {
    'KgCoOp': (WORDS, dict(type='mmcoop.KnowledgeGuidance'), OptimWrapper),
    'ProGrad': (CONTEXT, dict(type='mmcoop.ZeroShotDistillation'),
                ProGradOptimWrapper),
}
MEMORY = 'CoCoOp, batch 32, text_memory=2'


def build(args, classes: int, prompt: dict, **head) -> CoOp:
    model = CoOp(random_clip(args.model, args.device), head=dict(
        type='mmcoop.PromptLearnerHead', prompt=prompt, **head))
    model.to(args.device)
    model.set_classes(class_names(classes))
    return model.train()


def text_step(encode: Callable, tower: TextTower, model: CoOp,
              features: torch.Tensor) -> None:
    """Forward and backward of the class features of all images."""
    prompt = model.head.prompt
    prompt.zero_grad()
    if features is None:
        encode(tower, prompt(tower)[0]).float().sum().backward()
    elif encode is encode_packed:
        encode(tower, prompt(tower, features)[0]).float().sum().backward()
    else:  # image after image, as published
        for image in features:
            encode(tower, prompt(tower, image[None])[0]).float() \
                .sum().backward()


def measure_text(args, name: str) -> Dict:
    prompt, batch = TEXT[name]
    model = build(args, args.classes, prompt)
    tower = model.head.text_tower
    features = batch and torch.nn.functional.normalize(torch.randn(
        batch, tower.out_channels, device=args.device), dim=-1)
    ours, plain = (seconds(
        partial(text_step, encode, tower, model, features), args.device,
        args.repeats) for encode in (encode_packed, encode_plain))
    return {'what': f'text, {name}', 'classes': args.classes,
            'published way (s)': plain, 'ours (s)': ours,
            'ratio': plain / ours}


def training_step(args, prompt: dict, wrapper: type, **head) -> Callable:
    model = build(args, args.classes, prompt, **head)
    optimizer = wrapper(torch.optim.SGD(
        model.head.prompt.parameters(), lr=.002, momentum=.9))
    features = torch.randn(32, model.head.text_tower.out_channels,
                           device=args.device)
    labels = torch.randint(args.classes, (32, ), device=args.device)
    from mmpretrain.structures import DataSample
    samples = [DataSample().set_gt_label(int(label)) for label in labels]

    def step() -> None:
        loss, _ = model.parse_losses(model.loss(features, samples))
        optimizer.update_params(loss)

    return step


def measure_step(args, name: str) -> Dict:
    prompt, regularizer, wrapper = STEPS[name]
    ours = training_step(args, prompt, wrapper, hand_written=WRITTEN,
                         regularizers=[regularizer])
    coop = training_step(args, prompt, OptimWrapper)
    times: List[List[float]] = [[], []]
    for turn in range(4 * args.repeats + 1):
        for step, kept in zip((coop, ours), times):
            synchronize(args.device)
            start = time.perf_counter()
            step()
            synchronize(args.device)
            if turn:  # the first warms up
                kept.append(time.perf_counter() - start)
    base, own = map(statistics.median, times)
    return {'what': f'step, {name} over CoOp', 'classes': args.classes,
            'CoOp (s)': base, 'ours (s)': own, 'ratio': statistics.median(
                b / a for a, b in zip(*times))}


def measure_memory(args, name: str) -> Dict:
    model = build(args, 1000, COCOOP, text_memory=2.)
    features = torch.randn(32, model.head.text_tower.out_channels,
                           device=args.device)
    reset_peak_memory()
    kind = 'gpu' if args.device.startswith('cuda') else 'host'
    before = peak_memory_mib()[kind]
    start = time.perf_counter()
    model.head((features, )).sum().backward()
    return {'what': name, 'classes': 1000,
            'ours (s)': time.perf_counter() - start,
            'peak (GiB)': (peak_memory_mib()[kind] - before) / 1024}


def measure(args, name: str) -> Dict:
    if name == MEMORY:
        return measure_memory(args, name)
    return (measure_text if name in TEXT else measure_step)(args, name)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--classes', type=int, default=100)
    parser.add_argument('--only', nargs='+', default=[''],
                        help='rows with one of these words')
    args = parser.parse_args()
    rows = []
    # a process each: freed memory is not always given back
    with multiprocessing.get_context('spawn').Pool(
            1, maxtasksperchild=1) as pool:
        for row in pool.imap(partial(measure, args), [
                name for name in (*TEXT, *STEPS, MEMORY)
                if any(word in name for word in args.only)], chunksize=1):
            rows.append(row)
            report(rows, args, last=True)
    print()
    report(rows, args)


if __name__ == '__main__':
    main()
