"""CLIP's BPE tokenizer, from open_clip, without padding."""
from typing import List, Optional

from .weights import CLIPLoadError


class Tokenizer:
    """Token ids without padding.

    Args:
        bpe: An ``open_clip.tokenizer.SimpleTokenizer``.

    Attributes:
        sot: Id of the start-of-text token (49406 for CLIP).
        eot: Id of the end-of-text token (49407).
        pad: Id that fills a sequence after its end (0).
    """
    pad = 0

    def __init__(self, bpe) -> None:
        self.bpe = bpe
        self.sot, self.eot = bpe.sot_token_id, bpe.eot_token_id

    @classmethod
    def from_model(cls, model_name: Optional[str]) -> 'Tokenizer':
        """Create the tokenizer of an open_clip model; None means OpenAI's.

        Raises:
            CLIPLoadError: The model uses another kind of tokenizer.
        """
        import open_clip
        from open_clip.tokenizer import SimpleTokenizer
        bpe = SimpleTokenizer() if model_name is None \
            else open_clip.get_tokenizer(model_name)
        if not isinstance(bpe, SimpleTokenizer):
            raise CLIPLoadError(
                f'{model_name} uses a {type(bpe).__name__}; mmcoop knows '
                "CLIP's BPE tokenizer only.")
        return cls(bpe)

    def encode(self, text: str, special_tokens: bool = False) -> List[int]:
        """Token ids of a text, between SOT and EOT if ``special_tokens``."""
        ids = self.bpe.encode(text)
        return [self.sot, *ids, self.eot] if special_tokens else ids

    def decode(self, ids: List[int]) -> str:
        """Text of token ids."""
        return self.bpe.decode(ids)
