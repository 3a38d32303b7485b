"""Few-shot draws as the published code keeps them: shot_16-seed_1.pkl.

It pickles lists of Dassl's ``Datum`` objects below
``<data set>/split_fewshot/`` (KaiyangZhou/CoOp, ``datasets/*.py``).
"""
import pickle
from pathlib import Path, PurePosixPath
from typing import Any, Dict, List, NamedTuple, Sequence


class DrawnImage(NamedTuple):
    """An image of a draw."""
    path: str  # where it lay on the machine of the draw
    label: int
    class_name: str


class _Datum:
    """Stands for Dassl's; only its attributes are read."""


class _Unpickler(pickle.Unpickler):
    """Makes lists, dicts, plain values and ``Datum``; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == 'dassl' and name == 'Datum':
            return _Datum
        raise pickle.UnpicklingError(
            f'it asks for {module}.{name}, which has no place in a draw')


def read_draw_file(path: str) -> Dict[str, List[DrawnImage]]:
    """Read a ``shot_N-seed_M.pkl``, without running any code of it.

    Returns:
        The images of ``train`` and of ``val``, which ImageNet's lack.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or asks for code.
    """
    try:
        with open(path, 'rb') as file:
            content = _Unpickler(file).load()
        return {split: [DrawnImage(str(item._impath).replace('\\', '/'),
                                   int(item._label), str(item._classname))
                        for item in content.get(split, ())]
                for split in ('train', 'val')}
    except FileNotFoundError:
        raise FileNotFoundError(f'there is no draw {path}') from None
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(
            f'{path} is no few-shot draw of the published code '
            f'(split_fewshot/shot_N-seed_M.pkl): {error!r}') from error


def find_drawn(images: Sequence[DrawnImage], paths: Sequence[str],
               labels: Sequence[int], where: str) -> List[int]:
    """Find the images of a draw in a data set.

    Images are compared by folder and file name, for the data lay elsewhere on
    the machine of the draw.

    Args:
        images: The draw.
        paths: The path of each image of the data set.
        labels: The label of each.
        where: The file, for messages.

    Returns:
        Their indices, in the order of the draw.

    Raises:
        ValueError: An image is not there, or has another label.
    """
    places: Dict[tuple, int] = {}
    for i, path in enumerate(paths):
        key = Path(path).parts[-2:]
        if places.setdefault(key, i) != i:
            raise ValueError(f'{where}: the data set has several images '
                             f'{"/".join(key)}, which a draw cannot tell '
                             'apart.')
    found = []
    for image in images:
        i = places.get(PurePosixPath(image.path).parts[-2:])
        if i is None:
            raise ValueError(f'{where}: {image.path} is not in the data set.')
        if labels[i] != image.label:
            raise ValueError(
                f'{where}: {image.path} has the label {image.label} there and '
                f'{labels[i]} here: it is of another split of the data.')
        found.append(i)
    return found
