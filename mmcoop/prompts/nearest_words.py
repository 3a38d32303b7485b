"""Words of the vocabulary that are near to context vectors."""
from typing import NamedTuple

import torch

from ..clip import TextTower, Tokenizer

ROWS = 256  # vectors at a time: 50 MB of distances


class NearWord(NamedTuple):
    """An entry of the vocabulary near a context vector."""
    word: str
    token: int  # its id
    distance: float  # Euclidean, between embeddings


@torch.no_grad()
def nearest_words(tower: TextTower, ctx: torch.Tensor,
                  top: int = 1) -> list:
    """The nearest of all words (49,408 for CLIP) for each context vector.

    Args:
        tower: The text tower that the context was learned for.
        ctx: (M, D), or (K, M, D) of a class-specific context.
        top: How many words for each vector.

    Returns:
        For (M, D): M lists of ``top`` :class:`NearWord`, the nearest first.
        For (K, M, D): K such lists.

    Raises:
        ValueError: ``top`` is below 1, or more than there are words.
    """
    words = tower.token_embedding.weight.float()  # (V, D)
    if not 1 <= top <= len(words):
        raise ValueError(f'top={top}: a number from 1 to {len(words)}.')
    near = []
    for rows in ctx.to(words).flatten(0, -2).split(ROWS):
        # by products instead, distances near 0 would be wrong by 0.001
        distances = torch.cdist(
            rows, words, compute_mode='donot_use_mm_for_euclid_dist')
        found = distances.topk(top, largest=False)
        for values, ids in zip(found.values.tolist(), found.indices.tolist()):
            near.append([NearWord(spell(tower.tokenizer, token), token, value)
                         for token, value in zip(ids, values)])
    M = ctx.shape[-2]
    return near if ctx.ndim == 2 else [
        near[first:first + M] for first in range(0, len(near), M)
    ]


def spell(tokenizer: Tokenizer, token: int) -> str:
    """A token in print; a part of a character as the BPE writes its bytes."""
    word = tokenizer.decode([token]).strip()
    if word and word.isprintable() and '\ufffd' not in word:
        return word
    return tokenizer.spell(token)
