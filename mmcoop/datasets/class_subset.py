"""Base and new classes, as base-to-new generalisation divides them."""
from typing import List, Sequence, Union

from mmengine.dataset import BaseDataset as MMEngineDataset

from ..registry import DATASETS
from .derived import DerivedDataset, build, kind_of, labels_of

PARTS = ('base', 'new')


@DATASETS.register_module()
class ClassSubset(DerivedDataset):
    """The images of some classes of another data set, labelled from 0.

    Put it around a :class:`FewShotDataset`, not inside: the published code
    draws from all classes first.

    Args:
        dataset: The other data set, or its config. Its class names must be
            known.
        classes: ``base`` (the first half of the classes, one more if their
            number is odd), ``new`` (the rest), or class names.
        **kwargs: Of :class:`DerivedDataset`: ``pipeline`` and the like.

    Raises:
        ValueError: Unknown classes, no class names, or none left.
    """

    def __init__(self, dataset: Union[dict, MMEngineDataset],
                 classes: Union[str, Sequence[str]], **kwargs) -> None:
        if isinstance(classes, str) and classes not in PARTS:
            raise ValueError(f'classes={classes!r}: choose from '
                             f'{", ".join(PARTS)}, or give a list of names.')
        self.part = classes
        self.shots = None  # as the data set that draws has them
        super().__init__(dataset, **kwargs)

    def load_data_list(self) -> List[dict]:
        source = build(self._source)
        names = source.metainfo.get('classes')
        if names is None:
            raise ValueError(f'{kind_of(self._source)} has no class names '
                             '(metainfo classes): classes cannot be chosen.')
        kept = choose(names, self.part)
        self.seed = getattr(source, 'seed', self.seed)
        self.shots = getattr(source, 'shots', None)
        self._metainfo = {**source.metainfo, **self._metainfo,
                          'classes': tuple(names[label] for label in kept),
                          'class_subset': self.part}
        new = {label: i for i, label in enumerate(kept)}
        return [
            dict(source.get_data_info(i), gt_label=new[label])
            for i, label in enumerate(labels_of(source)) if label in new
        ]

    def extra_repr(self) -> List[str]:
        return [f'Classes: \t{self.part}',
                f'Of: \t{kind_of(self._source)}']


def choose(names: Sequence[str], part: Union[str, Sequence[str]]
           ) -> List[int]:
    """Labels of a part of the classes, in the order of the labels."""
    labels = range(len(names))
    half = -(-len(names) // 2)
    if part in PARTS:
        kept = labels[:half] if part == 'base' else labels[half:]
    else:
        unknown = set(part) - set(names)
        if unknown:
            raise ValueError(f'there are no classes {sorted(unknown)}; there '
                             f'are {", ".join(names[:10])}, ...')
        kept = [label for label in labels if names[label] in set(part)]
    if not len(kept):
        raise ValueError(f'{len(names)} classes: none left for {part!r}.')
    return list(kept)
