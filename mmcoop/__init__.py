"""mmcoop: prompt learning for mmpretrain.

CoOp learns the context words of a CLIP prompt from a few labelled images
while CLIP stays frozen (Zhou et al., IJCV 2022, arXiv 2109.01134).
"""
import importlib.util

from . import host
from .config import resolve

__version__ = '0.6.0'
__all__ = ['load', 'resolve']

if importlib.util.find_spec('mmcv') is None:
    raise ImportError(
        'mmcoop needs the module mmcv, and neither mmcv nor mmcv-lite is '
        'installed. Run: pip install "mmcv-lite>=2.2.0" (or install full '
        'mmcv if other OpenMMLab projects of yours need its operators).')

host.register()


def __getattr__(name: str):
    # it imports torch, which takes seconds
    if name == 'load':
        from .apis import load
        return load
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
