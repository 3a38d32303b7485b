"""The frozen CLIP: loading, its two towers, what is learned inside them, its
tokenizer, the text engine."""
from .adapt import TowerAdapter
from .architecture import Architecture
from .divide import TextDivider
from .frozen import FrozenCLIP, FrozenModule
from .image_tower import ImageTower, LearnedImageTower
from .low_rank import LoRA
from .norms import LayerNorms
from .preprocessing import Preprocessing, read_preprocessing
from .projection import Projection, split_projection
from .prompt_set import EndingLayout, PromptSet
from .text_tower import TextTower
from .tokenizer import Tokenizer
from .weights import CLIPLoadError

__all__ = [
    'Architecture', 'CLIPLoadError', 'EndingLayout', 'FrozenCLIP',
    'FrozenModule', 'ImageTower', 'LayerNorms', 'LearnedImageTower', 'LoRA',
    'Preprocessing', 'Projection', 'PromptSet', 'TextDivider', 'TextTower',
    'Tokenizer', 'TowerAdapter', 'keep_clips', 'load_clip',
    'read_architecture', 'read_preprocessing', 'split_projection'
]


def __getattr__(name: str):
    # loading imports open_clip, which takes seconds
    if name in ('keep_clips', 'load_clip', 'read_architecture'):
        from . import loading
        return getattr(loading, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
