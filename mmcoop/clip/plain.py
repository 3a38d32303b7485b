"""Reference text encoder: all positions of every class, as published.

It serves towers that :mod:`text_engine` does not support, tests and
benchmarks.
"""
from dataclasses import replace
from typing import Optional

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence

from .prompt_set import PromptSet


def encode_plain(tower: nn.Module, prompts: PromptSet) -> torch.Tensor:
    """Encode a prompt set.

    Args:
        tower: Any :class:`TextTower`.
        prompts: Prefixes (P, a, D) and packed endings (N, D).

    Returns:
        Class features (P, K, E) before L2 normalisation.
    """
    device = prompts.prefix.device
    pad_D = tower.embed(torch.tensor(tower.tokenizer.pad, device=device))
    masked_D = None if tower.pad_id is None else tower.embed(
        torch.tensor(tower.pad_id, device=device))
    lengths = torch.tensor(prompts.layout.lengths, device=device)  # (K, )
    K, start, T = len(lengths), prompts.prefix.shape[1], tower.context_length
    endings = pad_sequence(
        prompts.endings.split(prompts.layout.lengths), batch_first=True)
    within = torch.arange(endings.shape[1], device=device) < lengths[:, None]
    endings = torch.where(within[..., None], endings, pad_D)  # (K, L, D)
    fill = pad_D.expand(K, T - start - endings.shape[1], -1)
    pooled = {'first': 0, 'last': -1}.get(tower.pool_type,
                                          start + lengths - 1)
    features = []
    for one in prompts.split_prefixes(len(prompts.prefix)):
        x = torch.cat([one.prefix.expand(K, -1, -1), endings, fill], dim=1)
        mask = tower.attn_mask
        if masked_D is not None:
            # equal rows are equal tokens: learned vectors never are
            mask = _mask_padding(tower, (x != masked_D).any(-1))
        if tower.cls_emb is not None:
            x = torch.cat([x, tower.cls_emb.expand(K, 1, -1)], dim=1)
        x = _transform(tower, one, x + tower.positional_embedding, mask)
        features.append(
            tower.project(x[torch.arange(K, device=device), pooled]))
    return torch.stack(features)


def _mask_padding(tower: nn.Module, valid: torch.Tensor) -> torch.Tensor:
    """Mask (K * H, T, T) to add, where tokens (K, T) are padding."""
    if tower.cls_emb is not None:
        cls = valid.new_ones(len(valid), 1)
        # CoCa's published weights have it at the wrong end
        valid = torch.cat([valid, cls] if tower.correct_cls_mask
                          else [cls, valid], dim=1)
    T, heads = valid.shape[1], tower.transformer.resblocks[0].attn.num_heads
    mask = torch.zeros(
        len(valid), T, T, dtype=tower.positional_embedding.dtype,
        device=valid.device).masked_fill(~valid[:, None], float('-inf'))
    if tower.attn_mask is not None:
        mask = mask + tower.attn_mask
    return mask.repeat_interleave(heads, dim=0)


def _transform(tower: nn.Module, prompts: PromptSet, x: torch.Tensor,
               mask: Optional[torch.Tensor]) -> torch.Tensor:
    """Run all layers over (K, T, D), with the deep prompts of one prefix."""
    if prompts.deep is None:
        return tower.transformer(x, attn_mask=mask)
    prompts = replace(prompts, deep=prompts.deep.expand(-1, len(x), -1, -1))
    for layer, block in enumerate(tower.transformer.resblocks):
        x = prompts.replace_deep(layer, x)
        x = block(x, attn_mask=mask)
    return x
