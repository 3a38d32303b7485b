"""What the paper compares, by name: which tool, config and options run it."""
import re
from dataclasses import dataclass, field
from typing import Dict, List

COOP = 'configs/coop/coop_vit-b16_16shot_imagenet.py'
WORDS = 'a photo of a'
BACKBONES = ('RN50', 'RN101', 'ViT-B-32', 'ViT-B-16')  # of the paper
# learned by tools/train.py, each from a config of its own
ADAPTATIONS = ('finetune', 'text-transform', 'text-bias', 'linear-head')
COOP_NAME = re.compile(r'coop-m(\d+)-(end|middle|front)(-csc)?(-words)?')


@dataclass(frozen=True)
class Method:
    """How a method is run.

    Attributes:
        tool: ``train``, ``test`` or ``linear_probe``: tools/<tool>.py.
        config: The config, relative to the repository.
        options: Its ``--cfg-options``.
    """
    tool: str
    config: str = COOP
    options: Dict[str, object] = field(default_factory=dict)

    @property
    def learns(self) -> bool:
        return self.tool != 'test'


def find_method(name: str) -> Method:
    """The method of a name.

    ``coop-m16-end``: CoOp with M = 16, class token position end; ``-csc``:
    class-specific; ``-words``: from "a photo of a" (M = 4).
    ``zeroshot-own``: the data set's template; others as ``templates`` of
    :class:`mmcoop.TemplatePrompt` names them. ``linear-probe``: logistic
    regression. ``finetune``, ``text-transform``, ``text-bias``,
    ``linear-head``: configs/adaptations.

    Raises:
        ValueError: An unknown name.
    """
    if name.startswith('zeroshot-') and name != 'zeroshot-':
        return Method('test', options={'templates': name[len('zeroshot-'):]})
    if name == 'linear-probe':
        return Method('linear_probe')
    if name in ADAPTATIONS:
        file = name.replace('-', '_')
        return Method('train', f'configs/adaptations/{file}_rn50_imagenet.py')
    match = COOP_NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f'unknown method {name!r}: there are coop-m<M>-<end, middle or '
            'front>[-csc][-words] (coop-m16-end), zeroshot-<templates> '
            '(zeroshot-own, zeroshot-ensemble7), linear-probe, '
            f'{", ".join(ADAPTATIONS)}.')
    n_ctx, position, csc, words = match.groups()
    if words and n_ctx != '4':
        raise ValueError(f'{name}: "{WORDS}" is 4 context vectors, not '
                         f'{n_ctx}: coop-m4-{position}{csc or ""}-words.')
    options: Dict[str, object] = {'model.head.prompt.n_ctx': int(n_ctx)}
    if position != 'end':
        options['model.head.prompt.class_token_position'] = position
    if csc:
        options['model.head.prompt.class_specific'] = True
    if words:
        options['model.head.prompt.ctx_init'] = WORDS
    return Method('train', options=options)


def in_order(names: List[str]) -> List[str]:
    """Zero-shot first, then probes, adaptations and CoOp; else as given."""
    def rank(name: str) -> int:
        kinds = ('zeroshot', 'linear', 'finetune', 'text')
        return next((i for i, kind in enumerate(kinds)
                     if name.startswith(kind)), len(kinds))
    return sorted(dict.fromkeys(names), key=rank)
