"""Words to CLIP's BPE token ids, through open_clip's tokenizer."""
from typing import TYPE_CHECKING, List, Optional

from .weights import CLIPLoadError

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer


class Tokenizer:
    """Token ids without padding.

    Attributes:
        sot: Id of the start-of-text token (49406 for CLIP).
        eot: Id of the end-of-text token (49407).
        pad: Id that fills a sequence after its end (0).
    """
    pad = 0

    def __init__(self, bpe: 'SimpleTokenizer') -> None:
        self.bpe = bpe
        self.sot, self.eot = bpe.sot_token_id, bpe.eot_token_id

    @classmethod
    def of(cls, model_name: Optional[str]) -> 'Tokenizer':
        """The tokenizer of an open_clip model; None is OpenAI's."""
        import open_clip
        from open_clip.tokenizer import SimpleTokenizer
        if model_name is None:
            return cls(SimpleTokenizer())
        bpe = open_clip.get_tokenizer(model_name)
        if not isinstance(bpe, SimpleTokenizer):
            raise CLIPLoadError(
                f'{model_name} uses a {type(bpe).__name__}; mmcoop knows '
                "CLIP's BPE tokenizer only.")
        return cls(bpe)

    def encode(self, text: str) -> List[int]:
        """Ids of ``text`` alone, without start and end."""
        return self.bpe.encode(text)

    def sentence(self, text: str) -> List[int]:
        """Ids from start of text to end of text."""
        return [self.sot, *self.encode(text), self.eot]

    def decode(self, ids: List[int]) -> str:
        return self.bpe.decode(ids)
