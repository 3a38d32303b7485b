"""Ranks share the computing of features; no common file system is needed."""
from typing import Optional

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size

ROWS = 20_000  # at a time: some 40 MB


def share_of_missing(have: torch.Tensor) -> torch.Tensor:
    """This rank's share of the rows that no rank has.

    Args:
        have: (n, ) bool: which rows this rank has. All ranks call this.
    """
    anywhere = have.int()
    all_reduce(anywhere, 'max')
    missing = (anywhere == 0).nonzero().flatten()
    return missing[get_rank()::get_world_size()]


def exchange(features: Optional[torch.Tensor],
             have: torch.Tensor) -> torch.Tensor:
    """Give every rank every row.

    Args:
        features: (n, E) with the rows that this rank has; None if it has none.
        have: (n, ) bool: which. Each row must be at some rank.

    Returns:
        (n, E), bit by bit as the lowest rank that has it had each row.
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
    features[owner != rank] = 0  # then the sum is the owner's row, exactly
    for rows in features.split(ROWS):
        all_reduce(rows, 'sum')
    return features
