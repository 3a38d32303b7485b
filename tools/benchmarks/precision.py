"""bf16 and fp16 towers against fp32: errors and time.

    python tools/benchmarks/precision.py
    python tools/benchmarks/precision.py --model M.json --pretrained W.pt

Errors are relative, in the norm, of features, logits and the gradient of the
context (M = 16, unified, end); random images and labels.
"""
import torch
import torch.nn.functional as F
from common import arguments, context, report, seconds

from mmcoop.clip import load_clip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--pretrained', help='weights; random ones if none')
    parser.add_argument('--classes', type=int, default=100)
    parser.add_argument('--batch', type=int, default=8)
    args = parser.parse_args()
    rows, exact = [], None
    for precision in ('fp32', 'bf16', 'fp16'):
        torch.manual_seed(0)
        clip = load_clip(args.model, args.pretrained, precision=precision)
        tower = clip.text_tower.to(args.device)
        images = clip.image_tower.to(args.device)
        torch.manual_seed(1)
        prompt = context(tower, args.classes, n_ctx=16)
        size = images.image_size
        pixels = torch.randn(args.batch, 3, size, size, device=args.device)
        labels = torch.arange(args.batch, device=args.device)
        values = {}

        def step() -> None:
            prompt.ctx.grad = None
            image = F.normalize(images(pixels)[0].float(), dim=-1)
            text = tower(prompt(tower)[0])[0].float()
            logits = tower.logit_scale.exp() * image @ F.normalize(
                text, dim=-1).t()
            F.cross_entropy(logits, labels).backward()
            values.update({'image features': image, 'text features': text,
                           'logits': logits, 'gradient': prompt.ctx.grad})

        time = seconds(step, args.device, args.repeats)
        values = {name: v.detach().clone() for name, v in values.items()}
        exact = exact or values
        rows.append({'towers': precision, **{
            f'error of {name}':
            float((v - exact[name]).norm() / exact[name].norm())
            for name, v in values.items()}, 'step (s)': time})
    report(rows, args)


if __name__ == '__main__':
    main()
