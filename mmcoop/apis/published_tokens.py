"""The embedded class names that published checkpoints hold.

``token_prefix`` (K, 1, D) is the embedding of the start of text, and
``token_suffix`` (K, n, D) that of what follows the context: name, full stop,
end, padding. The published codes make them anew when they load a checkpoint.
Here they tell the class names, and whether a CLIP is the right one.
"""
from pathlib import Path
from typing import Dict, List, Sequence

import torch

from ..clip import TextTower
from ..prompts import BasePrompt, clean_class_names


@torch.no_grad()
def make_buffers(names: Sequence[str], prompt: BasePrompt, tower: TextTower,
                 dtype: torch.dtype) -> Dict[str, torch.Tensor]:
    """``token_prefix`` and ``token_suffix`` of class names.

    Args:
        names: Names of the K classes.
        prompt: A prompt with M context vectors.
        tower: Its text tower.
        dtype: That of the published run.
    """
    words, M = _words(prompt), prompt.n_ctx
    rows = [tower.tokenizer.encode(f'{words} {name}.', special_tokens=True)
            for name in clean_class_names(names)]
    ids = torch.tensor([
        row + [tower.tokenizer.pad] * (tower.context_length - len(row))
        for row in rows], device=tower.logit_scale.device)  # (K, n)
    rows = tower.token_embedding(ids).to('cpu', dtype)
    return dict(token_prefix=rows[:, :1], token_suffix=rows[:, 1 + M:])


def decode_names(suffix: torch.Tensor, prompt: BasePrompt,
                 tower: TextTower, path: Path) -> List[str]:
    """Class names of a ``token_suffix``, as the tokenizer spells them.

    Args:
        suffix: (K, n, D).
        prompt: The prompt that was learned.
        tower: Its text tower.
        path: The file, for messages.

    Raises:
        ValueError: These are no embeddings of this CLIP.
    """
    tokenizer = tower.tokenizer
    words = tower.token_embedding.weight.detach()
    words = words.to('cpu', suffix.dtype).numpy()
    ids = {row.tobytes(): i for i, row in enumerate(words)}
    kept = len(tokenizer.encode(_words(prompt))) - prompt.n_ctx  # MaPLe's
    names = []
    for rows in suffix.numpy():
        tokens = [ids.get(row.tobytes()) for row in rows]
        if None in tokens or tokenizer.eot not in tokens:
            raise ValueError(
                f'{path} holds words that {tower.name} does not know: it was '
                'learned for another CLIP. Set model.clip.')
        text = tokenizer.decode(tokens[kept:tokens.index(tokenizer.eot)])
        names.append(text.strip().removesuffix('.').strip())
    return names


def check_names(suffix: torch.Tensor, names: Sequence[str],
                prompt: BasePrompt, tower: TextTower, path: Path) -> None:
    """Check that a file was learned for these class names and this CLIP.

    Args:
        suffix: Its ``token_suffix`` (K, n, D).
        names: Class names.
        prompt: The prompt that was learned.
        tower: Its text tower.
        path: The file, for messages.

    Raises:
        ValueError: It was not; the message names the first class that differs.
    """
    own = make_buffers(names, prompt, tower, suffix.dtype)['token_suffix']
    if own.shape == suffix.shape and torch.equal(own, suffix):
        return
    told = decode_names(suffix, prompt, tower, path)
    for k, (name, other) in enumerate(zip(names, told)):
        if not torch.equal(own[k], suffix[k]):
            raise ValueError(
                f'{path} was learned for other class names: class {k} is '
                f'{other!r} there, {name!r} here. Give the {len(told)} names '
                'in the order of their labels.')
    raise ValueError(f'{path} was learned for {len(told)} classes, and there '
                     f'are {len(names)} names.')


def _words(prompt: BasePrompt) -> str:
    """What stands in the place of the context, and is tokenized."""
    # of MaPLe the last ones are kept; elsewhere all are replaced
    kept = getattr(prompt, 'ctx_init', None) if hasattr(
        prompt, 'deep_ctx') else None
    return kept or ' '.join('X' * prompt.n_ctx)
