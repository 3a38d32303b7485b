"""Text engine: encodes a prompt set without redundant computation.

Exact for a causal tower that pools at EOT (``TextTower.packable``):
1. tokens after EOT cannot influence the features and are left out;
2. the prefix is encoded once, and all classes attend to its keys and values;
3. class endings are packed into pages with few empty rows, and endings that
   begin with the same tokens share those rows;
4. the last MLP runs at the EOT positions only.

Shapes: P prefixes of a tokens, n pages of B rows, K classes, H heads of width
d, D = H * d; R = P * (a + n * B) rows in all, prefixes first, then pages.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from .prompt_set import PromptSet


def encode_packed(tower: nn.Module, prompts: PromptSet) -> torch.Tensor:
    """Encode a prompt set.

    Args:
        tower: A packable :class:`TextTower`.
        prompts: Prefixes (P, a, D) and packed endings (N, D).

    Returns:
        Class features (P, K, E) before L2 normalisation.
    """
    P, a, D = prompts.prefix.shape
    pages = prompts.layout.pages(prompts.prefix.device)
    position = tower.positional_embedding
    prefix = prompts.prefix + position[:a]  # (P, a, D)
    endings = prompts.endings[pages.row] + position[a + pages.offset]
    x = torch.cat([prefix.flatten(0, 1), endings.repeat(P, 1)])  # (R, D)
    n, B = pages.visible.shape[:2]
    # rows of a page attend to the whole prefix: (P * n, 1, B, a + B)
    mask = F.pad(pages.visible, (a, 0), value=True)[:, None]
    mask = mask.repeat(P, 1, 1, 1)
    *blocks, last_block = tower.transformer.resblocks
    for layer, block in enumerate(blocks):
        x = _replace_deep(prompts, layer, x)
        x = _finish(block, x, _attend(block, x, P, a, mask))
    x = _replace_deep(prompts, len(blocks), x)
    mixed = _attend(last_block, x, P, a, mask)
    eot = P * a + torch.arange(P, device=x.device)[:, None] * n * B + pages.eot
    x = _finish(last_block, x[eot.flatten()], mixed[eot.flatten()])
    return tower.project(x).unflatten(0, (P, -1))


def _replace_deep(prompts: PromptSet, layer: int,
                  x: torch.Tensor) -> torch.Tensor:
    """Insert a layer's deep prompts into the prefixes' rows of (R, D)."""
    if prompts.deep is None:
        return x
    P, a, _ = prompts.prefix.shape
    prefix = prompts.replace_deep(layer, x[:P * a].unflatten(0, (P, a)))
    return torch.cat([prefix.flatten(0, 1), x[P * a:]])


def _attend(block: nn.Module, x: torch.Tensor, P: int, a: int,
            mask: torch.Tensor) -> torch.Tensor:
    """Attention of (R, D): prefixes to themselves, pages to both."""
    attn, D = block.attn, x.shape[1]
    heads = (attn.num_heads, -1)
    y = block.ln_1(x)
    weight, bias = attn.in_proj_weight, attn.in_proj_bias
    q = F.linear(y, weight[:D], bias[:D]).unflatten(-1, heads)  # (R, H, d)
    kv = F.linear(y, weight[D:], bias[D:])  # (R, 2D)
    added = getattr(attn, 'added', None)  # of a TowerAdapter, in training
    if added is not None:
        more_q, more_kv = added(y).split((D, 2 * D), dim=1)
        q, kv = q + more_q.unflatten(-1, heads), kv + more_kv
    pages, B = mask.shape[0], mask.shape[2]
    sizes = (P * a, pages * B)
    q_prefix, q_pages = q.split(sizes)
    kv_prefix, kv_pages = kv.split(sizes)
    # a copy: backward would keep the whole of kv alive for these few rows
    kv_prefix = kv_prefix.clone().view(P, 1, a, -1)
    kv_pages = torch.cat([
        kv_prefix.expand(P, pages // P, a, -1),
        kv_pages.view(P, pages // P, B, -1)
    ], dim=2)  # (P, n, a + B, 2D)
    mixed_prefix = _sdpa(q_prefix.unflatten(0, (P, a)),
                         kv_prefix.flatten(0, 1), is_causal=True)
    mixed_pages = _sdpa(q_pages.unflatten(0, (pages, B)),
                        kv_pages.flatten(0, 1), attn_mask=mask)
    return torch.cat([mixed_prefix, mixed_pages])


def _sdpa(q: torch.Tensor, kv: torch.Tensor, **mask) -> torch.Tensor:
    """(b, i, H, d) and (b, j, 2D) -> (b * i, D)."""
    k, v = kv.unflatten(-1, (2, *q.shape[2:])).unbind(2)  # (b, j, H, d)
    mixed = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), **mask)
    return mixed.transpose(1, 2).flatten(2).flatten(0, 1)


def _finish(block: nn.Module, x: torch.Tensor,
            mixed: torch.Tensor) -> torch.Tensor:
    """Output projection and MLP, row by row: (n, D) -> (n, D)."""
    x = x + block.ls_1(block.attn.out_proj(mixed))
    return x + block.ls_2(_mlp(block.mlp, block.ln_2(x)))


def _mlp(mlp: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    if type(mlp.gelu).__name__ != 'QuickGELU':
        return mlp(x)
    # x sigmoid(s x) = silu(s x) / s: fewer passes over the widest tensor and
    # half of QuickGELU's saved activations
    s = 1.702
    x = torch.addmm(mlp.c_fc.bias, x, mlp.c_fc.weight.t(), beta=s, alpha=s)
    return F.linear(F.silu(x), mlp.c_proj.weight, s * mlp.c_proj.bias) / s
