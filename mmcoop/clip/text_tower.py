"""CLIP's frozen text tower.

Shapes: P prefixes, K classes, T positions (77), D width, E joint space.
"""
import torch
import torch.nn as nn

from .frozen import FrozenModule
from .plain import encode_plain
from .prompt_set import PromptSet
from .text_engine import encode_packed
from .tokenizer import Tokenizer
from .weights import CLIPLoadError


class TextTower(FrozenModule):
    """Frozen text Transformer of open_clip that encodes embeddings.

    Args:
        clip: The open_clip model; its image tower is not used.
        tokenizer: The tokenizer that it was trained with.
        name: Name of the CLIP in messages and checkpoints.

    Attributes:
        packable: Whether :mod:`text_engine` supports the tower: its attention
            is causal and its features are taken at EOT.

    Raises:
        CLIPLoadError: The text tower is of another kind.
    """

    def __init__(self, clip: nn.Module, tokenizer: Tokenizer,
                 name: str) -> None:
        from open_clip.transformer import Transformer
        super().__init__()
        text = getattr(clip, 'text', clip)  # CustomTextCLIP holds it inside
        if not isinstance(getattr(text, 'transformer', None), Transformer) \
                or getattr(text, 'cls_emb', None) is not None \
                or getattr(text, 'use_pad_mask', False):
            raise CLIPLoadError(
                f'{name}: mmcoop handles open_clip\'s own text Transformers '
                'without a class token; this text tower is of another kind.')
        self.name = name
        self.tokenizer = tokenizer
        self.token_embedding = text.token_embedding  # (vocabulary, D)
        self.positional_embedding = text.positional_embedding  # (T, D)
        self.transformer = text.transformer
        self.ln_final = text.ln_final
        self.text_projection = text.text_projection  # (D, E), Linear or None
        self.register_buffer('attn_mask', text.attn_mask, persistent=False)
        self.logit_scale = clip.logit_scale
        self.pool_type = getattr(clip, 'text_pool_type', None) \
            or getattr(text, 'pool_type', 'argmax')
        self.packable = self._is_packable()
        self.freeze()

    def _is_packable(self) -> bool:
        from open_clip.transformer import ResidualAttentionBlock
        mask = self.attn_mask
        return (
            mask is not None
            and torch.equal(mask.isinf(), torch.ones_like(mask).triu(1) > 0)
            and self.pool_type in ('argmax', 'eos') and all(
                type(block) is ResidualAttentionBlock  # as the engine reads it
                and not hasattr(block, 'ln_1_kv')
                for block in self.transformer.resblocks))

    @property
    def width(self) -> int:
        """Width D of the token embeddings."""
        return self.token_embedding.embedding_dim

    @property
    def context_length(self) -> int:
        """Number of positions T."""
        return self.positional_embedding.shape[0]

    @property
    def out_channels(self) -> int:
        """Width E of the features."""
        return self.project(self.positional_embedding[0]).shape[-1]

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Token embeddings without positions, (...) -> (..., D)."""
        return self.token_embedding(ids)

    def fingerprint(self) -> str:
        return self._fingerprint or f'{self.width}-{super().fingerprint()}'

    def forward(self, prompts: PromptSet) -> torch.Tensor:
        """Class features (P, K, E) before L2 normalisation."""
        encode = encode_packed if self.packable else encode_plain
        with self.autocast(prompts.prefix.device):
            return encode(self, prompts)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Final norm and projection of pooled tokens, (..., D) -> (..., E)."""
        x = self.ln_final(x)
        if self.text_projection is None:
            return x
        if isinstance(self.text_projection, nn.Linear):
            return self.text_projection(x)
        return x @ self.text_projection
