"""The published computation: all 77 positions of every class.

For towers that the engine may not serve; the reference of tests and of
benchmarks.
"""
from typing import TYPE_CHECKING, List

import torch
from torch.nn.utils.rnn import pad_sequence

from .prompt_set import PromptSet

if TYPE_CHECKING:
    from .text_tower import TextTower


def encode_plain(tower: 'TextTower', prompts: PromptSet) -> torch.Tensor:
    """Encode a prompt set; shapes as in :func:`encode_packed`: (P, K, E)."""
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
    for prefix_aD in prompts.prefix:
        x = torch.cat([prefix_aD.expand(K, -1, -1), endings, fill], dim=1)
        x = x + tower.positional_embedding  # (K, T, D)
        x = tower.transformer(x, attn_mask=tower.attn_mask)
        if tower.pool_type == 'first':
            pooled = x[:, 0]
        elif tower.pool_type == 'last':
            pooled = x[:, -1]
        else:
            eot = start + lengths - 1
            pooled = x[torch.arange(K, device=device), eot]
        features.append(tower.project(pooled))
    return torch.stack(features)
