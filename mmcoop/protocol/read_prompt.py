"""What a learned context says: its nearest words, and what it is like.

The paper reads a context by the vocabulary (its Table 4), and warns that words
near a vector need not say what it means. The published tool always takes
RN50's words; here they are those of the text tower that the context was
learned for, and class-specific contexts are read too.
"""
import difflib
from typing import List, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from ..engine.method_name import name_method
from ..heads import PromptLearnerHead, read_record
from ..heads.record import KEY
from ..prompts import ContextPrompt
from ..prompts.nearest_words import nearest_words
from ..registry import MODELS
from ..safe_load import check_is_safe

PHRASE = 'a photo of a'
SHOWN = 3  # classes of a class-specific context, if none are asked for


@torch.no_grad()
def phrase_similarity(head: PromptLearnerHead,
                      phrases: Sequence[str] = (PHRASE, )) -> List[dict]:
    """How like a phrase the learned context is, for the text tower.

    The phrase takes the context's place (also around the class name, if that
    stands in the middle) in the prompts of all classes. Compared are the
    class features of these prompts and of the learned ones, which classify:
    a context without any word-like vector may well act like a phrase.

    Args:
        head: A head with a learned context and class names. A context that
            is shifted for each image has no class features of its own.
        phrases: Such as "a photo of a".

    Returns:
        For each phrase (none if the prompt sees images): ``phrase``;
        ``mean``, ``min`` and ``max`` over the classes of the cosine between
        the two class features; ``min_class`` and ``max_class``, the names of
        the classes at these ends.

    Raises:
        ValueError: A phrase without words, or too long for a class.
    """
    if head.prompt.sees_images:
        return []
    learned, rows = head.text_features(), []
    for phrase in phrases:
        prompt = ContextPrompt(
            n_ctx=len(head.text_tower.tokenizer.encode(phrase)),
            class_token_position=getattr(
                head.prompt, 'class_token_position', 'end'),
            ctx_init=phrase)
        written = PromptLearnerHead(
            prompt=prompt,
            text_tower=head.text_tower,
            classes=head.class_names)
        cosines = (learned * written.text_features()).sum(-1)
        if cosines.ndim == 2:  # of several contexts
            cosines = cosines.mean(0)  # (K, )
        rows.append(dict(
            phrase=phrase,
            mean=cosines.mean().item(),
            min=cosines.min().item(),
            min_class=head.class_names[int(cosines.argmin())],
            max=cosines.max().item(),
            max_class=head.class_names[int(cosines.argmax())]))
    return rows


def read_prompt(cfg: Config,
                checkpoint: str,
                top: int = 1,
                classes: Optional[Sequence[str]] = None,
                phrases: Sequence[str] = (PHRASE, )) -> dict:
    """Read the context in a checkpoint. No images are needed.

    Args:
        cfg: The resolved config of the run; its CLIP is loaded.
        checkpoint: Path of the checkpoint.
        top: Words for each vector.
        classes: Of a class-specific context, the classes to read; None takes
            the first three.
        phrases: Of :func:`phrase_similarity`.

    Returns:
        Plain values: ``clip``, ``method``, ``prompt`` (its settings),
        ``num_classes``, ``contexts`` (for each context ``class_name``, None
        if it is for all, ``number``, None if there is one, and ``vectors``:
        lists of ``word``, ``token``, ``distance``) and ``phrases``.

    Raises:
        ValueError: The config learns no context, the checkpoint holds none
            or another one, or an unknown class.
    """
    prompt = cfg.model.get('head', {}).get('prompt', {})
    if not prompt or not MODELS.get(prompt['type']).learned \
            or prompt.get('n_ctx') == 0:
        raise ValueError(
            'this config learns no context that can be read: take the config '
            'that lies beside the checkpoint.')
    record = _record_of(checkpoint)
    names, shown = record['classes'], [None]
    if record['prompt'].get('class_specific'):
        shown = list(range(len(names)))[:SHOWN] if classes is None \
            else find_classes(names, classes)
    elif classes is not None:
        raise ValueError('this context is one for all classes: it cannot be '
                         f'read for {", ".join(classes)} alone.')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    load_checkpoint(model, checkpoint, map_location='cpu')
    head = model.eval().head
    ctx, n_prompts = head.prompt.ctx, getattr(head.prompt, 'n_prompts', 1)
    contexts = ctx if n_prompts > 1 else ctx[None]
    return dict(
        clip=head.text_tower.name,
        method=name_method(cfg, model),
        prompt=head.prompt.settings(),
        num_classes=len(head.class_names),
        contexts=[
            dict(class_name=None if k is None else names[k],
                 number=number if n_prompts > 1 else None,
                 vectors=[[word._asdict() for word in near]
                          for near in nearest_words(
                              head.text_tower,
                              one if k is None else one[k], top)])
            for k in shown for number, one in enumerate(contexts, 1)
        ],
        phrases=phrase_similarity(head, phrases))


def _record_of(checkpoint: str) -> dict:
    """What a checkpoint says of its prompt and its classes."""
    content = check_is_safe(checkpoint)
    state = content.get('state_dict', content) \
        if isinstance(content, dict) else None
    record = state.get(f'head.{KEY}') if isinstance(state, dict) else None
    if record is None:
        raise ValueError(f'{checkpoint} holds no record of its prompt and '
                         'class names: mmcoop did not make it.')
    return read_record(record)


def find_classes(names: Sequence[str], wanted: Sequence[str]) -> List[int]:
    """Labels of classes by their names, where ``_`` is a space.

    Raises:
        ValueError: An unknown class; the message names those most like it.
    """
    plain = [name.replace('_', ' ') for name in names]
    found = []
    for name in wanted:
        labels = [k for k, other in enumerate(plain)
                  if other == name.replace('_', ' ')]
        if not labels:
            folded = {other.lower(): other for other in plain}
            like = difflib.get_close_matches(
                name.replace('_', ' ').lower(), folded, cutoff=0.4)
            raise ValueError(
                f'there is no class {name!r}: '
                + (f'did you mean {", ".join(folded[n] for n in like)}?'
                   if like else f'there are {", ".join(plain[:5])}'
                   + (', ...' if len(plain) > 5 else '.')))
        found += labels
    return found


def as_tables(report: dict) -> str:
    """What :func:`read_prompt` gives, for people: as the paper's Table 4."""
    parts = []
    for context in report['contexts']:
        rows = [['#'] + ['word', 'distance'] * len(context['vectors'][0])]
        for m, near in enumerate(context['vectors'], 1):
            rows.append([str(m)] + [text for word in near for text in (
                word['word'], f'{word["distance"]:.4f}')])
        name = context['class_name'] or f'all {report["num_classes"]} classes'
        number = context['number']
        parts.append(f'Context {number} of {name}' if number else
                     f'Context of {name}')
        parts += [columns(rows), '']
    if not report['phrases']:
        return '\n'.join(parts)
    rows = [['class features against', 'mean', 'min', '', 'max', '']]
    rows += [[f'"{row["phrase"]}"', f'{row["mean"]:.4f}',
              f'{row["min"]:.4f}', row['min_class'],
              f'{row["max"]:.4f}', row['max_class']]
             for row in report['phrases']]
    return '\n'.join([*parts, columns(rows)])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words, one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths))
        .rstrip() for row in rows)
