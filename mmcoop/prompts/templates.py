"""Hand-written prompts: zero-shot CLIP and its ensembles."""
from os.path import commonprefix
from typing import List, Sequence, Union

from ..clip import PromptSet, TextTower
from ..registry import MODELS
from .base import BasePrompt, PromptSlots, check_lengths, clean_class_names


@MODELS.register_module()
class TemplatePrompt(BasePrompt):
    """Class names in templates; nothing is learned.

    Args:
        templates: One template or several ("a photo of a {}."). The head
            averages the features of several (a prompt ensemble).

    Raises:
        ValueError: A template without exactly one ``{}``.
    """

    def __init__(self,
                 templates: Union[str, Sequence[str]] = 'a photo of a {}.'
                 ) -> None:
        super().__init__()
        self.templates = [templates] if isinstance(templates, str) \
            else list(templates)
        bad = [t for t in self.templates if t.count('{}') != 1]
        if bad or not self.templates:
            raise ValueError(
                f'templates={templates!r}: every template needs exactly one '
                '{} for the class name, and one template at least.')
        self.slots: List[PromptSlots] = []

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        clean = clean_class_names(names)
        device = tower.positional_embedding.device
        slots = []
        for template in self.templates:
            rows = [
                tower.tokenizer.sentence(template.replace('{}', name))
                for name in clean
            ]
            check_lengths(clean, [len(row) for row in rows], tower,
                          f'the template {template!r}')
            # an ending must keep at least its EOT, also for a single class
            n_shared = min(len(commonprefix(rows)),
                           min(len(row) for row in rows) - 1)
            slots.append(
                PromptSlots(rows[0][:n_shared],
                            [row[n_shared:] for row in rows], device))
        self.class_names = list(names)
        self.slots = slots

    def forward(self, tower: TextTower) -> List[PromptSet]:
        """One prompt set for each template."""
        if self.slots[0].device != tower.positional_embedding.device:
            self.set_classes(self.class_names, tower)
        return [slots.fill(tower) for slots in self.slots]

    def settings(self) -> dict:
        return dict(super().settings(), templates=self.templates)
