"""The text engine: a prompt set to class features, with nothing done twice.

Exact for a causal tower that pools at EOT (``TextTower.packable``), because
1. tokens after EOT never matter: they are not there;
2. what stands before the class name is the same for every class: its hidden
   states are computed once, its keys and values attended to by all classes;
3. endings are packed without padding;
4. in the last block only the EOT positions need a query and an MLP.

Legend: P beginnings, a tokens of a beginning, N tokens of all endings, K
classes, L length of one group's endings, G classes in it, H heads, d width of
a head, D = H * d.
"""
from typing import TYPE_CHECKING, List, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from .prompt_set import PromptSet

if TYPE_CHECKING:
    from .text_tower import TextTower


def encode_packed(tower: 'TextTower', prompts: PromptSet) -> torch.Tensor:
    """Encode a prompt set.

    Args:
        tower: A packable text tower.
        prompts: Beginnings (P, a, D) and packed endings (N, D).

    Returns:
        (P, K, E) features before L2 normalisation, classes in their order.
    """
    P, a, _ = prompts.prefix.shape
    layout = prompts.layout
    index = layout.on(prompts.prefix.device)
    position = tower.positional_embedding
    prefix = prompts.prefix + position[:a]  # (P, a, D)
    endings = prompts.endings[index.sort] + position[a + index.offset]
    endings = endings.expand(P, -1, -1)  # (P, N, D)
    *blocks, last_block = tower.transformer.resblocks
    for block in blocks:
        q_p, k_p, v_p = _qkv(block, prefix)
        q_e, k_e, v_e = _qkv(block, endings)
        mixed = _attend_endings(q_e, k_e, v_e, k_p, v_p, layout.groups)
        endings = _finish(block, endings, mixed)
        mixed = F.scaled_dot_product_attention(q_p, k_p, v_p, is_causal=True)
        prefix = _finish(block, prefix, mixed)
    _, k_p, v_p = _qkv(last_block, prefix)
    q_e, k_e, v_e = _qkv(last_block, endings)
    q_e = q_e[:, :, index.last]  # (P, H, K, d)
    mixed = _attend_endings(
        q_e, k_e, v_e, k_p, v_p, layout.groups, only_eot=True)
    x = _finish(last_block, endings[:, index.last], mixed)  # (P, K, D)
    return tower.project(x[:, index.restore])


def _qkv(block: nn.Module,
         x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values: (P, n, D) -> three of (P, H, n, d)."""
    attn = block.attn
    qkv = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
    P, n, _ = qkv.shape
    q, k, v = qkv.view(P, n, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    return q, k, v


def _attend_endings(q: torch.Tensor,
                    k: torch.Tensor,
                    v: torch.Tensor,
                    k_prefix: torch.Tensor,
                    v_prefix: torch.Tensor,
                    groups: List[Tuple[int, int]],
                    only_eot: bool = False) -> torch.Tensor:
    """Every ending attends to the beginning and to its own earlier tokens.

    Args:
        q: (P, H, N, d), or (P, H, K, d) with ``only_eot``.
        k, v: (P, H, N, d).
        k_prefix, v_prefix: (P, H, a, d).
        groups: (G, L) of each run of endings of one length.

    Returns:
        As ``q``.
    """
    P, H, a, d = k_prefix.shape
    q = q * d**-0.5
    scores_prefix = q @ k_prefix.transpose(-1, -2)  # (P, H, N or K, a)
    to_prefix, own = [], []
    row = query_row = 0
    for G, L in groups:
        queries = 1 if only_eot else L
        rows = slice(row, row + G * L)
        query_rows = slice(query_row, query_row + G * queries)
        row, query_row = rows.stop, query_rows.stop
        q_g = q[:, :, query_rows].reshape(P, H, G, queries, d)
        k_g = k[:, :, rows].reshape(P, H, G, L, d)
        v_g = v[:, :, rows].reshape(P, H, G, L, d)
        scores_own = q_g @ k_g.transpose(-1, -2)  # (P, H, G, queries, L)
        if not only_eot:
            later = torch.ones(L, L, dtype=torch.bool, device=q.device).triu(1)
            scores_own = scores_own.masked_fill(later, float('-inf'))
        scores = torch.cat([
            scores_prefix[:, :, query_rows].reshape(P, H, G, queries, a),
            scores_own
        ], dim=-1)  # (P, H, G, queries, a + L)
        weights = scores.softmax(-1).to(v.dtype)
        to_prefix.append(weights[..., :a].reshape(P, H, G * queries, a))
        own.append((weights[..., a:] @ v_g).reshape(P, H, G * queries, d))
    return torch.cat(to_prefix, dim=2) @ v_prefix + torch.cat(own, dim=2)


def _finish(block: nn.Module, x: torch.Tensor,
            mixed: torch.Tensor) -> torch.Tensor:
    """Output projection and MLP: (P, n, D) and (P, H, n, d) -> (P, n, D)."""
    mixed = mixed.transpose(1, 2).flatten(2)  # (P, n, D)
    x = x + block.ls_1(block.attn.out_proj(mixed))
    return x + block.ls_2(block.mlp(block.ln_2(x)))
