"""Base class of prompts, and helpers to build prompt sets from tokens."""
import logging
from collections import Counter
from typing import List, Optional, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule

from ..clip import Architecture, EndingLayout, ImageTower, PromptSet, TextTower


class BasePrompt(BaseModule):
    """Base class of prompts, which turn class names into prompt sets.

    Subclasses implement :meth:`set_classes` and :meth:`forward`, and override
    other methods as they need.

    Attributes:
        class_names: Class names as given; empty before :meth:`set_classes`.
        learned: Whether the prompt has parameters to learn.
        sees_images: Whether :meth:`forward` takes image features. Its sets
            then have a prefix for each image.
        sees_patches: Whether :meth:`compare` takes features of image patches.
        prompts_images: Whether the prompt has :meth:`visual_prompts`.
        combine: How several prompts of a class are combined: by the mean of
            their ``features`` (L2-normalised, or ``unnormalized``) or of
            their ``logits``.
    """
    learned = True
    sees_images = False
    sees_patches = False
    prompts_images = False
    combine = 'features'

    def __init__(self) -> None:
        super().__init__()
        self.class_names: List[str] = []

    @classmethod
    def why_not_cached(cls) -> Optional[str]:
        """Why image features cannot be cached for the prompt, or None."""
        if cls.prompts_images:
            return 'visual prompts change what the image tower gives as ' \
                'they are learned'
        if cls.sees_patches:
            return 'the local features of an image are 50 to 200 times as ' \
                'large as its pooled feature'
        return None

    def check_architecture(self, clip: Architecture) -> None:
        """Check that a CLIP suits the prompt, before its weights are loaded.

        Raises:
            ValueError: It does not.
        """
        if self.prompts_images:
            clip.check_visual_prompts(depth=1)
        if self.sees_patches:
            clip.check_patches()

    def setup(self, tower: TextTower) -> None:
        """Create parameters that depend on the text tower.

        The head calls it once, before :meth:`set_classes`.
        """

    def setup_image_side(self, tower: ImageTower) -> None:
        """Create the visual prompts.

        The classifier calls it once after :meth:`setup`, if
        ``prompts_images``.
        """

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        """Set the classes; may be called again at any time.

        Args:
            names: Names of the K classes.
            tower: The text tower.

        Raises:
            ValueError: A name is empty, or a prompt has more tokens than the
                tower has positions.
        """
        raise NotImplementedError

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """Return the prompts of all classes.

        Args:
            tower: The text tower.
            image_features: (B, E), L2-normalised, if ``sees_images``.

        Returns:
            Prompt sets. Several sets, or several prefixes in one, are
            several prompts of each class (see ``combine``). With
            ``sees_images`` each set has B prefixes, one for each image.
        """
        raise NotImplementedError

    def visual_prompts(self) -> Optional[torch.Tensor]:
        """Visual prompts (L, V, W) of :meth:`ImageTower.forward`, or None."""
        return None

    def compare(self, image: torch.Tensor, text: torch.Tensor,
                patches: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Return the scores (B, K) of the classes, which are cosines.

        Args:
            image: (B, E), L2-normalised.
            text: (K, E) or, if ``sees_images``, (B, K, E), L2-normalised; with
                one more axis first where logits are combined.
            patches: (B, M, E), L2-normalised, if ``sees_patches``.
        """
        if not self.sees_images:
            cosines = image @ text.mT  # (B, K) or (S, B, K)
        else:
            cosines = (text @ image[..., None]).squeeze(-1)
        return cosines if cosines.ndim == 2 else cosines.mean(0)

    def settings(self) -> dict:
        """Settings that a checkpoint must match, as JSON-able values."""
        return dict(type=type(self).__name__)


def clean_class_names(names: Sequence[str]) -> List[str]:
    """Normalise class names as CoOp does: ``_`` becomes a space.

    Equal names are allowed with a warning (ImageNet has two pairs).

    Raises:
        ValueError: There are no names, or one is empty.
    """
    if isinstance(names, str):
        raise ValueError(f'class names {names!r}: give a list of names.')
    clean = [' '.join(str(name).replace('_', ' ').split()) for name in names]
    if not clean:
        raise ValueError('there are no classes: give at least one name.')
    empty = [i for i, name in enumerate(clean) if not name]
    if empty:
        raise ValueError(f'classes {empty} have empty names; name them.')
    twice = [name for name, count in Counter(clean).items() if count > 1]
    if twice:
        print_log(
            f'class names that stand for several classes: {twice}; text '
            'alone cannot tell these apart.', 'current', logging.WARNING)
    return clean


class WordSlots:
    """A sequence of token ids and context vectors.

    Args:
        slots: Token ids; -1 - j stands for context vector j.
        device: Device of the ids.
    """

    def __init__(self, slots: Sequence[int], device: torch.device) -> None:
        slots = torch.tensor(slots, dtype=torch.long, device=device)
        self.ids = slots.clamp(min=0)  # (n,)
        self.positions = (slots < 0).nonzero().flatten()  # (m,)
        self.vectors = -1 - slots[self.positions]  # (m,)

    def fill(self, tower: TextTower,
             context: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Embed the sequence, (n, D), with context vectors (M, D)."""
        rows = tower.embed(self.ids)
        if not len(self.positions):
            return rows
        vectors = context[self.vectors].to(rows.dtype)
        return rows.index_copy(0, self.positions, vectors)


class PromptSlots:
    """Token sequences of a shared prefix and of every class's ending."""

    def __init__(self, prefix: Sequence[int],
                 endings: Sequence[Sequence[int]],
                 device: torch.device) -> None:
        self.device = device
        self.prefix = WordSlots(prefix, device)
        self.endings = WordSlots([s for row in endings for s in row], device)
        self.layout = EndingLayout([len(row) for row in endings], endings)

    def fill(self, tower: TextTower,
             context: Optional[torch.Tensor] = None) -> PromptSet:
        """Embed a prompt set with context vectors (M, D)."""
        return PromptSet(
            prefix=self.prefix.fill(tower, context)[None],
            endings=self.endings.fill(tower, context),
            layout=self.layout)


def check_lengths(names: Sequence[str], lengths: Sequence[int],
                  tower: TextTower, what: str) -> None:
    """Check that all prompts fit into the text tower.

    Args:
        names: Class names.
        lengths: Number of tokens of each class's prompt.
        tower: The text tower.
        what: What surrounds the name, for the message.

    Raises:
        ValueError: A prompt has more tokens than the tower has positions.
    """
    longest = max(range(len(names)), key=lambda i: lengths[i])
    if lengths[longest] > tower.context_length:
        raise ValueError(
            f'the prompt of class {names[longest]!r} has {lengths[longest]} '
            f'tokens with {what}, and the text tower takes '
            f'{tower.context_length}: shorten the name or the context.')
