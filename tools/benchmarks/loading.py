"""How fast images are loaded, and how many cores a training step wants.

    python tools/benchmarks/loading.py --step 0.02 --gpus 8

The training pipeline of configs/_base_/datasets/few_shot.py on drawn JPEGs
of ImageNet's usual size: images a second of one core, and of the data loader
with more workers; then the cores that steps of --step seconds (measure them
with training_step.py) and a batch of 32 need on every GPU.
"""
import os
import tempfile
import time

import numpy as np
import torch
from common import arguments, report
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image, ImageFilter

from mmcoop import resolve

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, '../../configs/_base_/datasets/few_shot.py')


class Files(torch.utils.data.Dataset):

    def __init__(self, paths: list, pipeline: Compose) -> None:
        self.paths, self.pipeline = paths, pipeline

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int):
        return self.pipeline(dict(img_path=self.paths[i], gt_label=0))


def draw_jpegs(folder: str, count: int, width: int, height: int) -> list:
    """Blurred noise, about as many bytes as a photograph."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(count):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))
        paths.append(os.path.join(folder, f'{i}.jpg'))
        image.save(paths[-1], quality=85)
    return paths


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--images', type=int, default=200)
    parser.add_argument('--size', type=int, nargs=2, default=(500, 375))
    parser.add_argument('--step', type=float, help='seconds of a step')
    parser.add_argument('--gpus', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder, \
            DefaultScope.overwrite_default_scope('mmpretrain'):
        import mmpretrain.datasets  # noqa: F401, registers the transforms
        cfg = Config.fromfile(CONFIG)
        cfg.merge_from_dict(dict(
            image_size=224, data_root=folder, randomness=dict(seed=1)))
        pipeline = Compose(
            resolve(cfg).train_dataloader.dataset.dataset.pipeline)
        paths = draw_jpegs(folder, args.images, *args.size)
        size = sum(map(os.path.getsize, paths)) / len(paths) / 1000
        print(f'{args.images} JPEGs of {args.size[0]} x {args.size[1]}, '
              f'{size:.0f} kB each')
        cpus = len(os.sched_getaffinity(0))
        for workers in dict.fromkeys((0, 1, cpus)):
            loader = torch.utils.data.DataLoader(
                Files(paths * 3, pipeline), batch_size=32,
                num_workers=workers, collate_fn=list)
            count, start = 0, None
            for batch in loader:
                if start is None:  # the first batch pays for the start
                    start = time.perf_counter()
                else:
                    count += len(batch)
            rate = count / (time.perf_counter() - start)
            rows.append({'workers': workers, 'images/s': rate,
                         'a core': rate / max(1, workers)})
    report(rows, args)
    if args.step:
        needed = 32 / args.step * args.gpus / rows[0]['a core']
        print(f'steps of {args.step} s, batch 32, {args.gpus} GPUs: '
              f'{32 / args.step * args.gpus:.0f} images/s, '
              f'{needed:.1f} cores like this one')


if __name__ == '__main__':
    main()
