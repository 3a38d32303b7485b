"""The learned context of a checkpoint, as class features for other heads."""
import os

import torch.nn as nn

from ..checkpoints import find_last_checkpoint
from ..clip import TextTower
from ..prompts import ContextPrompt
from ..registry import MODELS
from ..safe_load import check_is_safe
from .record import KEY, read_record

PREFIX = 'head.'


@MODELS.register_module()
class SavedPrompt(ContextPrompt):
    """A context that was learned before, such as CoOp's; it is frozen.

    Args:
        checkpoint: A checkpoint of mmcoop, or the folder of a run: its last.

    Raises:
        ValueError: The checkpoint holds no context that serves all images, or
            was learned for another text tower (:meth:`setup`).
    """
    learned = False

    def __init__(self, checkpoint: str) -> None:
        if os.path.isdir(checkpoint):
            found = find_last_checkpoint(checkpoint)
            if found is None:
                raise ValueError(f'there is no checkpoint in {checkpoint} '
                                 '(model.head.prompt.checkpoint).')
            checkpoint = found
        if not os.path.isfile(checkpoint):
            raise ValueError(f'there is no checkpoint {checkpoint} '
                             '(model.head.prompt.checkpoint).')
        content = check_is_safe(checkpoint)
        state = content.get('state_dict', content) \
            if isinstance(content, dict) else {}
        try:
            record = read_record(state[PREFIX + KEY]) \
                if PREFIX + KEY in state else {}
            settings = dict(record.get('prompt') or {})
            # that of a head which was fitted on a saved context holds it too
            if settings.pop('type', None) not in ('ContextPrompt',
                                                  'SavedPrompt'):
                raise ValueError(
                    'it holds no context of CoOp, KgCoOp or ProGrad, whose '
                    'class features are the same for all images')
            super().__init__(**settings)
            self.checkpoint = checkpoint
            self.saved = state[f'{PREFIX}prompt.ctx']
            self.fingerprint = record['tower_fingerprint']
            self.tower = record['tower']
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f'{checkpoint} (model.head.prompt.checkpoint): '
                             f'{error}') from error

    def setup(self, tower: TextTower) -> None:
        if tower.fingerprint() != self.fingerprint:
            raise ValueError(
                f'{self.checkpoint} was learned for the text tower of '
                f'{self.tower}, the model has {tower.name}: set '
                "model.clip as in that run's config.")
        super().setup(tower)
        self.ctx = nn.Parameter(self.saved, requires_grad=False)
