"""The published computation: all 77 positions of every class.

For towers that the engine may not serve; the reference of tests and of
benchmarks.
"""
from dataclasses import replace
from typing import List

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence

from .prompt_set import PromptSet


def encode_plain(tower: nn.Module, prompts: PromptSet) -> torch.Tensor:
    """Encode a prompt set; shapes as in :func:`encode_packed`: (P, K, E).

    Args:
        tower: Any :class:`TextTower`.
        prompts: Beginnings (P, a, D) and packed endings (N, D).
    """
    device = prompts.prefix.device
    pad_D = tower.embed(torch.tensor(tower.tokenizer.pad, device=device))
    lengths = torch.tensor(prompts.layout.lengths, device=device)  # (K, )
    K, start, T = len(lengths), prompts.prefix.shape[1], tower.context_length
    endings = pad_sequence(
        prompts.endings.split(prompts.layout.lengths), batch_first=True)
    within = torch.arange(endings.shape[1], device=device) < lengths[:, None]
    endings = torch.where(within[..., None], endings, pad_D)  # (K, L, D)
    fill = pad_D.expand(K, T - start - endings.shape[1], -1)
    features: List[torch.Tensor] = []
    for one in prompts.split_beginnings(len(prompts.prefix)):
        x = torch.cat([one.prefix.expand(K, -1, -1), endings, fill], dim=1)
        x = x + tower.positional_embedding  # (K, T, D)
        x = _transform(tower, one, x)
        if tower.pool_type == 'first':
            pooled = x[:, 0]
        elif tower.pool_type == 'last':
            pooled = x[:, -1]
        else:
            eot = start + lengths - 1
            pooled = x[torch.arange(K, device=device), eot]
        features.append(tower.project(pooled))
    return torch.stack(features)


def _transform(tower: nn.Module, prompts: PromptSet,
               x: torch.Tensor) -> torch.Tensor:
    """All layers, over (K, T, D); deep prompts of the one beginning."""
    if prompts.deep is None:
        return tower.transformer(x, attn_mask=tower.attn_mask)
    prompts = replace(prompts, deep=prompts.deep.expand(-1, len(x), -1, -1))
    for layer, block in enumerate(tower.transformer.resblocks):
        x = prompts.put_deep(layer, x)
        x = block(x, attn_mask=tower.attn_mask)
    return x
