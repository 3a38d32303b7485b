"""The frozen CLIP: loading, its two towers, its tokenizer, the text engine."""
from .divide import TextDivider
from .image_tower import ImageTower, LearnedImageTower
from .loading import CLIPLoadError, FrozenCLIP, keep_clips, load_clip
from .prompt_set import EndingLayout, PromptSet
from .text_tower import TextTower
from .tokenizer import Tokenizer

__all__ = [
    'CLIPLoadError', 'EndingLayout', 'FrozenCLIP', 'ImageTower',
    'LearnedImageTower', 'PromptSet', 'TextDivider', 'TextTower', 'Tokenizer',
    'keep_clips', 'load_clip'
]
