"""What a prompt's checkpoint says of itself, and what it must agree on.

A record travels in the state dict as one uint8 tensor of JSON: mmengine keeps
tensors only, and a record loads under ``weights_only=True`` everywhere that
the learned tensors do (Runner, EMA, ``get_model``, plain torch).
"""
import json
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .prompt_head import PromptLearnerHead

KEY = 'record'
FORMAT = 1


def save_record(head: 'PromptLearnerHead', state_dict: dict, prefix: str,
                local_metadata: dict) -> None:
    """State dict hook: put the record beside the learned tensors."""
    record = dict(
        format=FORMAT,
        prompt=head.prompt.settings(),
        tower=head.text_tower.name,
        tower_fingerprint=head.text_tower.fingerprint(),
        classes=list(head.class_names))
    raw = bytearray(json.dumps(record).encode())
    state_dict[prefix + KEY] = torch.frombuffer(raw, dtype=torch.uint8)


def read_record(tensor: torch.Tensor) -> dict:
    return json.loads(bytes(tensor.cpu().tolist()))


def load_record(head: 'PromptLearnerHead', state_dict: dict, prefix: str,
                *args) -> None:
    """Load hook: refuse what does not fit, take class names if none are set.

    Raises:
        ValueError: A prompt of another tower, of another kind, or
            class-specific for other classes; or no prompt at all.
    """
    head.forget_features()
    raw = state_dict.pop(prefix + KEY, None)
    # not by requires_grad: an average of weights (EMA) has none
    learned = [f'{prefix}{name}' for name, _ in head.named_parameters()
               if not name.startswith('text_tower.')]
    if raw is None:
        if learned and not any(key in state_dict for key in learned):
            raise ValueError(
                'this checkpoint holds no learned prompt '
                f'({", ".join(learned)} is missing): mmcoop did not make it.')
        return
    record = read_record(raw)
    if record['format'] > FORMAT:
        raise ValueError(
            f'this prompt has format {record["format"]}, this mmcoop reads '
            f'up to {FORMAT}: update mmcoop.')
    fingerprint = head.text_tower.fingerprint()
    if learned and record['tower_fingerprint'] != fingerprint:
        raise ValueError(
            f'this prompt was learned for the text tower of {record["tower"]} '
            f'({record["tower_fingerprint"]}); the model has '
            f'{head.text_tower.name} ({fingerprint}). Set model.clip as in '
            "the run's own config, which lies in its work directory.")
    if record['prompt'].get('type') == 'ContextPrompt' and not learned:
        raise ValueError(
            'this checkpoint holds a learned context, and the config has '
            'hand-written prompts: leave `templates` away, or give no '
            'checkpoint.')
    for name, value in head.prompt.settings().items():
        if record['prompt'].get(name) != value:
            raise ValueError(
                f'this prompt was learned with {name}='
                f'{record["prompt"].get(name)!r}, the config says {value!r}: '
                f'set model.head.prompt.{name} as it was.')
    _match_classes(head, record['classes'])


def _match_classes(head: 'PromptLearnerHead', classes: list) -> None:
    if not head.class_names:
        if classes:
            head.set_classes(classes)
    elif list(head.class_names) != classes and \
            getattr(head.prompt, 'class_specific', False):
        raise ValueError(
            f'this class-specific prompt was learned for {len(classes)} '
            f'classes ({", ".join(classes[:3])}, ...), the data set has '
            f'{len(head.class_names)} ({", ".join(head.class_names[:3])}, '
            '...): each vector belongs to the class it was learned for.')
