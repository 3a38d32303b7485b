"""What the checkpoint of a head says of itself, and must agree on.

A record travels in the state dict as one uint8 tensor of JSON: mmengine keeps
tensors only, and a record loads under ``weights_only=True`` everywhere that
the learned tensors do (Runner, EMA, ``get_model``, plain torch).
"""
import json
from typing import List, Optional, Sequence

import torch
from mmpretrain.models.heads import ClsHead

KEY = 'record'
FORMAT = 1


class RecordedHead(ClsHead):
    """A head whose checkpoints hold a record beside the learned tensors.

    Subclasses say what is in it and check what they read.

    Attributes:
        tower_kind: The tower that it was learned for: ``text`` or ``image``.
        temperature: What logits are divided by where probabilities are told
            to people; None: not fitted. Training and metrics do without.
    """
    tower_kind = 'text'
    temperature: Optional[float] = None

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._register_state_dict_hook(_save_record)
        self._register_load_state_dict_pre_hook(_load_record, with_module=True)

    def make_record(self) -> dict:
        """What a checkpoint tells: ``tower`` (a name), ``tower_fingerprint``,
        ``classes`` and more, as JSON-able values."""
        raise NotImplementedError

    def check_record(self, record: dict, learned: List[str]) -> None:
        """Refuse what does not fit; take class names if none are set.

        Args:
            record: What :meth:`make_record` gave when it was saved.
            learned: Names of what this head learns.

        Raises:
            ValueError: It was learned for another tower, other classes, ...
        """
        own = self.make_record()
        if learned and record['tower_fingerprint'] != own['tower_fingerprint']:
            raise ValueError(
                f'this checkpoint was learned for the {self.tower_kind} tower '
                f'of {record["tower"]} ({record["tower_fingerprint"]}); the '
                f'model has {own["tower"]} ({own["tower_fingerprint"]}). Set '
                "model.clip as in the run's own config, which lies in its "
                'work directory.')


def read_record(tensor: torch.Tensor) -> dict:
    """The record in a state dict's uint8 tensor.

    Raises:
        ValueError: There is none in it, or it is of a later version.
    """
    try:
        if tensor.dtype != torch.uint8 or tensor.ndim != 1:
            raise ValueError('it is no text')
        record = json.loads(bytes(tensor.cpu().tolist()))
        later = record['format'] > FORMAT
    except (ValueError, LookupError, TypeError, AttributeError,
            RecursionError) as error:
        raise damaged_record(error) from error
    if later:
        raise ValueError(
            f'this checkpoint has format {record["format"]}, this mmcoop '
            f'reads up to {FORMAT}: update mmcoop.')
    return record


def check_prompt(record: dict, own: dict, learned: List[str],
                 learns: bool) -> None:
    """Refuse another kind of prompt, or one with other settings.

    Args:
        record: What the head had when it was saved.
        own: What it has now.
        learned: Names of what the head learns.
        learns: Whether its prompt does.

    Raises:
        ValueError: They differ in what changes the meaning of learned values.
    """
    prompt, own_prompt = record.get('prompt'), own['prompt']
    if prompt is None:
        raise ValueError('this checkpoint holds a head without prompts '
                         f'({record.get("head")}): take the config of '
                         'the run.')
    if prompt['type'] != own_prompt['type'] and not learned:
        raise ValueError(
            f'this checkpoint holds a learned prompt ({prompt["type"]}), '
            'and the config has hand-written prompts: give no checkpoint, '
            'or take the config of the run.')
    for name, value in own_prompt.items():
        # templates may be another data set's own
        if prompt.get(name) != value and learns:
            raise ValueError(
                f'this prompt was learned with {name}='
                f'{prompt.get(name)!r}, the config says {value!r}: '
                f'set model.head.prompt.{name} as it was.')
    if record.get('tower_adapter') != own['tower_adapter']:
        raise ValueError(
            'this checkpoint was learned with tower_adapter='
            f'{record.get("tower_adapter")}, the config says '
            f'{own["tower_adapter"]}: set model.tower_adapter as it was.')


def damaged_record(error: Exception) -> ValueError:
    """What to raise where a record has not the fields that it should."""
    return ValueError(
        'the record of this checkpoint, of its prompt, tower and classes, is '
        f'damaged ({type(error).__name__}: {error}): take another copy of it.')


def shorten(names: Sequence[str], what: str = ' classes') -> str:
    """Class names for a message: how many, and the first three."""
    return f'{len(names)}{what} ({", ".join(names[:3])}, ...)'


def _save_record(head: RecordedHead, state_dict: dict, prefix: str,
                 local_metadata: dict) -> None:
    raw = json.dumps(dict(format=FORMAT, **head.make_record())).encode()
    state_dict[prefix + KEY] = torch.frombuffer(
        bytearray(raw), dtype=torch.uint8)


def _load_record(head: RecordedHead, state_dict: dict, prefix: str,
                 *args) -> None:
    raw: Optional[torch.Tensor] = state_dict.pop(prefix + KEY, None)
    # not by requires_grad: an average of weights (EMA) has none
    learned = [f'{prefix}{name}' for name, _ in head.named_parameters()
               if not name.startswith('text_tower.')]
    if raw is None:
        if learned and not any(key in state_dict for key in learned):
            raise ValueError(
                'this checkpoint holds no learned prompt or head '
                f'({", ".join(learned)} is missing): mmcoop did not make it.')
        return
    record = read_record(raw)
    try:
        head.check_record(record, learned)
    except (LookupError, TypeError, AttributeError) as error:
        raise damaged_record(error) from error
