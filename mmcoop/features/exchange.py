"""Ranks share the computation of features, without a common file system."""
from typing import Optional

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size

ROWS = 20_000  # per all_reduce: about 40 MB


def assign_missing_rows(have: torch.Tensor) -> torch.Tensor:
    """Divide the rows that no rank has among the ranks.

    All ranks must call this.

    Args:
        have: (n, ) bool, the rows that this rank has.

    Returns:
        The indices of the rows that this rank is to compute.
    """
    anywhere = have.int()
    all_reduce(anywhere, 'max')
    missing = (anywhere == 0).nonzero().flatten()
    return missing[get_rank()::get_world_size()]


def exchange_rows(features: Optional[torch.Tensor],
                  have: torch.Tensor) -> torch.Tensor:
    """Give every row to every rank.

    All ranks must call this.

    Args:
        features: (n, E) with the rows that this rank has; None if it has none.
        have: (n, ) bool, the rows that this rank has. Every row must be on
            some rank.

    Returns:
        (n, E). Each row is bitwise that of the lowest rank that had it; but
        if every rank had every row, each keeps its own.
    """
    rank, world = get_rank(), get_world_size()
    incomplete = torch.tensor(int(not have.all()))
    all_reduce(incomplete, 'max')
    if not incomplete:
        return features
    width = torch.tensor(0 if features is None else features.shape[1])
    all_reduce(width, 'max')
    owner = torch.where(have, rank, world)
    all_reduce(owner, 'min')
    if features is None:
        features = torch.empty(len(have), int(width))
    features[owner != rank] = 0  # then the sum is exactly the owner's row
    for rows in features.split(ROWS):
        all_reduce(rows, 'sum')
    return features
