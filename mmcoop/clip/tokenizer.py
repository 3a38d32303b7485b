"""Tokenizers of text towers, without padding."""
import importlib.util
import json
import os
from pathlib import Path
from typing import Callable, List, Optional

from .weights import CLIPLoadError

FILE = 'tokenizer.json'
KNOWN_OPTIONS = {'clean', 'strip_sep_token'}


class Tokenizer:
    """Token ids without padding, by CLIP's BPE.

    Args:
        bpe: An ``open_clip.tokenizer.SimpleTokenizer``.

    Attributes:
        begin: Ids before every text: the start-of-text token (49406).
        end: Ids after every text: the end-of-text token (49407).
        pad: Id that fills a sequence after its end (0).
    """
    pad = 0

    def __init__(self, bpe) -> None:
        self.bpe = bpe
        self.sot, self.eot = bpe.sot_token_id, bpe.eot_token_id
        self.begin, self.end = [self.sot], [self.eot]

    @staticmethod
    def from_model(model_name: Optional[str]) -> 'Tokenizer':
        """Create the tokenizer of an open_clip model; None means OpenAI's.

        Raises:
            CLIPLoadError: The model uses another kind of tokenizer, or its
                file cannot be had.
        """
        import open_clip
        from open_clip.factory import get_model_config
        from open_clip.tokenizer import SimpleTokenizer
        if model_name is None:
            return Tokenizer(SimpleTokenizer())
        text = (get_model_config(model_name) or {}).get('text_cfg', {})
        if text.get('hf_model_name'):
            raise CLIPLoadError(
                f'{model_name}: its text tower is one of Hugging Face '
                f'({text["hf_model_name"]}); mmcoop handles open_clip\'s own '
                'text Transformers.')
        if text.get('hf_tokenizer_name'):
            return FileTokenizer.from_config(model_name, text)
        if 'siglip' in model_name.lower() and ':' not in model_name:
            raise CLIPLoadError(
                f'{model_name}: its config names no tokenizer. Set '
                'text_cfg.hf_tokenizer_name to the folder of its '
                f'{FILE} in a JSON config of your own.')
        return Tokenizer(open_clip.get_tokenizer(model_name))

    def encode(self, text: str, special_tokens: bool = False) -> List[int]:
        """Token ids of a text, between begin and end if ``special_tokens``."""
        ids = self._encode(text)
        return [*self.begin, *ids, *self.end] if special_tokens else ids

    def _encode(self, text: str) -> List[int]:
        return self.bpe.encode(text)

    def decode(self, ids: List[int]) -> str:
        """Text of token ids."""
        return self.bpe.decode(ids)

    def spell(self, token: int) -> str:
        """A token as the vocabulary writes it, bytes as they are."""
        return self.bpe.decoder[token].replace('</w>', '')


class FileTokenizer(Tokenizer):
    """A tokenizer of Hugging Face, from its ``tokenizer.json``.

    It gives the ids of ``open_clip.tokenizer.HFTokenizer`` without the
    package transformers; ``tokenizers`` reads the file.

    Args:
        folder: Folder with the file, and with the ``tokenizer_config.json``
            that names special tokens.
        clean: What is done to texts: ``whitespace``, ``lower`` or
            ``canonicalize`` (SigLIP: no capitals, no punctuation).
        strip_sep_token: Whether the separator becomes 0 (CLIPA).

    Attributes:
        begin: Ids before every text; none of SigLIP.
        end: Ids after every text.
        pad: Id that fills a sequence after its end.

    Raises:
        CLIPLoadError: A file is missing or damaged, or does not say what
            fills sequences.
    """

    def __init__(self, folder: Path, clean: str = 'whitespace',
                 strip_sep_token: bool = False) -> None:
        from open_clip.tokenizer import get_clean_fn
        self.clean: Callable[[str], str] = get_clean_fn(clean)
        self.file = _read(folder / FILE)
        special = _special_tokens(folder)
        self.separator = special.get('sep_token') if strip_sep_token else None
        pad = self.file.token_to_id(special.get('pad_token', ''))
        if pad is None and self.file.padding:
            pad = self.file.padding['pad_id']
        if pad is None:
            raise CLIPLoadError(f'{folder}: neither tokenizer_config.json nor '
                                f'{FILE} has a pad_token.')
        self.pad = pad
        self.file.no_padding()
        self.file.no_truncation()
        whole = self.file.encode('a')
        words = [i for i, special in enumerate(whole.special_tokens_mask)
                 if not special]
        self.begin = self._strip(whole.ids[:words[0]])
        self.end = self._strip(whole.ids[words[-1] + 1:])

    @staticmethod
    def from_config(model_name: str, text: dict) -> 'FileTokenizer':
        """The tokenizer that ``text_cfg`` of an open_clip config names.

        Raises:
            CLIPLoadError: It needs what mmcoop lacks, or cannot be had.
        """
        if importlib.util.find_spec('tokenizers') is None:
            raise CLIPLoadError(
                f'the tokenizer of {model_name} is read by a package that is '
                'not installed: pip install tokenizers')
        options = dict(text.get('tokenizer_kwargs') or {})
        unknown = sorted(set(options) - KNOWN_OPTIONS)
        if text.get('tokenizer_mode') or unknown:
            raise CLIPLoadError(
                f'{model_name}: a tokenizer with tokenizer_mode='
                f'{text.get("tokenizer_mode")!r}, {unknown} is not supported.')
        name = text['hf_tokenizer_name']
        if model_name.startswith('local-dir:'):
            name = model_name.removeprefix('local-dir:')
        path = Path(name).expanduser()
        folder = path.parent if path.name == FILE else path
        if not folder.is_dir():
            folder = _download(name)
        return FileTokenizer(
            folder, options.get('clean', 'whitespace'),
            options.get('strip_sep_token', False))

    def _strip(self, ids: List[int]) -> List[int]:
        separator = self.separator and self.file.token_to_id(self.separator)
        return [0 if i == separator else i for i in ids]

    def _encode(self, text: str) -> List[int]:
        return self._strip(self.file.encode(
            self.clean(text), add_special_tokens=False).ids)

    def decode(self, ids: List[int]) -> str:
        return self.file.decode(ids)

    def spell(self, token: int) -> str:
        return self.file.id_to_token(token) or f'[{token}]'


def _read(path: Path):
    if not path.is_file():
        raise CLIPLoadError(
            f'no tokenizer {path}: put {FILE} and tokenizer_config.json of '
            'the model there.')
    import tokenizers
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:
        raise CLIPLoadError(f'cannot read the tokenizer {path}: it is damaged '
                            f'or of another format. [{error}]') from error


def _special_tokens(folder: Path) -> dict:
    """Names of special tokens, such as ``pad_token``."""
    found = {}
    for name in ('special_tokens_map.json', 'tokenizer_config.json'):
        if (folder / name).is_file():
            entries = json.loads((folder / name).read_text(encoding='utf-8'))
            found.update((key, value['content'] if isinstance(value, dict)
                          else value) for key, value in entries.items()
                         if key.endswith('_token') and value)
    return {key: value for key, value in found.items()
            if isinstance(value, str)}


def _download(name: str) -> Path:
    """Fetch a tokenizer of the hub, or find it in the cache."""
    from huggingface_hub import hf_hub_download
    try:
        path = hf_hub_download(name, FILE)
        hf_hub_download(name, 'tokenizer_config.json')
    except Exception as error:
        raise CLIPLoadError(
            f'cannot download the tokenizer {name} (no network?). On a '
            f'machine with network fetch {FILE} and tokenizer_config.json '
            f'from https://huggingface.co/{name} , copy them into a folder '
            'here, and set text_cfg.hf_tokenizer_name to it in a JSON config '
            f'of your own. [{type(error).__name__}]') from error
    return Path(os.path.dirname(path))
