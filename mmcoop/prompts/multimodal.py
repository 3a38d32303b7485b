"""Prompts in both towers and in deeper layers: MaPLe, IVLP and VPT."""
import copy
from dataclasses import replace
from typing import List, Optional, Sequence

import torch
import torch.nn as nn

from ..clip import Architecture, ImageTower, PromptSet, TextTower
from ..registry import MODELS
from .base import BasePrompt, PromptSlots, check_lengths, clean_class_names


@MODELS.register_module()
class MultiModalPrompt(BasePrompt):
    """Learned vectors in both towers, in their first layers.

    - coupled: MaPLe (Khattak et al., CVPR 2023, arXiv 2210.03117). The visual
      prompt of a layer is a Linear of the text prompt of that layer.
    - not coupled: independent vision-language prompting (IVLP, same paper).
    - ``n_ctx=0``: visual prompts only, beside hand-written words (VPT, Jia et
      al., ECCV 2022, arXiv 2203.12119, as in the code of MaPLe).

    The first M words of ``ctx_init`` are learned, the other words are kept, as
    in the published code: with M = 2 and "a photo of a" the prompt is
    ``[SOS] V1 V2 of a NAME . [EOT]``. At the input of text layers 2 to
    ``depth`` other vectors replace V1 ... VM. Visual prompts stand after the
    patches; those of a layer replace those of the layer before. Deep and
    visual prompts are rounded to half precision, as the published code does.

    Args:
        n_ctx: Number of text vectors M; 0 learns no text prompt.
        ctx_init: The words; None starts from random vectors.
        depth: Text layers with vectors of their own; 1: only the first.
        coupled: Whether visual prompts are made of the text prompts.
        n_visual: Number of visual prompts V of a layer, if not coupled.
        visual_depth: Image layers with prompts of their own, if not coupled.

    Attributes:
        ctx: Parameter (M, D); absent without text prompts.
        deep_ctx: Parameter (depth - 1, M, D).
        projections: ``depth`` Linears from D to W, if coupled.
        visual_ctx: Parameter (visual_depth, V, W), if not coupled.

    Raises:
        ValueError: An argument is invalid, or the CLIP has no such layers.
    """
    prompts_images = True

    def __init__(self,
                 n_ctx: int = 2,
                 ctx_init: Optional[str] = 'a photo of a',
                 depth: int = 9,
                 coupled: bool = True,
                 n_visual: Optional[int] = None,
                 visual_depth: Optional[int] = None) -> None:
        super().__init__()
        if coupled and (n_visual, visual_depth) != (None, None):
            raise ValueError(
                'coupled visual prompts are as many and as deep as the text '
                'prompts: set coupled=False, or leave out n_visual and '
                'visual_depth (model.head.prompt).')
        n_visual = n_ctx if n_visual is None else n_visual
        visual_depth = depth if visual_depth is None else visual_depth
        least = dict(n_ctx=(n_ctx, 1 if coupled else 0), depth=(depth, 1),
                     n_visual=(n_visual, 1), visual_depth=(visual_depth, 1))
        for name, (value, minimum) in least.items():
            if not isinstance(value, int) or value < minimum:
                raise ValueError(
                    f'{name}={value}: a whole number of at least {minimum} is '
                    f'needed (model.head.prompt.{name}).')
        if n_ctx == 0 and not ctx_init:
            raise ValueError('n_ctx=0 learns no text prompt: give the words '
                             'of a hand-written one, ctx_init="a photo of a".')
        self.n_ctx = n_ctx
        self.ctx_init = ctx_init and ctx_init.replace('_', ' ')
        self.depth = depth
        self.coupled = coupled
        self.n_visual = n_visual
        self.visual_depth = visual_depth
        self.slots: Optional[PromptSlots] = None

    def check_architecture(self, clip: Architecture) -> None:
        clip.check_visual_prompts(self.visual_depth)
        if self.n_ctx and self.depth > clip.text_layers:
            raise ValueError(
                f'text prompts in {self.depth} layers, but the text tower has '
                f'{clip.text_layers} (model.head.prompt.depth).')

    def setup(self, tower: TextTower) -> None:
        M, D = self.n_ctx, tower.width
        if M == 0:
            return
        if self.ctx_init:
            ids = tower.tokenizer.encode(self.ctx_init)
            if len(ids) < M:
                raise ValueError(
                    f'ctx_init={self.ctx_init!r} is {len(ids)} tokens, and '
                    f'n_ctx={M} of them are to be learned: give more words, '
                    'or None for random vectors.')
            ctx = tower.embed(torch.tensor(ids[:M])).detach().clone().float()
        else:
            ctx = torch.empty(M, D).normal_(std=0.02)
        self.ctx = nn.Parameter(ctx)
        self.deep_ctx = nn.Parameter(
            torch.empty(self.depth - 1, M, D).normal_(std=0.02))

    def setup_image_side(self, tower: ImageTower) -> None:
        if not self.coupled:
            self.visual_ctx = nn.Parameter(torch.empty(
                self.visual_depth, self.n_visual, tower.width
            ).normal_(std=0.02))
            return
        width = self.ctx.shape[1]
        # the deep ones start as copies of one
        first, deep = (nn.Linear(width, tower.width) for _ in range(2))
        self.projections = nn.ModuleList(
            [first] + [copy.deepcopy(deep) for _ in range(self.depth - 1)])

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        clean, M = clean_class_names(names), self.n_ctx
        words = self.ctx_init or ' '.join('X' * M)
        rows = [tower.tokenizer.encode(f'{words} {name}.', special_tokens=True)
                for name in clean]
        check_lengths(clean, [len(row) for row in rows], tower,
                      f'the words {words!r}')
        learned = [-1 - j for j in range(M)]
        n_words = len(tower.tokenizer.encode(words))
        replaced = M if self.ctx_init else n_words
        a = len(tower.tokenizer.begin)
        rows = [[*row[:a], *learned, *row[a + replaced:]] for row in rows]
        n_shared = a + M + n_words - replaced
        self.slots = PromptSlots(
            rows[0][:n_shared], [row[n_shared:] for row in rows],
            tower.positional_embedding.device)
        self.class_names = list(names)

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """Return one set, with the deep text prompts if there are any."""
        if self.slots.device != tower.positional_embedding.device:
            self.set_classes(self.class_names, tower)
        if self.n_ctx == 0:
            return [self.slots.fill(tower)]
        prompts = self.slots.fill(tower, self.ctx)
        if self.depth > 1:
            deep = round_to_half(self.deep_ctx)[:, None]  # (L, 1, M, D)
            prompts = replace(prompts, deep=deep,
                              deep_start=len(tower.tokenizer.begin))
        return [prompts]

    def visual_prompts(self) -> torch.Tensor:
        if not self.coupled:
            return round_to_half(self.visual_ctx)
        text = [self.ctx, *self.deep_ctx]  # (M, D) each
        return round_to_half(torch.stack([
            project(ctx) for project, ctx in zip(self.projections, text)]))

    def settings(self) -> dict:
        return dict(super().settings(), n_ctx=self.n_ctx, depth=self.depth,
                    words=self.ctx_init, coupled=self.coupled,
                    n_visual=self.n_visual, visual_depth=self.visual_depth)


class _RoundToHalf(torch.autograd.Function):
    """Round values to fp16; gradients pass as they are.

    The published code rounds the gradients of single classes and images, and
    sums them in the precision of the prompts.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        return x.half().to(x.dtype)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> torch.Tensor:
        return grad


round_to_half = _RoundToHalf.apply
