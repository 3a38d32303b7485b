"""Gradients of several losses, combined before each step."""
import os
import subprocess
import sys

import pytest
import torch
import torch.nn as nn
from mmengine.optim import OptimWrapper

from mmcoop.engine import GradientRuleOptimWrapper
from mmcoop.protocol.execute import tool_main

from ..conftest import ROOT


class Sum(GradientRuleOptimWrapper):
    """The rule that changes nothing."""

    def combine(self, gradients):
        return sum(gradients.values())


class Larger(GradientRuleOptimWrapper):
    """The gradient of the larger norm; others are dropped."""

    def combine(self, gradients):
        return max(gradients.values(), key=torch.linalg.vector_norm)


def losses_of(model, x):
    y = model(x)
    total = y.square().mean() + y.abs().mean()
    total.named_losses = dict(loss_cls=y.square().mean(),
                              loss_other=y.abs().mean())
    return total


def trained(kind, x, batches=1, **options):
    """The weights after two epochs over ``batches`` parts of x."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    wrapper = kind(torch.optim.SGD(model.parameters(), lr=.1, momentum=.9),
                   **options)
    for _ in range(2):
        for part in x.chunk(batches):
            with wrapper.optim_context(model):
                loss = losses_of(model, part)
            wrapper.update_params(loss)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.fixture
def x():
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(1)
                       ).double()


def test_the_sum_is_mmengines_step(x):
    for options in ({}, dict(clip_grad=dict(max_norm=.01)),
                    dict(accumulative_counts=2)):
        torch.testing.assert_close(
            trained(Sum, x, 2, **options),
            trained(OptimWrapper, x, 2, **options))


def test_a_rule_is_used(x):
    assert not torch.allclose(trained(Larger, x), trained(Sum, x))


def test_accumulated_gradients_are_combined_as_one_batch(x):
    torch.testing.assert_close(
        trained(Larger, x, 4, accumulative_counts=4), trained(Larger, x))


def test_one_loss_is_refused():
    weight = nn.Parameter(torch.ones(1))
    wrapper = Sum(torch.optim.SGD([weight], lr=1.))
    with pytest.raises(ValueError, match='combines the gradients of several '
                       'losses, and there is one: add model.head.regularizer'):
        wrapper.update_params(weight.sum())


def test_amp_is_refused(tmp_path):
    """It would replace the rule in silence."""
    main = tool_main(ROOT / 'tools/train.py')
    config = tmp_path / 'ruled.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/coop/coop_demo.py'\n"
        "optim_wrapper = dict(type='mmcoop.SomeRule')\n")
    with pytest.raises(SystemExit, match='would replace the optimiser wrapper '
                       'mmcoop.SomeRule.*model.clip.precision=bf16'):
        main([str(config), '--amp', '--work-dir', str(tmp_path)])


WORKER = '''
import gc, sys, torch, torch.distributed as dist, torch.nn as nn
sys.path.insert(0, {root!r})
from mmengine.model import MMDistributedDataParallel
from tests.engine.test_gradient_rule import Larger, losses_of
dist.init_process_group('gloo')
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
model = MMDistributedDataParallel(model)
wrapper = Larger(torch.optim.SGD(model.parameters(), lr=.1, momentum=.9))
x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)).double()
x = x.chunk(dist.get_world_size())[dist.get_rank()]
for _ in range(2):
    with wrapper.optim_context(model):
        loss = losses_of(model, x)
    wrapper.update_params(loss)
torch.save(torch.cat([p.detach().flatten() for p in model.parameters()]),
           f'{out}/{{dist.get_rank()}}.pt')
# a thread of gloo that outlives the interpreter may abort it: as FewShotRunner
del model, wrapper, loss
gc.collect()
dist.barrier()
dist.destroy_process_group()
'''


def test_two_ranks_are_one_process(x, tmp_path):
    (tmp_path / 'worker.py').write_text(
        WORKER.format(root=str(ROOT), out=str(tmp_path)))
    subprocess.run([
        sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node=2',
        '--rdzv-backend=c10d', '--rdzv-endpoint=localhost:0',
        str(tmp_path / 'worker.py')
    ], check=True, timeout=300, env=dict(
        os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1'))
    for rank in (0, 1):
        torch.testing.assert_close(torch.load(tmp_path / f'{rank}.pt'),
                                   trained(Larger, x))
