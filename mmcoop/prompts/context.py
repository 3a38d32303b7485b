"""Learned context of CoOp (Zhou et al., IJCV 2022, arXiv 2109.01134)."""
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
        n_ctx: Number of context vectors M. ``ctx_init`` overrides it.
        class_token_position: Position of the class name: ``end`` (after the
            context), ``middle`` (between its halves) or ``front``.
        class_specific: Whether each class has a context of its own.
        ctx_init: Words ("a photo of a") whose token embeddings initialise
            the context, one vector per token. None: random vectors.
        n_prompts: Number S of contexts; each gives a prompt for every class.
        combine: Whether the S prompts of a class are combined by the mean of
            their ``features`` or of their ``logits``.

    Attributes:
        ctx: Parameter (M, D), or (K, M, D) when class-specific, where K is 0
            until the classes are set. With several contexts (S, M, D) or
            (S, K, M, D).

    Raises:
        ValueError: An argument is invalid; :meth:`setup` raises it where the
            context does not fit into the text tower.
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
        if ctx_init is not None and '{' in str(ctx_init):
            raise ValueError(
                f'ctx_init={ctx_init!r}: give the words that are learned, '
                'ctx_init="a photo of a"; class names follow by themselves.')
        numbers = dict(n_ctx=1 if ctx_init else n_ctx, n_prompts=n_prompts)
        for key, value in numbers.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f'{key}={value}: a whole number of at least 1 is needed '
                    f'(model.head.prompt.{key}).')
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
        tokenizer = tower.tokenizer  # a name has one token at least
        if self.n_ctx + len(tokenizer.begin) + 1 + len(tokenizer.end) \
                > tower.context_length:
            raise ValueError(
                f'n_ctx={self.n_ctx} leaves no room for a class name in '
                f'{tower.context_length} positions.')
        if self.class_specific and not self.ctx_init:
            # an extra draw of version 0.1: keeps the start of each seed
            torch.empty(self.n_ctx, tower.width).normal_()
        self.ctx = nn.Parameter(self._initial(0, self.n_ctx, tower.width))

    def _initial(self, K: int, *shape: int) -> torch.Tensor:
        """Initial context; K counts if it is class-specific."""
        if self.class_specific:
            shape = (K, *shape)
        if self.n_prompts > 1:
            shape = (self.n_prompts, *shape)
        if self.ctx_init:
            return self.words.float().expand(*shape).clone()
        return torch.empty(shape).normal_(std=0.02)

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        """Set the classes; a unified context is kept.

        Raises:
            ValueError: As in :meth:`BasePrompt.set_classes`, or a
                class-specific context exists for another number of classes.
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
        n_before = len(tokenizer.encode(placeholder))
        endings: List[List[int]] = []
        for k, name in enumerate(names):
            # sliced from the whole sentence: BPE merges the last characters
            # of "kite (bird of prey)." into one token
            after = tokenizer.encode(f'{placeholder} {name}.')[n_before:] \
                + tokenizer.end
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
        begin = tokenizer.begin
        check_lengths(names, [len(begin + row) for row in endings], tower,
                      f'{M} context vectors')
        n_shared = 0 if self.class_specific else dict(
            end=M, middle=half, front=0)[self.class_token_position]
        return PromptSlots(
            prefix=begin + endings[0][:n_shared],
            endings=[row[n_shared:] for row in endings],
            device=device)

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """Return one prompt set with a prefix for each context.

        Where endings hold context vectors too, each context has its own set.
        """
        if self.slots.device != self.ctx.device:
            self.set_classes(self.class_names, tower)
        if self.n_prompts == 1:
            return [self.slots.fill(tower, self.ctx.flatten(0, -2))]
        sets = [self.slots.fill(tower, ctx.flatten(0, -2)) for ctx in self.ctx]
        if len(self.slots.endings.positions):
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
