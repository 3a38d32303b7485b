"""Does memory grow with time, and how long does a large start take?

    python tools/benchmarks/long_and_large.py
    python tools/benchmarks/long_and_large.py --only epochs --epochs 200

On a CLIP of milliseconds, in one process each: many runs one after the other
(as tools/reproduce.py does them), many epochs of one run, a folder of very
many files (links to a few), and very many classes. Memory is the process's
resident size after a tenth of the way and at the end.
"""
import contextlib
import gc
import io
import os
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List

from common import arguments, class_names, report

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/coop/coop_vit-b16_16shot_custom.py'
TINY = ROOT / 'mmcoop/demo/tiny_clip.json'


def resident() -> float:
    """MiB of this process in memory now (Linux)."""
    gc.collect()
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def make_photos(folder: Path, classes: int, count: int) -> Path:
    """Links to ten images, so that a hundred thousand take no time."""
    from PIL import Image
    folder.mkdir()
    for i in range(10):
        Image.new('RGB', (64, 48), (20 * i, 90, 120)).save(
            folder.parent / f'{folder.name}{i}.png')
    for name in dict.fromkeys(class_names(classes)):
        place = folder / name.replace('/', ' ')
        place.mkdir()
        for i in range(count):
            os.link(folder.parent / f'{folder.name}{i % 10}.png',
                    place / f'{i}.png')
    return folder


def train(work: Path, photos: Path, *options: str) -> None:
    """One run of tools/train.py in this process, silent."""
    from mmcoop.protocol.execute import free_runs, tool_main
    with contextlib.redirect_stdout(io.StringIO()):
        tool_main(ROOT / 'tools/train.py')([
            str(CONFIG), '--work-dir', str(work), '--cfg-options',
            f'data_root={photos}', f'model.clip.model_name={TINY}',
            f'model.clip.pretrained={TINY.with_suffix(".safetensors")}',
            'num_workers=0', 'report=False', 'calibrate=False', *options])
    free_runs()


def measure(name: str, steps: int, step: Callable[[int], None]) -> dict:
    """Memory early and late in a repetition."""
    early = max(1, steps // 10)
    start = time.perf_counter()
    for i in range(steps):
        step(i)
        if i + 1 == early:
            before = resident()
    return {'what': f'{steps} {name}', 'MiB early': before,
            'MiB at the end': resident(),
            'KiB each': (resident() - before) * 1024 / max(1, steps - early),
            'seconds': time.perf_counter() - start}


def many_runs(folder: Path, args) -> dict:
    from mmcoop.clip import keep_clips
    photos = make_photos(folder / 'few', 3, 8)
    with keep_clips():
        return measure('runs', args.runs, lambda i: train(
            folder / 'runs' / str(i), photos, 'max_epochs=2', f'seed={i}'))


def many_epochs(folder: Path, args) -> dict:
    from mmengine.hooks import Hook

    from mmcoop.registry import HOOKS
    seen: List[float] = []

    @HOOKS.register_module(force=True)
    class Weigh(Hook):

        def after_train_epoch(self, runner) -> None:
            if runner.epoch + 1 in (max(1, args.epochs // 10), args.epochs):
                seen.append(resident())

    photos = make_photos(folder / 'epochs', 3, 8)
    start = time.perf_counter()
    train(folder / 'epochs_run', photos, f'max_epochs={args.epochs}',
          'default_hooks.weigh.type=mmcoop.Weigh')
    return {'what': f'{args.epochs} epochs', 'MiB early': seen[0],
            'MiB at the end': seen[-1],
            'KiB each': (seen[-1] - seen[0]) * 1024 / args.epochs,
            'seconds': time.perf_counter() - start}


def many_files(folder: Path, args) -> dict:
    from mmcoop.datasets import FolderDataset
    photos = make_photos(folder / 'many', 1000, args.files // 1000)
    before, start = resident(), time.perf_counter()
    data = FolderDataset(data_root=str(photos), split='train')
    return {'what': f'a folder of {args.files} files, {len(data)} to train on',
            'MiB early': before, 'MiB at the end': resident(),
            'seconds': time.perf_counter() - start}


def many_classes(folder: Path, args) -> dict:
    import torch

    from mmcoop.clip import load_clip
    from mmcoop.heads import PromptLearnerHead
    before, start = resident(), time.perf_counter()
    tower = load_clip(str(TINY)).text_tower
    head = PromptLearnerHead(
        prompt=dict(type='mmcoop.ContextPrompt', n_ctx=16), text_tower=tower,
        classes=class_names(args.classes), text_memory=1.)
    with torch.no_grad():
        head.eval().text_features()
    return {'what': f'{args.classes} classes, to the first features',
            'MiB early': before, 'MiB at the end': resident(),
            'seconds': time.perf_counter() - start}


PARTS: Dict[str, Callable] = dict(
    runs=many_runs, epochs=many_epochs, files=many_files,
    classes=many_classes)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--only', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--runs', type=int, default=500)
    parser.add_argument('--epochs', type=int, default=200)
    parser.add_argument('--files', type=int, default=100_000)
    parser.add_argument('--classes', type=int, default=21_000)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        os.environ['MMCOOP_CACHE'] = f'{name}/cache'
        for part in args.only:
            rows.append(PARTS[part](Path(name), args))
            report(rows, args, last=True)
    print()
    report(rows, args)


if __name__ == '__main__':
    main()
