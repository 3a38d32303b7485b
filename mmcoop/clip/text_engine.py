"""The text engine: a prompt set to class features, with nothing done twice.

Exact for a causal tower that pools at EOT (``TextTower.packable``), because
1. tokens after EOT never matter: they are not there;
2. what stands before the class name is the same for every class: its hidden
   states are computed once, its keys and values attended to by all classes;
3. endings are packed on pages, hardly a row of which stays empty, and names
   that begin alike share that beginning;
4. in the last block only the EOT positions need an MLP.

Legend: P beginnings, a tokens of a beginning, n pages of B rows, K classes,
H heads, d width of a head, D = H * d; R = P * (a + n * B) rows in all, first
the beginnings', then the pages'.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from .prompt_set import PromptSet


def encode_packed(tower: nn.Module, prompts: PromptSet) -> torch.Tensor:
    """Encode a prompt set.

    Args:
        tower: A packable :class:`TextTower`.
        prompts: Beginnings (P, a, D) and packed endings (N, D). Deep prompts
            stand in the beginnings, so they cost P * m rows a layer.

    Returns:
        (P, K, E) features before L2 normalisation, classes in their order.
    """
    P, a, D = prompts.prefix.shape
    pages = prompts.layout.pages(prompts.prefix.device)
    position = tower.positional_embedding
    prefix = prompts.prefix + position[:a]  # (P, a, D)
    endings = prompts.endings[pages.row] + position[a + pages.offset]
    x = torch.cat([prefix.flatten(0, 1), endings.repeat(P, 1)])  # (R, D)
    n, B = pages.visible.shape[:2]
    # every row of a page sees the whole beginning: (P * n, 1, B, a + B)
    mask = F.pad(pages.visible, (a, 0), value=True)[:, None]
    mask = mask.repeat(P, 1, 1, 1)
    *blocks, last_block = tower.transformer.resblocks
    for layer, block in enumerate(blocks):
        x = _put_deep(prompts, layer, x)
        x = _finish(block, x, _attend(block, x, P, a, mask))
    x = _put_deep(prompts, len(blocks), x)
    mixed = _attend(last_block, x, P, a, mask)
    eot = P * a + torch.arange(P, device=x.device)[:, None] * n * B + pages.eot
    x = _finish(last_block, x[eot.flatten()], mixed[eot.flatten()])
    return tower.project(x).unflatten(0, (P, -1))


def _put_deep(prompts: PromptSet, layer: int,
              x: torch.Tensor) -> torch.Tensor:
    """Replace context rows of the beginnings at the input of a layer."""
    if prompts.deep is None:
        return x
    P, a, _ = prompts.prefix.shape
    prefix = prompts.put_deep(layer, x[:P * a].unflatten(0, (P, a)))
    return torch.cat([prefix.flatten(0, 1), x[P * a:]])


def _attend(block: nn.Module, x: torch.Tensor, P: int, a: int,
            mask: torch.Tensor) -> torch.Tensor:
    """Beginnings attend to themselves, pages to them and to themselves.

    Args:
        x: (R, D).
        mask: (P * n, 1, B, a + B).

    Returns:
        (R, D), what was attended to.
    """
    attn, D = block.attn, x.shape[1]
    heads = (attn.num_heads, -1)
    y = block.ln_1(x)
    weight, bias = attn.in_proj_weight, attn.in_proj_bias
    q = F.linear(y, weight[:D], bias[:D]).unflatten(-1, heads)  # (R, H, d)
    kv = F.linear(y, weight[D:], bias[D:])  # (R, 2D)
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
    # x sigmoid(s x) = silu(s x) / s: a fraction of QuickGELU's passes over
    # the widest tensor, and half of what it saves
    s = 1.702
    x = torch.addmm(mlp.c_fc.bias, x, mlp.c_fc.weight.t(), beta=s, alpha=s)
    return F.linear(F.silu(x), mlp.c_proj.weight, s * mlp.c_proj.bias) / s
