"""ImageNet with the class names that CLIP prompts use."""
from mmpretrain.datasets import ImageNet as MMPretrainImageNet
from mmpretrain.datasets.categories import IMAGENET_SIMPLE_CATEGORIES

from ..registry import DATASETS


@DATASETS.register_module()
class ImageNet(MMPretrainImageNet):
    """mmpretrain's ImageNet, with the 1000 simple names (e.g. "kite").

    Without a split file the few-shot draw depends on the order of the images;
    here they are sorted by file name. The published code took a directory
    listing's order, which differs from machine to machine.
    """
    METAINFO = {'classes': IMAGENET_SIMPLE_CATEGORIES}
