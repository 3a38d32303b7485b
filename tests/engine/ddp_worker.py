"""One rank of test_two_processes: torchrun ddp_worker.py CONFIG."""
import os
import sys

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

torch.cuda.set_device = lambda *_: None  # mmengine calls it for gloo as well


class Seen(Hook):

    def __init__(self):
        self.paths = set()

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.paths |= {s.img_path for s in data_batch['data_samples']}


runner = RUNNERS.build(Config.fromfile(sys.argv[1]))
seen = Seen()
runner.register_hook(seen)
runner.train()
dataset = runner.train_dataloader.dataset
torch.save(
    dict(
        ctx=runner.model.module.head.prompt.ctx.detach(),
        seen=seen.paths,
        drawn=[dataset.get_data_info(i)['img_path']
               for i in range(len(dataset))]),
    f'{os.environ["MMCOOP_OUT"]}/rank{runner.rank}.pt')
