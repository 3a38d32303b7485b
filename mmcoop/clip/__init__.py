"""The frozen CLIP: loading, its two towers, its tokenizer, the text engine."""
from .divide import TextDivider
from .image_tower import ImageTower
from .loading import CLIPLoadError, FrozenCLIP, load_clip
from .prompt_set import EndingLayout, PromptSet
from .text_tower import TextTower
from .tokenizer import Tokenizer

__all__ = [
    'CLIPLoadError', 'EndingLayout', 'FrozenCLIP', 'ImageTower', 'PromptSet',
    'TextDivider', 'TextTower', 'Tokenizer', 'load_clip'
]
