"""What every prompt offers, and how it lays out its words."""
import logging
from collections import Counter
from typing import List, Optional, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule

from ..clip import EndingLayout, ImageTower, PromptSet, TextTower


class BasePrompt(BaseModule):
    """Class names to prompt sets.

    A method overrides what it needs. It states what its classes share, and
    never sees the text engine.

    Attributes:
        class_names: The names as given; empty before :meth:`set_classes`.
        learned: Whether there is anything to learn.
        sees_images: Whether :meth:`forward` wants the image features. Its
            sets have a beginning for each image then.
        prompts_images: Whether there are :meth:`visual_prompts`.
        combine: How several prompts of a class are combined: by the mean of
            their ``features``, or of their ``logits``.
    """
    learned = True
    sees_images = False
    prompts_images = False
    combine = 'features'

    def __init__(self) -> None:
        super().__init__()
        self.class_names: List[str] = []

    def setup(self, tower: TextTower) -> None:
        """Create what depends on the text tower; the head calls it once."""

    def setup_image_side(self, tower: ImageTower) -> None:
        """Create what depends on the image tower; the classifier calls it
        once, after :meth:`setup`, if there are visual prompts."""

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        """Take other classes, at any time.

        Raises:
            ValueError: An empty name, or a prompt too long for the tower.
        """
        raise NotImplementedError

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """The prompts of all classes.

        Args:
            tower: The text tower.
            image_features: (B, E), L2-normalised, if ``sees_images``.

        Returns:
            Prompt sets. Several of them, or several beginnings in one, are
            several prompts of each class (``combine``); with ``sees_images``
            each set has B beginnings, one for each image.
        """
        raise NotImplementedError

    def visual_prompts(self) -> Optional[torch.Tensor]:
        """(L, V, W): see :meth:`ImageTower.forward`. None: there are none."""
        return None

    def settings(self) -> dict:
        """What a checkpoint must agree on, as JSON-able values."""
        return dict(type=type(self).__name__)


def clean_class_names(names: Sequence[str]) -> List[str]:
    """Class names as prompts write them: ``_`` is a space.

    Raises:
        ValueError: No names, or an empty one. Equal names are allowed
            (ImageNet has two pairs) but said aloud.
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
    """A row of token ids with places for context vectors among them.

    Args:
        slots: Token ids; -1 - j is the place of context vector j.
    """

    def __init__(self, slots: Sequence[int], device: torch.device) -> None:
        slots = torch.tensor(slots, dtype=torch.long, device=device)
        self.ids = slots.clamp(min=0)  # (n,)
        self.places = (slots < 0).nonzero().flatten()  # (m,)
        self.vectors = -1 - slots[self.places]  # (m,)

    def fill(self, tower: TextTower,
             context: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Embeddings (n, D); ``context`` is (number of vectors, D)."""
        rows = tower.embed(self.ids)
        if not len(self.places):
            return rows
        vectors = context[self.vectors].to(rows.dtype)
        return rows.index_copy(0, self.places, vectors)


class PromptSlots:
    """Word slots of one beginning and of every class's ending."""

    def __init__(self, prefix: Sequence[int],
                 endings: Sequence[Sequence[int]],
                 device: torch.device) -> None:
        self.device = device
        self.prefix = WordSlots(prefix, device)
        self.endings = WordSlots([s for row in endings for s in row], device)
        self.layout = EndingLayout([len(row) for row in endings], endings)

    def fill(self, tower: TextTower,
             context: Optional[torch.Tensor] = None) -> PromptSet:
        return PromptSet(
            prefix=self.prefix.fill(tower, context)[None],
            endings=self.endings.fill(tower, context),
            layout=self.layout)


def check_lengths(names: Sequence[str], lengths: Sequence[int],
                  tower: TextTower, what: str) -> None:
    """Refuse prompts that do not fit, naming the worst class.

    Raises:
        ValueError: A prompt has more tokens than the tower has positions.
    """
    longest = max(range(len(names)), key=lambda i: lengths[i])
    if lengths[longest] > tower.context_length:
        raise ValueError(
            f'the prompt of class {names[longest]!r} has {lengths[longest]} '
            f'tokens with {what}, and the text tower takes '
            f'{tower.context_length}: shorten the name or the context.')
