"""What the benchmarks share: timing, memory, this machine's rate, tables."""
import argparse
import json
import os
import platform
import random
import statistics
import time
from typing import Callable, Dict, List, Sequence

import torch
from mmpretrain.datasets.categories import IMAGENET_SIMPLE_CATEGORIES
from open_clip.tokenizer import SimpleTokenizer

from mmcoop.clip import FrozenCLIP, TextTower, load_clip
from mmcoop.prompts import ContextPrompt


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='ViT-B-16-quickgelu',
                        help='open_clip model; random weights')
    parser.add_argument('--device', default='cuda' if
                        torch.cuda.is_available() else 'cpu')
    parser.add_argument('--repeats', type=int, default=3,
                        help='timed runs after a warm-up; medians are shown')
    parser.add_argument('--out', help='write the rows to this JSON file')
    return parser


def random_clip(model: str, device: str, precision: str = 'fp32'
                ) -> FrozenCLIP:
    torch.manual_seed(0)
    clip = load_clip(model, precision=precision)
    clip.image_tower.to(device)
    clip.text_tower.to(device)
    return clip


def class_names(count: int) -> List[str]:
    """ImageNet's; beyond 1000 random words, as many tokens as ImageNet's."""
    names = list(IMAGENET_SIMPLE_CATEGORIES)[:count]
    if count > len(names):
        bpe, rng = SimpleTokenizer(), random.Random(0)
        words = [word[:-4] for word in bpe.encoder
                 if word.endswith('</w>') and word[:-4].isalpha()]
        lengths = [len(bpe.encode(name)) for name in names]
        names += [
            ' '.join(rng.choices(words, k=lengths[i % len(lengths)]))
            for i in range(len(names), count)
        ]
    return names


def context(tower: TextTower, classes: int, **options) -> ContextPrompt:
    prompt = ContextPrompt(**options)
    prompt.setup(tower)
    prompt.to(tower.positional_embedding.device)
    prompt.set_classes(class_names(classes), tower)
    return prompt


def synchronize(device: str) -> None:
    if device.startswith('cuda'):
        torch.cuda.synchronize()


def seconds(function: Callable[[], object], device: str,
            repeats: int) -> float:
    """Median of ``repeats`` runs after a warm-up, on a GPU after 5: CUDA
    graphs are recorded meanwhile."""
    for _ in range(5 if device.startswith('cuda') else 1):
        function()
    times = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def product_rate(device: str, dtype: torch.dtype = torch.float32,
                 rows: int = 4096, width: int = 512) -> float:
    """FLOP/s of this machine's matrix product, here and now: the best of 5
    rounds of the MLP's shape."""
    a = torch.randn(rows, width, device=device, dtype=dtype)
    b = torch.randn(width, 4 * width, device=device, dtype=dtype)
    best = 0.
    for _ in range(5):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(10):
            a @ b
        synchronize(device)
        best = max(best, 10 * 2 * rows * width * 4 * width
                   / (time.perf_counter() - start))
    return best


def peak_gpu_memory(function: Callable[[], object]) -> float:
    """MiB above what is allocated now. Call it before :func:`seconds`, since
    what a CUDA graph keeps is not counted as allocated."""
    function()  # cuBLAS takes memory of its own
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def report(rows: Sequence[Dict], args: argparse.Namespace,
           last: bool = False) -> None:
    """Print a table, or its last row alone; write all to a JSON if asked."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns] + [[_show(row.get(c)) for c in columns]
                         for row in rows[-1 if last else 0:]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print('  '.join(cell.ljust(w) for cell, w in zip(line, widths)))
    machine = f'{platform.processor() or platform.machine()}, ' \
        f'{os.cpu_count()} CPUs, {torch.get_num_threads()} threads'
    if args.device.startswith('cuda'):
        machine += f', {torch.cuda.get_device_name()}'
    print(f'{machine}, torch {torch.__version__}')
    if args.out:
        with open(args.out, 'w') as file:
            json.dump(dict(arguments=vars(args), machine=machine,
                           torch=torch.__version__, rows=rows), file,
                      indent=1)


def _show(value) -> str:
    if value is None:
        return '-'
    return f'{value:.3g}' if isinstance(value, float) and abs(value) < 100 \
        else f'{value:.0f}' if isinstance(value, float) else str(value)
