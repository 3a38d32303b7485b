"""Few-shot draws, data sets of the published layout, folders of photos."""
from .coop_dataset import CoOpDataset
from .few_shot import FewShotDataset
from .folder import FolderDataset
from .loading import LoadImage, RandomView
from .resizing import CLIPResize
from .split_file import SplitFileDataset

__all__ = [
    'CLIPResize', 'CoOpDataset', 'FewShotDataset', 'FolderDataset',
    'LoadImage', 'RandomView', 'SplitFileDataset'
]
