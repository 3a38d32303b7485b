"""Base and new classes, as base-to-new generalisation divides them."""
from typing import List, Sequence, Tuple, Union

PARTS = ('base', 'new')
ClassSubset = Union[None, str, Sequence[str]]  # an argument of data sets


def check_class_subset(subset: ClassSubset) -> None:
    """Raises ValueError unless it is None, a part or a list of names."""
    if isinstance(subset, str) and subset not in PARTS:
        raise ValueError(f'class_subset={subset!r}: choose from '
                         f'{", ".join(PARTS)}, or give a list of names.')


def keep_classes(data_list: List[dict], metainfo: dict,
                 subset: ClassSubset) -> Tuple[List[dict], dict]:
    """The images of some classes, labelled from 0.

    Args:
        data_list: Data infos with ``gt_label``.
        metainfo: Of the data set, with ``classes``.
        subset: ``base`` (the first half of the classes, one more if their
            number is odd), ``new`` (the rest), or class names; None keeps all.

    Returns:
        Data infos, and metainfo of the classes that are kept.

    Raises:
        ValueError: Unknown classes, no class names, or none left.
    """
    if subset is None:
        return data_list, metainfo
    names = metainfo.get('classes')
    if names is None:
        raise ValueError('this data set has no class names (metainfo '
                         'classes): classes cannot be chosen.')
    kept = choose_classes(names, subset)
    new = {label: i for i, label in enumerate(kept)}
    metainfo = {**metainfo, 'class_subset': subset,
                **{key: tuple(metainfo[key][label] for label in kept)
                   for key in ('classes', 'class_ids') if metainfo.get(key)}}
    return [dict(info, gt_label=new[info['gt_label']]) for info in data_list
            if info['gt_label'] in new], metainfo


def choose_classes(names: Sequence[str],
                   subset: Union[str, Sequence[str]]) -> List[int]:
    """Labels of a part of the classes, in the order of the labels."""
    labels = range(len(names))
    half = -(-len(names) // 2)
    if isinstance(subset, str):
        kept = labels[:half] if subset == 'base' else labels[half:]
    else:
        unknown = set(subset) - set(names)
        if unknown:
            raise ValueError(f'there are no classes {sorted(unknown)}; there '
                             f'are {", ".join(names[:10])}, ...')
        kept = [label for label in labels if names[label] in set(subset)]
    if not len(kept):
        raise ValueError(f'{len(names)} classes: none left for {subset!r}.')
    return list(kept)
