"""What a CLIP is made of, known before its weights are loaded."""
from dataclasses import dataclass
from typing import Dict

import torch

VIT, RESNET = 'VisionTransformer', 'ModifiedResNet'


@dataclass(frozen=True)
class Architecture:
    """Sizes and kinds of a CLIP's towers.

    Attributes:
        image_size: Height and width of the images in pixels.
        image_tower: open_clip's class (``VIT``, ``RESNET``), or timm's name of
            the model.
        image_layers: Layers of a Vision Transformer; 0 of other towers.
        text_layers: Layers of the text tower; 0 if it is not open_clip's own.
    """
    image_size: int
    image_tower: str
    image_layers: int
    text_layers: int

    @classmethod
    def from_config(cls, config: dict) -> 'Architecture':
        """Of an open_clip model config."""
        vision, text = config['vision_cfg'], config['text_cfg']
        size, layers = vision.get('image_size', 224), vision.get('layers', 12)
        kind = vision.get('timm_model_name') or (
            RESNET if isinstance(layers, (list, tuple)) else VIT)
        return cls(
            image_size=size if isinstance(size, int) else size[0],
            image_tower=kind,
            image_layers=layers if kind == VIT else 0,
            text_layers=0 if text.get('hf_model_name')
            else text.get('layers', 12))

    @classmethod
    def from_state_dict(cls, state: Dict[str, torch.Tensor]) -> 'Architecture':
        """Of weights in OpenAI's layout."""
        vit = 'visual.positional_embedding' in state
        table = state['visual.' + ('' if vit else 'attnpool.')
                      + 'positional_embedding']
        patch = state['visual.conv1.weight'].shape[-1] if vit else 32
        return cls(
            image_size=round((len(table) - 1)**0.5) * patch,
            image_tower=VIT if vit else RESNET,
            image_layers=_count(state, 'visual.transformer.resblocks.'),
            text_layers=_count(state, 'transformer.resblocks.'))

    def check_visual_prompts(self, depth: int) -> None:
        """Check that the image tower takes prompts in ``depth`` layers.

        Raises:
            ValueError: It is not a Vision Transformer, or has fewer layers.
        """
        if self.image_tower != VIT:
            raise ValueError(
                'visual prompts are tokens of a Vision Transformer, and the '
                f'image tower of this CLIP is a {self.image_tower}: take a '
                'ViT (model.clip.model_name=ViT-B-16).')
        if depth > self.image_layers:
            raise ValueError(f'visual prompts in {depth} layers, but the '
                             f'image tower has {self.image_layers}: lower '
                             'depth or visual_depth (model.head.prompt).')

    def check_patches(self) -> None:
        """Check that the image tower gives features of local patches.

        Raises:
            ValueError: It is neither a Vision Transformer nor OpenAI's ResNet.
        """
        if self.image_tower not in (VIT, RESNET):
            raise ValueError(
                'local image features are those of a Vision Transformer or of '
                'OpenAI\'s ResNets, and the image tower of this CLIP is a '
                f'{self.image_tower}: take model.clip.model_name=ViT-B-16 or '
                'RN50.')


def _count(state: Dict[str, torch.Tensor], prefix: str) -> int:
    return len({key[len(prefix):].split('.')[0] for key in state
                if key.startswith(prefix)})
