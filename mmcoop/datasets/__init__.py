"""Few-shot draws, the published data sets and folders of photos."""
from ..catalog import CATALOG, find
from .class_subset import ClassSubset
from .coop_dataset import CoOpDataset
from .few_shot import FewShotDataset
from .folder import FolderDataset
from .loading import LoadImage
from .split_file import SplitFileDataset

__all__ = [
    'CATALOG', 'ClassSubset', 'CoOpDataset', 'FewShotDataset', 'FolderDataset',
    'LoadImage', 'SplitFileDataset', 'find'
]
