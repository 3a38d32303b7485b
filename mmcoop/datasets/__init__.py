"""Few-shot draws, data sets of the published layout, folders of photos."""
from .few_shot import FewShotDataset
from .folder import FolderDataset
from .imagenet import ImageNet
from .loading import LoadImage
from .split_file import SplitFileDataset

__all__ = [
    'FewShotDataset', 'FolderDataset', 'ImageNet', 'LoadImage',
    'SplitFileDataset'
]
