"""Base and new classes of base-to-new generalisation."""
from typing import List, Sequence, Union

from mmengine.dataset import BaseDataset as MMEngineDataset

from ..registry import DATASETS
from .derived import DerivedDataset, build_dataset, get_labels, get_type_name

PARTS = ('base', 'new')


@DATASETS.register_module()
class ClassSubset(DerivedDataset):
    """The images of some classes of another data set, labelled from 0.

    Wrap it around a :class:`FewShotDataset`, not the other way round: the
    published code draws from all classes first.

    Args:
        dataset: The other data set or its config. It must have class names.
        classes: ``base`` (the first half of the classes, rounded up), ``new``
            (the rest) or a list of class names.
        **kwargs: Arguments of :class:`DerivedDataset`, such as ``pipeline``.

    Raises:
        ValueError: If there are no class names, if classes are unknown, or if
            none is left.
    """

    def __init__(self, dataset: Union[dict, MMEngineDataset],
                 classes: Union[str, Sequence[str]], **kwargs) -> None:
        if isinstance(classes, str) and classes not in PARTS:
            raise ValueError(f'classes={classes!r}: choose from '
                             f'{", ".join(PARTS)}, or give a list of names.')
        self.part = classes
        self.shots = None  # that of a FewShotDataset inside, once loaded
        super().__init__(dataset, **kwargs)

    def load_data_list(self) -> List[dict]:
        source = build_dataset(self._source)
        names = source.metainfo.get('classes')
        if names is None:
            raise ValueError(f'{get_type_name(self._source)} has no class '
                             'names (metainfo classes): classes cannot be '
                             'chosen.')
        kept = select_classes(names, self.part)
        self.seed = getattr(source, 'seed', self.seed)
        self.shots = getattr(source, 'shots', None)
        self._metainfo = {**source.metainfo, **self._metainfo,
                          'classes': tuple(names[label] for label in kept),
                          'class_subset': self.part}
        new_labels = {label: i for i, label in enumerate(kept)}
        return [
            dict(source.get_data_info(i), gt_label=new_labels[label])
            for i, label in enumerate(get_labels(source))
            if label in new_labels
        ]

    def extra_repr(self) -> List[str]:
        return [f'Classes: \t{self.part}',
                f'Of: \t{get_type_name(self._source)}']


def select_classes(names: Sequence[str],
                   part: Union[str, Sequence[str]]) -> List[int]:
    """Return the labels of ``base``, ``new`` or named classes, ascending."""
    labels = list(range(len(names)))
    half = (len(names) + 1) // 2
    if part in PARTS:
        kept = labels[:half] if part == 'base' else labels[half:]
    else:
        unknown = set(part) - set(names)
        if unknown:
            raise ValueError(f'there are no classes {sorted(unknown)}; there '
                             f'are {", ".join(names[:10])}, ...')
        kept = [label for label in labels if names[label] in part]
    if not kept:
        raise ValueError(f'{len(names)} classes: none left for {part!r}.')
    return kept
