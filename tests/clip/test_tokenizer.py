"""Tokenizers from a file, in the format of Hugging Face."""
import json

import pytest

from mmcoop.clip import CLIPLoadError
from mmcoop.clip.tokenizer import FileTokenizer

WORDS = ('a photo of x cat red fox type pet , . big'.split())


def tokenizer_file(folder):
    """A small tokenizer in the format of SigLIP's (sentencepiece, T5)."""
    special = dict(id=1, content='</s>', special=True, single_word=False,
                   lstrip=False, rstrip=False, normalized=False)
    vocabulary = [['<unk>', 0.], ['</s>', 0.]] + [
        [f'\u2581{word}', -3.] for word in WORDS] + [
        [letter, -8.] for letter in '\u2581abcdefghijklmnopqrstuvwxyz']
    space = dict(type='Metaspace', replacement='\u2581',
                 prepend_scheme='always', split=True)
    ending = [{'Sequence': dict(id='A', type_id=0)},
              {'SpecialToken': dict(id='</s>', type_id=0)}]
    folder.mkdir()
    (folder / 'tokenizer.json').write_text(json.dumps(dict(
        version='1.0', truncation=None, padding=None, normalizer=None,
        added_tokens=[special], pre_tokenizer=space, decoder=space,
        post_processor=dict(
            type='TemplateProcessing', single=ending, pair=ending,
            special_tokens={'</s>': dict(id='</s>', ids=[1],
                                         tokens=['</s>'])}),
        model=dict(type='Unigram', unk_id=0, vocab=vocabulary,
                   byte_fallback=False))))
    (folder / 'tokenizer_config.json').write_text(json.dumps(
        dict(pad_token='</s>', eos_token=dict(content='</s>'))))
    return folder


def test_tokenizer_file(tmp_path):
    pytest.importorskip('tokenizers')
    text = dict(hf_tokenizer_name=str(tokenizer_file(tmp_path / 'siglip')),
                tokenizer_kwargs=dict(clean='canonicalize'))
    tokenizer = FileTokenizer.from_config('SigLIP', text)
    assert (tokenizer.begin, tokenizer.end, tokenizer.pad) == ([], [1], 1)
    words = [2 + WORDS.index(word) for word in 'a photo of a red fox'.split()]
    # canonical: no capitals, no punctuation
    assert tokenizer.encode('A photo of a Red_Fox!', True) == [*words, 1]
    assert tokenizer.decode(words) == 'a photo of a red fox'
    assert tokenizer.spell(2) == '\u2581a'
    assert len(tokenizer.encode('X X X X X')) == 5


@pytest.mark.parametrize('change,message', [
    (dict(tokenizer_mode='clips'), 'tokenizer_mode'),
    (dict(tokenizer_kwargs=dict(language='de')), 'language'),
    (dict(hf_tokenizer_name='no/such'), 'cannot download the tokenizer'),
    ('tokenizer.json', 'damaged'), (None, 'no tokenizer'),
    ('tokenizer_config.json', 'pad_token')])
def test_tokenizer_refused_by_name(tmp_path, change, message, monkeypatch):
    pytest.importorskip('tokenizers')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    folder = tokenizer_file(tmp_path / 'tokenizer')
    text = dict(hf_tokenizer_name=str(folder))
    if isinstance(change, dict):
        text.update(change)
    elif change:
        (folder / change).write_text('{}')
    else:
        (folder / 'tokenizer.json').unlink()
    with pytest.raises(CLIPLoadError, match=message):
        FileTokenizer.from_config('SigLIP', text)
