"""Hand-written prompts: zero-shot CLIP and its ensembles."""
from os.path import commonprefix
from typing import List, Optional, Sequence, Union

import torch

from ..clip import PromptSet, TextTower
from ..registry import MODELS
from .base import BasePrompt, PromptSlots, check_lengths, clean_class_names

GENERIC = 'a photo of a {}.'
TEMPLATE_SETS = {
    'name': ['{}'],
    'generic': [GENERIC],
    # selected by CLIP's authors for ImageNet
    'ensemble7': [
        'itap of a {}.', 'a bad photo of the {}.', 'a origami {}.',
        'a photo of the large {}.', 'a {} in a video game.',
        'art of the {}.', 'a photo of the small {}.'
    ],
}


@MODELS.register_module()
class TemplatePrompt(BasePrompt):
    """Hand-written prompts, as in zero-shot CLIP (arXiv 2103.00020).

    Args:
        templates: One or several templates ("a photo of a {}."), or names of
            templates joined by +, such as ``ensemble7+own``: ``name`` (the
            class name alone), ``generic`` ("a photo of a {}."), ``own`` (the
            data set's), ``ensemble7`` and ``ensemble80`` (CLIP's for
            ImageNet), ``ensemble60`` (the first 60 of these, as PromptSRC
            takes them). The head averages the features of several templates.
        own: The data set's template; ``'${template}'`` in a config.
        combine: How several templates are averaged: ``features``
            (L2-normalised) or ``unnormalized``.

    Attributes:
        texts: The templates, each with ``{}`` for the class name.

    Raises:
        ValueError: A template lacks exactly one ``{}``, a name is unknown, or
            the data set has no template of its own.
    """
    learned = False

    def __init__(self,
                 templates: Union[str, Sequence[str]] = GENERIC,
                 own: Optional[str] = None,
                 combine: str = 'features') -> None:
        super().__init__()
        if combine not in ('features', 'unnormalized'):
            raise ValueError(f"combine={combine!r}: choose 'features' or "
                             "'unnormalized'.")
        self.combine = combine
        self.templates = templates
        self.texts = expand_templates(templates, own)
        bad = [t for t in self.texts if t.count('{}') != 1]
        if bad or not self.texts:
            raise ValueError(
                f'templates={templates!r}: every template needs exactly one '
                '{} for the class name, and one template at least.')
        self.slots: List[PromptSlots] = []

    def set_classes(self, names: Sequence[str], tower: TextTower) -> None:
        clean = clean_class_names(names)
        device = tower.positional_embedding.device
        slots = []
        for template in self.texts:
            rows = [
                tower.tokenizer.encode(
                    template.replace('{}', name), special_tokens=True)
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

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """Return one prompt set for each template."""
        if self.slots[0].device != tower.positional_embedding.device:
            self.set_classes(self.class_names, tower)
        return [slots.fill(tower) for slots in self.slots]

    def settings(self) -> dict:
        return dict(super().settings(), templates=self.texts)


def expand_templates(templates: Union[str, Sequence[str]],
                     own: Optional[str] = None) -> List[str]:
    """Replace names of templates by the templates that they stand for.

    Args:
        templates: As in :class:`TemplatePrompt`.
        own: The data set's template.

    Raises:
        ValueError: A name is unknown, or ``own`` is needed and missing.
    """
    if not isinstance(templates, str):
        return list(templates)
    if '{' in templates or ' ' in templates:
        return [templates]
    sets = dict(TEMPLATE_SETS, ensemble80=None, ensemble60=None, own=[own])
    names = templates.split('+')
    if {'ensemble80', 'ensemble60'} & set(names):
        from open_clip import OPENAI_IMAGENET_TEMPLATES
        sets['ensemble80'] = [t('{}') for t in OPENAI_IMAGENET_TEMPLATES]
        sets['ensemble60'] = sets['ensemble80'][:60]
    unknown = [name for name in names if name not in sets]
    if unknown:
        raise ValueError(
            f'templates={templates!r}: {", ".join(unknown)} is unknown; '
            f'choose from {", ".join(sets)} (several joined by +), or write '
            'a template with {} for the class name.')
    if 'own' in names and own is None:
        raise ValueError(
            f"templates={templates!r}: this data set has no template of its "
            "own; set template='a photo of a {}.' in the config, say.")
    return [template for name in names for template in sets[name]]
