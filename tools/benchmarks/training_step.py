"""A whole step, images included: ours against the published way.

    python tools/benchmarks/training_step.py            # about 15 minutes, CPU
    python tools/benchmarks/training_step.py --amp      # on a GPU

Training: image tower, text, loss, backward, SGD; a batch of 32. The plain
path is measured with as many classes as fit (--plain-classes; 1000 need
25 GiB), ours with these and with 1000, and on cached features; on a GPU also
without CUDA graphs ("launched"). Evaluation: batches of 100 images; the
published code encodes all classes for every batch, ours once an evaluation
(its share of --eval-batches is counted).
"""
from typing import Callable

import torch
import torch.nn.functional as F
from common import (arguments, class_names, peak_gpu_memory, random_clip,
                    report, seconds)
from open_clip.transformer import QuickGELU

from mmcoop.clip.image_tower import InPlaceQuickGELU
from mmcoop.clip.plain import encode_plain
from mmcoop.models import CoOp

IMAGENET_STEPS = 50 * 500  # 50 epochs of 16,000 images


def build(args, classes: int) -> CoOp:
    model = CoOp(
        clip=random_clip(args.model, args.device),
        head=dict(type='mmcoop.PromptLearnerHead',
                  prompt=dict(type='mmcoop.ContextPrompt', n_ctx=16)))
    model.to(args.device)
    model.set_classes(class_names(classes))
    return model


def logits_of(model: CoOp) -> Callable:
    return lambda images: model.head(model.backbone(images))


class Published:
    """The published step: 77 tokens, all classes, every time; fp16 towers
    with --amp."""

    def __init__(self, model: CoOp, half: bool) -> None:
        self.visual = model.backbone.visual
        for module in list(self.visual.modules()):
            for name, child in module.named_children():
                if isinstance(child, InPlaceQuickGELU):
                    setattr(module, name, QuickGELU())
        self.tower, self.prompt = model.head.text_tower, model.head.prompt
        if half:
            self.visual.half()
            self.tower.half()

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        dtype = self.tower.token_embedding.weight.dtype
        image = F.normalize(self.visual(images.to(dtype)), dim=-1)
        text = encode_plain(self.tower, self.prompt(self.tower)[0])[0]
        text = F.normalize(text, dim=-1)
        return self.tower.logit_scale.exp() * image @ text.t()


def training(logits: Callable, model: CoOp, images: torch.Tensor,
             labels: torch.Tensor) -> Callable:
    optimizer = torch.optim.SGD(model.head.prompt.parameters(), lr=.002)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(logits(images), labels).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--plain-classes', type=int, default=500)
    parser.add_argument('--eval-batches', type=int, default=500,
                        help="batches an evaluation has (ImageNet's 500)")
    parser.add_argument('--amp', action='store_true',
                        help='ours under autocast, plain in fp16 as published')
    args = parser.parse_args()
    gpu = args.device.startswith('cuda')
    rows = []

    def under_amp(function: Callable) -> Callable:

        def call(*inputs):
            with torch.autocast(args.device.split(':')[0], enabled=args.amp,
                                dtype=torch.float16):
                return function(*inputs)

        return call

    def measure(what: str, classes: int, ours: Callable,
                plain: Callable = None, model: CoOp = None) -> None:
        row = {'what': what, 'classes': classes}
        for name, function in (('ours', ours), ('plain', plain)):
            if function is None:
                continue
            if gpu:
                row[f'{name} (MiB)'] = peak_gpu_memory(function)
            row[f'{name} (s)'] = seconds(function, args.device, args.repeats)
        if plain:
            row['times faster'] = row['plain (s)'] / row['ours (s)']
        if gpu and model:
            model.head.divider.graphs.enabled = False
            row['launched (s)'] = seconds(ours, args.device, args.repeats)
            model.head.divider.graphs.enabled = True
        rows.append(row)
        report(rows, args, last=True)

    for classes in sorted({args.plain_classes, 1000}):
        labels = torch.randint(classes, (32, ), device=args.device)
        model = build(args, classes).train()
        size = model.backbone.image_size
        images = torch.randn(32, 3, size, size, device=args.device)
        ours = training(under_amp(logits_of(model)), model, images,
                        labels)
        plain = None
        if classes <= args.plain_classes:
            other = build(args, classes).train()
            plain = training(Published(other, args.amp).logits, other, images,
                             labels)
        measure('training step, batch 32', classes, ours, plain, model)
    hours = rows[-1]['ours (s)'] * IMAGENET_STEPS / 3600
    print(f'50 epochs of ImageNet, 16 shots, if loading keeps up '
          f'(loading.py): {hours:.2f} h')

    features = torch.randn(32, model.head.text_tower.out_channels,
                           device=args.device)
    ours = training(under_amp(lambda image: model.head((image, ))), model,
                    features, labels)
    measure('the same on cached features', classes, ours, model=model)

    model = build(args, 1000).eval()
    other = build(args, 1000)
    published = Published(other, args.amp)
    images = torch.randn(100, 3, size, size, device=args.device)

    @torch.no_grad()
    def ours_eval() -> None:
        under_amp(logits_of(model))(images)

    @torch.no_grad()
    def plain_eval() -> None:
        published.logits(images)

    @torch.no_grad()
    def text_once() -> None:
        model.head.reset_cache()
        under_amp(model.head.text_features)()

    once = seconds(text_once, args.device, args.repeats)
    measure('evaluation, a batch of 100', 1000, ours_eval, plain_eval)
    rows[-1]['ours (s)'] += once / args.eval_batches
    rows[-1]['times faster'] = rows[-1]['plain (s)'] / rows[-1]['ours (s)']
    print()
    report(rows, args)


if __name__ == '__main__':
    main()
