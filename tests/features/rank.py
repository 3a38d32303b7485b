"""One rank of test_exchange: which rows it has depends on its number."""
import os

import torch
import torch.distributed as dist

from mmcoop.features.exchange import assign_missing_rows, exchange_rows

dist.init_process_group('gloo')
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
truth = torch.randn(50, 4)
truth[7] = float('nan')
for have_at in ([], [0], [0, 1], range(world)):
    have = torch.zeros(50, dtype=torch.bool)
    if rank in have_at:
        have[rank * 5:rank * 5 + 20] = True
    elif have_at == [0, 1]:
        have[:] = True
    mine = assign_missing_rows(have)
    features = None
    if have.any() or len(mine):
        features = torch.full_like(truth, float('nan'))
        rows = torch.cat([have.nonzero().flatten(), mine])
        features[rows] = truth[rows]
        have[mine] = True
    counts = [None] * world
    dist.all_gather_object(counts, mine.tolist())
    everyone = sum(counts, [])
    assert len(everyone) == len(set(everyone)), 'a row computed twice'
    found = exchange_rows(features, have)
    assert torch.equal(found.nan_to_num(9.), truth.nan_to_num(9.))
with open(f'{os.environ["MMCOOP_OUT"]}/{rank}', 'w') as file:
    file.write('right')
dist.barrier()  # the group ends together
dist.destroy_process_group()
