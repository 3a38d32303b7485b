"""CoOp's learned context (Zhou et al., IJCV 2022, arXiv 2109.01134)."""
import logging
from dataclasses import replace
from typing import List, Optional, Sequence

import torch
import torch.nn as nn
from mmengine.logging import print_log

from ..clip import PromptSet, TextTower
from ..registry import MODELS
from .base import BasePrompt, PromptSlots, check_lengths, clean_class_names

POSITIONS = ('end', 'middle', 'front')


@MODELS.register_module()
class ContextPrompt(BasePrompt):
    """``[SOS] V1 ... VM NAME . [EOT]`` with M learned context vectors.

    Args:
        n_ctx: Number of context vectors M. With ``ctx_init`` the words decide.
        class_token_position: Where the class name stands: ``end`` (after the
            context), ``middle`` (between its halves) or ``front``.
        class_specific: One context for each class instead of one for all.
        ctx_init: Words to begin with ("a photo of a") instead of random
            vectors; every *token* of them is one context vector. With
            ``class_specific`` every class begins with the same words.

        n_prompts: Number S of contexts, each of which makes a prompt of every
            class.
        combine: How the S prompts of a class are combined, by the mean of
            their ``features`` or of their ``logits``.

    Attributes:
        ctx: (M, D), or (K, M, D) when class-specific: K is 0 until the
            classes are known, so that they can come from the data set. With
            several contexts, S of these: (S, M, D) or (S, K, M, D).

    Raises:
        ValueError: Unknown position, no vectors, or a context that does not
            fit into the text tower.
    """

    def __init__(self,
                 n_ctx: int = 16,
                 class_token_position: str = 'end',
                 class_specific: bool = False,
                 ctx_init: Optional[str] = None,
                 n_prompts: int = 1,
                 combine: str = 'features') -> None:
        super().__init__()
        if class_token_position not in POSITIONS:
            raise ValueError(
                f'class_token_position={class_token_position!r} is unknown; '
                f'choose from {", ".join(POSITIONS)}.')
        if ctx_init is not None and not str(ctx_init).strip():
            raise ValueError(f'ctx_init={ctx_init!r} holds no words; None '
                             'starts from random vectors.')
        if ctx_init is None and (not isinstance(n_ctx, int) or n_ctx < 1):
            raise ValueError(
                f'n_ctx={n_ctx}: a whole number of at least 1 is needed '
                '(model.head.prompt.n_ctx).')
        if not isinstance(n_prompts, int) or n_prompts < 1:
            raise ValueError(f'n_prompts={n_prompts}: a whole number of at '
                             'least 1 is needed (model.head.prompt).')
        if combine not in ('features', 'logits'):
            raise ValueError(f"combine={combine!r}: choose 'features' or "
                             "'logits' (model.head.prompt).")
        self.n_prompts = n_prompts
        self.combine = combine
        self.n_ctx = n_ctx
        self.class_token_position = class_token_position
        self.class_specific = class_specific
        self.ctx_init = ctx_init and ctx_init.replace('_', ' ')
        self.slots: Optional[PromptSlots] = None

    def setup(self, tower: TextTower) -> None:
        if self.ctx_init:
            ids = tower.tokenizer.encode(self.ctx_init)
            if self.n_ctx != len(ids):
                print_log(
                    f'ctx_init={self.ctx_init!r} is {len(ids)} tokens, so '
                    f'n_ctx is {len(ids)}, not {self.n_ctx}.', 'current',
                    logging.INFO)
            self.n_ctx = len(ids)
            self.words = tower.embed(torch.tensor(ids)).detach().clone()
        if self.n_ctx + 3 > tower.context_length:  # SOS, one name token, EOT
            raise ValueError(
                f'n_ctx={self.n_ctx} leaves no room for a class name in '
                f'{tower.context_length} positions.')
        if self.class_specific and not self.ctx_init:
            # a draw of earlier versions: seeds go on giving the same start
            torch.empty(self.n_ctx, tower.width).normal_()
        self.ctx = nn.Parameter(self._initial(0, self.n_ctx, tower.width))

    def _initial(self, K: int, *shape: int) -> torch.Tensor:
        """Contexts of K classes, where they are class-specific."""
        if self.class_specific:
            shape = (K, *shape)
        if self.n_prompts > 1:
            shape = (self.n_prompts, *shape)
        if self.ctx_init:
            return self.words.float().expand(*shape).clone()
        return torch.empty(shape).normal_(std=0.02)

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        """Take other classes: a unified context carries over.

        Raises:
            ValueError: As :meth:`BasePrompt.set_classes`; or a class-specific
                context has already been learned for another number of them.
        """
        clean = clean_class_names(names)
        device = self.ctx.device
        slots = self._lay_out(clean, tower, device)
        if self.class_specific and self.ctx.shape[-3] != len(clean):
            if self.ctx.shape[-3]:
                raise ValueError(
                    f'a class-specific context of {self.ctx.shape[-3]} '
                    f'classes cannot serve {len(clean)} classes: each vector '
                    'belongs to the class it was learned for. Use the same '
                    'classes, or a unified context (class_specific=False).')
            # in place: an optimiser may already hold this parameter
            self.ctx.data = self._initial(
                len(clean), self.n_ctx, tower.width).to(device)
        self.class_names = list(names)
        self.slots = slots

    def _lay_out(self, names: List[str], tower: TextTower,
                 device: torch.device) -> PromptSlots:
        M, tokenizer = self.n_ctx, tower.tokenizer
        half = M // 2
        placeholder = ' '.join('X' * M)
        endings: List[List[int]] = []
        for k, name in enumerate(names):
            # whole, then sliced: in "kite (bird of prey)." the BPE makes
            # ")." one token, which then travels with the name
            after = tokenizer.encode(
                f'{placeholder} {name}.', special_tokens=True)[1 + M:]
            n_name = len(tokenizer.encode(name))
            name_ids, tail = after[:n_name], after[n_name:]
            first = k * M if self.class_specific else 0
            ctx = [-1 - j for j in range(first, first + M)]
            parts = {
                'end': ctx + name_ids + tail,
                'middle': ctx[:half] + name_ids + ctx[half:] + tail,
                'front': name_ids + ctx + tail,
            }
            endings.append(parts[self.class_token_position])
        check_lengths(names, [1 + len(row) for row in endings], tower,
                      f'{M} context vectors')
        n_shared = 0 if self.class_specific else {
            'end': M,
            'middle': half,
            'front': 0
        }[self.class_token_position]
        return PromptSlots(
            prefix=[tokenizer.sot] + endings[0][:n_shared],
            endings=[row[n_shared:] for row in endings],
            device=device)

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """One prompt set with a beginning (P, a, D) for each context; sets of
        their own where the endings hold context vectors too."""
        if self.slots.device != self.ctx.device:
            self.set_classes(self.class_names, tower)
        if self.n_prompts == 1:
            return [self.slots.fill(tower, self.ctx.flatten(0, -2))]
        sets = [self.slots.fill(tower, ctx.flatten(0, -2)) for ctx in self.ctx]
        if len(self.slots.endings.places):
            return sets
        return [replace(sets[0], prefix=torch.cat([s.prefix for s in sets]))]

    def settings(self) -> dict:
        settings = dict(
            super().settings(),
            n_ctx=self.n_ctx,
            class_token_position=self.class_token_position,
            class_specific=self.class_specific)
        if self.n_prompts > 1:  # checkpoints of earlier versions have one
            settings.update(n_prompts=self.n_prompts, combine=self.combine)
        return settings
