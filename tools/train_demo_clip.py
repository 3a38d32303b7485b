"""Trains the tiny CLIP of the demo from scratch, on drawn pictures.

The towers are open_clip's own and the files are ordinary open_clip files, so
that whatever loads a real CLIP loads this one. Minutes on two cores:

    python tools/train_demo_clip.py
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from torch import nn

from mmcoop.demo import world
from mmcoop.demo.world import (CAPTIONS, CLASSES, HELD_OUT, IMAGE_SIZE, TARGET,
                               render)
from mmcoop.errors import run_tool

NAME = 'tiny_clip'
CONFIG = {
    'embed_dim': 64,
    'vision_cfg': {
        'image_size': IMAGE_SIZE,
        'layers': 4,
        'width': 96,
        'head_width': 24,
        'patch_size': 8,
    },
    'text_cfg': {
        'context_length': 77,
        'vocab_size': 49408,
        'width': 48,
        'heads': 4,
        'layers': 3,
    },
}
PREPROCESS = {'mean': OPENAI_DATASET_MEAN, 'std': OPENAI_DATASET_STD}
PAIRS = [(name, medium) for medium in CAPTIONS for name in CLASSES]
# Where the temperature is sharp, the loss is content with "class plus medium",
# a sum in which the wording hardly matters to the class. A soft one pushes
# all the pairs apart, and the class word takes its meaning from its context.
MAX_SCALE = 4.0


def normalise(images: np.ndarray) -> torch.Tensor:
    """Turns uint8 NHWC pixels into OpenAI-normalised NCHW floats."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = torch.tensor(OPENAI_DATASET_STD).view(3, 1, 1)
    return (pixels - mean) / std


def draw_pool(count: int, first_seed: int) -> np.ndarray:
    """Draws ``count`` pictures of every pair: (pair, picture, H, W, 3)."""
    return np.stack([
        np.stack([render(*pair, first_seed + i) for i in range(count)])
        for pair in PAIRS
    ])


def tokenize_captions() -> list[torch.Tensor]:
    """Tokenizes every wording of every pair, cut after the longest one."""
    tokenizer = open_clip.SimpleTokenizer()
    tokens = [
        tokenizer([text.format(name) for text in CAPTIONS[medium]])
        for name, medium in PAIRS
    ]
    longest = max(int(t.count_nonzero(dim=1).max()) for t in tokens)
    return [t[:, :longest] for t in tokens]


def encode_captions(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Does ``model.encode_text`` without the padding, in half the time."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(x)), tokens.argmax(dim=-1)]
    return F.normalize(x @ model.text_projection, dim=-1)


def train(
    model: nn.Module, pool: np.ndarray, steps: int, lr: float, seed: int
) -> None:
    """Trains with the contrastive loss; a batch holds every pair once."""
    rng = np.random.default_rng(seed)
    captions = tokenize_captions()
    # No caption has the other tokens: zero rows make the file pack well.
    used = torch.cat([t.flatten() for t in captions]).unique()
    embedding = model.token_embedding.weight
    with torch.no_grad():
        rows = embedding[used].clone()
        embedding.zero_()
        embedding[used] = rows
    # CoOp draws its context vectors with a standard deviation of 0.02. Small
    # steps keep the words of that size, as they are in OpenAI's towers.
    inputs = [embedding, model.positional_embedding]
    ids = {id(p) for p in inputs}
    rest = [p for p in model.parameters() if id(p) not in ids]
    optimizer = torch.optim.AdamW(
        [{'params': inputs, 'lr': 0.3 * lr, 'weight_decay': 0.0},
         {'params': [p for p in rest if p.ndim > 1], 'weight_decay': 0.05},
         {'params': [p for p in rest if p.ndim < 2], 'weight_decay': 0.0}],
        lr=lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 100)
        * 0.5 * (1 + math.cos(math.pi * step / steps)))
    labels = torch.arange(len(PAIRS))
    start = time.time()
    nn.init.constant_(model.logit_scale, math.log(MAX_SCALE))
    for step in range(steps):
        picks = rng.integers(pool.shape[1], size=len(PAIRS))
        images = pool[np.arange(len(PAIRS)), picks]
        if rng.random() < 0.5:
            images = images[:, :, ::-1].copy()
        texts = torch.stack([t[rng.integers(len(t))] for t in captions])
        image = model.encode_image(normalise(images), normalize=True)
        text = encode_captions(model, texts)
        logits = model.logit_scale.exp() * image @ text.T
        loss = (F.cross_entropy(logits, labels)
                + F.cross_entropy(logits.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(MAX_SCALE))
        if step % 100 == 0 or step == steps - 1:
            print(f'step {step:5d}  loss {loss.item():.3f}  '
                  f'{time.time() - start:4.0f} s', flush=True)


@torch.no_grad()
def zero_shot(model: nn.Module, pool: np.ndarray, medium: str,
              templates: tuple[str, ...]) -> float:
    """Returns the accuracy (%) on a medium, averaged over the templates."""
    tokenizer = open_clip.SimpleTokenizer()
    first = PAIRS.index((CLASSES[0], medium))
    images = torch.stack([
        model.encode_image(normalise(pool[first + i]), normalize=True)
        for i in range(len(CLASSES))
    ])
    truth, right = torch.arange(len(CLASSES))[:, None], []
    for template in templates:
        prompts = tokenizer([template.format(name) for name in CLASSES])
        texts = model.encode_text(prompts, normalize=True)
        guess = (images @ texts.T).argmax(-1)
        right.append((guess == truth).float().mean().item())
    return 100 * float(np.mean(right))


def main() -> None:
    """Trains, writes and checks the tiny CLIP."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path,
                        default=Path(world.__file__).parent)
    parser.add_argument('--steps', type=int, default=800)
    parser.add_argument('--pictures', type=int, default=200,
                        help='training pictures of each class and medium')
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)

    args.out.mkdir(parents=True, exist_ok=True)
    config_path = args.out / f'{NAME}.json'
    config_path.write_text(json.dumps(
        dict(CONFIG, preprocess_cfg=PREPROCESS), indent=4) + '\n')
    model = open_clip.CLIP(**CONFIG)
    print(f'drawing {args.pictures * len(PAIRS)} pictures')
    pool = draw_pool(args.pictures, 0)
    train(model.train(), pool, args.steps, args.lr, args.seed)

    # Check the rounded weights, the ones that are written.
    state = {k: v.half().contiguous() for k, v in model.state_dict().items()}
    save_file(state, args.out / f'{NAME}.safetensors')
    model.load_state_dict({k: v.float() for k, v in state.items()})
    model.eval()
    pool = draw_pool(50, HELD_OUT)
    print('zero-shot accuracy on held-out pictures (%)')
    for medium, templates in CAPTIONS.items():
        own = zero_shot(model, pool, medium, templates)
        generic = zero_shot(model, pool, medium, ('a photo of a {}.',))
        print(f'  {medium:10s} own captions {own:5.1f}   '
              f'"a photo of a {{}}." {generic:5.1f}')
    print(f'the target medium of the demo is {TARGET}')


if __name__ == '__main__':
    run_tool(main)
