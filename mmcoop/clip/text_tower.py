"""CLIP's frozen text tower.

Shapes: P prefixes, K classes, T positions (77), D width, E joint space.
A class token (CoCa) is a position more.
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
            is causal and its features are taken at EOT. Others are encoded
            at full length.
        pool_type: Where features are taken: ``argmax`` or ``eos`` (at EOT),
            ``first`` or ``last`` (a class token is the last).
        pad_id: Id of the tokens that no token attends to, or None.

    Raises:
        CLIPLoadError: The text tower is of another kind.
    """

    def __init__(self, clip: nn.Module, tokenizer: Tokenizer,
                 name: str) -> None:
        super().__init__()
        text = getattr(clip, 'text', clip)  # CustomTextCLIP holds it inside
        self.pool_type = getattr(clip, 'text_pool_type', None) \
            or getattr(text, 'pool_type', 'argmax')
        _check_is_supported(text, self.pool_type, tokenizer, name)
        self.name = name
        self.tokenizer = tokenizer
        self.token_embedding = text.token_embedding  # (vocabulary, D)
        self.positional_embedding = text.positional_embedding  # (T, D)
        self.transformer = text.transformer
        self.ln_final = text.ln_final
        self.text_projection = text.text_projection  # (D, E), Linear or None
        self.register_buffer('attn_mask', text.attn_mask, persistent=False)
        self.logit_scale = clip.logit_scale
        self.cls_emb = getattr(text, 'cls_emb', None)  # (D, ), or None
        self.correct_cls_mask = getattr(text, 'correct_cls_mask', False)
        self.pad_id = None
        if self.cls_emb is not None:
            self.pool_type = 'last'
        if self.cls_emb is not None or getattr(text, 'use_pad_mask', False):
            self.pad_id = text.pad_id
        self.packable = self._is_packable()
        self.freeze()

    def _is_packable(self) -> bool:
        from open_clip.transformer import ResidualAttentionBlock
        mask = self.attn_mask
        return (
            mask is not None
            and torch.equal(mask.isinf(), torch.ones_like(mask).triu(1) > 0)
            and self.pad_id is None
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
        """Number of positions T for tokens."""
        return self.positional_embedding.shape[0] - (self.cls_emb is not None)

    @property
    def out_channels(self) -> int:
        """Width E of the features."""
        return self.project(self.positional_embedding[0]).shape[-1]

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Token embeddings without positions, (...) -> (..., D)."""
        return self.token_embedding(ids)

    def fingerprint(self) -> str:
        return self._fingerprint or f'{self.width}-{super().fingerprint()}'

    def packs(self, prompts: PromptSet) -> bool:
        """Whether :mod:`text_engine` encodes these prompts."""
        # the engine's mask wants a first row that all attend to
        return self.packable and prompts.prefix.shape[1] > 0

    def forward(self, prompts: PromptSet) -> torch.Tensor:
        """Class features (P, K, E) before L2 normalisation."""
        encode = encode_packed if self.packs(prompts) else encode_plain
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


def _check_is_supported(text: nn.Module, pool_type: str,
                        tokenizer: Tokenizer, name: str) -> None:
    """Raises CLIPLoadError, saying what is not supported."""
    from open_clip.transformer import Transformer
    if not isinstance(getattr(text, 'transformer', None), Transformer):
        raise CLIPLoadError(
            f'{name}: mmcoop handles open_clip\'s own text Transformers; this '
            f'text tower is of another kind ({type(text).__name__}).')
    if pool_type not in ('argmax', 'eos', 'first', 'last'):
        raise CLIPLoadError(f'{name}: pool_type={pool_type} of its text tower '
                            'is not supported.')
    at = {'argmax': text.token_embedding.num_embeddings - 1,
          'eos': getattr(text, 'eos_id', None)}.get(pool_type)
    if at is not None and getattr(text, 'cls_emb', None) is None \
            and tokenizer.end != [at]:
        raise CLIPLoadError(
            f'{name}: its text tower takes features at token {at} '
            f'(pool_type={pool_type}), and its tokenizer ends texts with '
            f'{tokenizer.end}: they do not belong together.')
