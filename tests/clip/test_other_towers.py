"""Other text towers than CLIP's, and tokenizers: open_clip's features."""
import json
import sys

import open_clip
import pytest
import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmcoop.clip import CLIPLoadError, TextTower, load_clip
from mmcoop.clip.tokenizer import FileTokenizer, Tokenizer

from .test_tokenizer import WORDS, tokenizer_file

NAMES = ['cat', 'red_fox', 'big red cat, a pet']
TEMPLATE = 'a photo of a {}, a type of pet.'
SIGLIP = dict(no_causal_mask=True, pool_type='last', proj_bias=True,
              act_kwargs=dict(approximate='tanh'), norm_kwargs=dict(eps=1e-6))


class WordTokenizer(Tokenizer):
    """A token for each word; 3 and above are words."""

    def __init__(self, begin=(), end=(1, ), pad=1):
        self.begin, self.end, self.pad = list(begin), list(end), pad

    def _encode(self, text):
        text = text.lower().replace(',', ' ,').replace('.', ' .')
        return [3 + WORDS.index(word) for word in text.split()]

    def decode(self, ids):
        return ' '.join(WORDS[i - 3] for i in ids)


def make_model(vocabulary=16, **text):
    """A small CLIP; every parameter matters to the features."""
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(
        embed_dim=24, init_logit_bias=-10.,
        vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=2),
        text_cfg=dict(dict(context_length=20, vocab_size=vocabulary, width=32,
                           heads=4, layers=2), **text)).eval()
    with torch.no_grad():
        for p in model.text.parameters():
            p += 0.2 * torch.randn_like(p)
    return model.requires_grad_(False)


def fill(tokenizer, rows, length):
    """Ids (K, T) of rows of ids."""
    return torch.tensor([row + [tokenizer.pad] * (length - len(row))
                         for row in rows])


class Given(nn.Module):
    """Embeddings in place of those of ids."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, ids):
        return self.rows


def direct(model, ids, ctx, slots):
    """Features by open_clip's own forward, with vectors at ids of -1 - j."""
    text, embedding = model.text, model.text.token_embedding
    learned = ids < 0
    ids = torch.where(learned, 6, ids)  # any word
    rows = embedding(ids).clone()
    rows[learned] = ctx[-1 - slots[learned]]
    text.token_embedding = Given(rows)
    try:
        return text(ids)
    finally:
        text.token_embedding = embedding


TOWERS = {
    'SigLIP': (SIGLIP, WordTokenizer()),
    'CLIPA': (dict(no_causal_mask=True, pool_type='last'),
              WordTokenizer(begin=[2], end=[0], pad=0)),
    'first': (dict(no_causal_mask=True, pool_type='first'),
              WordTokenizer(begin=[2])),
    'XLM': (dict(pool_type='eos', eos_id=2),
            WordTokenizer(begin=[0], end=[2])),
    'without begin': (dict(pool_type='eos', eos_id=2),
                      WordTokenizer(end=[2])),
    'custom block': (dict(SIGLIP, qk_norm=True), WordTokenizer()),
    'CoCa': (dict(embed_cls=True, pad_id=1), WordTokenizer(begin=[0])),
    # a word with the id of padding is masked too, as "!" in CoCa
    'CoCa, pad': (dict(embed_cls=True, pad_id=5), WordTokenizer(begin=[0])),
    'CoCa, two-way': (dict(embed_cls=True, pad_id=1, no_causal_mask=True),
                      WordTokenizer(begin=[0])),
    'pad mask': (dict(no_causal_mask=True, pool_type='eos', eos_id=2,
                      pad_id=1), WordTokenizer(begin=[0], end=[2])),
    'correct mask': (dict(embed_cls=True, pad_id=1),
                     WordTokenizer(begin=[0])),
}


@pytest.fixture(params=TOWERS)
def pair(request):
    """(open_clip's model, our text tower) of a kind."""
    text, tokenizer = TOWERS[request.param]
    model = make_model(**text)
    # no config of open_clip sets these two
    model.text.use_pad_mask = request.param == 'pad mask'
    model.text.correct_cls_mask = request.param == 'correct mask'
    tower = TextTower(model, tokenizer, request.param)
    assert tower.packable == (request.param in ('XLM', 'without begin'))
    return model, tower


def test_hand_written_prompts(pair):
    model, tower = pair
    prompt = MODELS.build(
        dict(type='mmcoop.TemplatePrompt', templates=TEMPLATE))
    prompt.set_classes(NAMES, tower)
    ids = fill(tower.tokenizer, [
        tower.tokenizer.encode(TEMPLATE.replace('{}', name), True)
        for name in ('cat', 'red fox', 'big red cat, a pet')], 20)
    torch.testing.assert_close(
        tower(prompt(tower)[0])[0], model.encode_text(ids),
        rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('class_specific', [False, True])
@pytest.mark.parametrize('position', ['end', 'middle', 'front'])
def test_learned_context(pair, position, class_specific):
    """Features, and gradients of the context, by open_clip's own forward."""
    model, tower = pair
    tokenizer, M = tower.tokenizer, 5
    prompt = MODELS.build(dict(
        type='mmcoop.ContextPrompt', n_ctx=M, class_token_position=position,
        class_specific=class_specific))
    prompt.setup(tower)
    prompt.set_classes(NAMES, tower)
    with torch.no_grad():
        prompt.ctx.normal_()
    rows = []
    for k, name in enumerate(('cat', 'red fox', 'big red cat, a pet')):
        name = tokenizer.encode(name)
        ctx = [-1 - (k * M * class_specific + j) for j in range(M)]
        cut = {'end': M, 'middle': M // 2, 'front': 0}[position]
        rows.append([*tokenizer.begin, *ctx[:cut], *name, *ctx[cut:],
                     *tokenizer.encode('.'), *tokenizer.end])
    ids = fill(tokenizer, rows, 20)
    theirs = direct(model, ids, prompt.ctx.flatten(0, -2), ids)
    ours = tower(prompt(tower)[0])[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    weights = torch.linspace(-1, 1, ours.numel()).view_as(ours)
    grads = [torch.autograd.grad((features * weights).sum(), prompt.ctx)[0]
             for features in (ours, theirs)]
    scale = grads[1].abs().max()
    torch.testing.assert_close(grads[0] / scale, grads[1] / scale,
                               rtol=1e-5, atol=1e-5)


def test_other_prompts_without_begin():
    """Contexts of images, and deep ones, where no token begins a text."""
    tower = TextTower(make_model(**SIGLIP), WordTokenizer(), 'SigLIP')
    torch.manual_seed(0)
    cocoop = MODELS.build(dict(type='mmcoop.ConditionalContextPrompt',
                               n_ctx=4, ctx_init='a photo of a'))
    cocoop.setup(tower)
    cocoop.set_classes(NAMES, tower)
    prompts, = cocoop(tower, torch.randn(2, 24))
    assert prompts.prefix.shape == (2, 4, 32)
    assert tower(prompts).shape == (2, 3, 24)
    deep = MODELS.build(dict(type='mmcoop.MultiModalPrompt', n_ctx=2, depth=2,
                             ctx_init=None))
    deep.setup(tower)
    deep.set_classes(NAMES, tower)
    prompts, = deep(tower)
    assert prompts.prefix.shape[1] == 2 and prompts.deep_start == 0
    grad, = torch.autograd.grad(tower(prompts).square().sum(), deep.deep_ctx)
    assert grad.abs().min() > 0


def siglip(tmp_path, tokenizer):
    """Config and weights of a small random SigLIP."""
    text = dict(SIGLIP, context_length=24, vocab_size=64, width=32, heads=4,
                layers=2, hf_tokenizer_name=str(tokenizer),
                tokenizer_kwargs=dict(clean='canonicalize'))
    settings = dict(
        embed_dim=64, custom_text=True, init_logit_bias=-10,
        init_logit_scale=2.3, text_cfg=text, vision_cfg=dict(
            image_size=160, timm_model_name='test_vit',
            timm_model_pretrained=False, timm_pool='map', timm_proj='none'))
    config = tmp_path / 'mmcoop-test-siglip.json'
    config.write_text(json.dumps(settings))
    open_clip.add_model_config(config)
    torch.manual_seed(0)
    model = open_clip.create_model(config.stem).eval()
    torch.save(model.state_dict(), tmp_path / 'siglip.pt')
    return model, dict(model_name=str(config),
                       pretrained=str(tmp_path / 'siglip.pt'))


@pytest.mark.parametrize('from_file', [True, False])
def test_siglip(tmp_path, from_file, monkeypatch):
    """Loaded, zero-shot as open_clip, and a prompt learned."""
    folder = tokenizer_file(tmp_path / 'tokenizer')
    if from_file:
        pytest.importorskip('tokenizers')
    else:
        monkeypatch.setattr(FileTokenizer, 'from_config',
                            lambda name, text: WordTokenizer())
    model, clip = siglip(tmp_path, folder)
    tower = load_clip(**clip).text_tower
    assert not tower.packable
    images = torch.randn(4, 3, 160, 160)
    zero_shot = MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip, head=dict(
            type='mmcoop.PromptLearnerHead', classes=NAMES, prompt=dict(
                type='mmcoop.TemplatePrompt', templates=TEMPLATE))))
    texts = fill(tower.tokenizer, [
        tower.tokenizer.encode(TEMPLATE.replace('{}', name.replace('_', ' ')),
                               True) for name in NAMES], 24)
    with torch.no_grad():
        logits = zero_shot.head(zero_shot.extract_feat(images))
        expected, _ = model.get_logits(images, texts)
        # the bias is the same for all classes: no probability changes
        torch.testing.assert_close(logits + model.logit_bias, expected,
                                   rtol=1e-5, atol=1e-5)
    coop = MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip, head=dict(
            type='mmcoop.PromptLearnerHead', classes=NAMES, text_memory=0.01,
            prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4))))
    labels = [DataSample().set_gt_label(i % 3) for i in range(4)]
    optimizer = torch.optim.SGD([coop.head.prompt.ctx], lr=0.1)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(coop.loss(images, labels)['loss'])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_coca(tmp_path):
    config = tmp_path / 'mmcoop-test-coca.json'
    text = dict(context_length=30, vocab_size=49408, width=32, heads=4,
                layers=2)
    config.write_text(json.dumps(dict(
        embed_dim=32, custom_text=True,
        vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=1,
                        attentional_pool=True, attn_pooler_heads=4,
                        output_tokens=True),
        text_cfg=dict(text, embed_cls=True, output_tokens=True),
        multimodal_cfg=dict(text, attn_pooler_heads=4))))
    open_clip.add_model_config(config)
    torch.manual_seed(0)
    model = open_clip.create_model(config.stem).eval()
    torch.save(model.state_dict(), tmp_path / 'coca.pt')
    clip = load_clip(str(config), str(tmp_path / 'coca.pt'))
    images = torch.randn(2, 3, 32, 32)
    prompt = MODELS.build(
        dict(type='mmcoop.TemplatePrompt', templates='wow! a {}!'))
    prompt.set_classes(NAMES, clip.text_tower)
    texts = open_clip.tokenize(
        [f'wow! a {name.replace("_", " ")}!' for name in NAMES], 30)
    with torch.no_grad():
        torch.testing.assert_close(
            clip.image_tower(images)[0],
            model.encode_image(images, normalize=False), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            clip.text_tower(prompt(clip.text_tower)[0])[0],
            model.encode_text(texts, normalize=False), rtol=1e-5, atol=1e-5)


def test_refused_by_name(tmp_path, monkeypatch):
    model = make_model(pool_type='eos', eos_id=2)
    with pytest.raises(CLIPLoadError, match=r'token 2 .*\[1\].*belong'):
        TextTower(model, WordTokenizer(), 'odd')
    with pytest.raises(CLIPLoadError, match='token 15 .*argmax'):
        TextTower(make_model(), WordTokenizer(), 'odd')
    with pytest.raises(CLIPLoadError, match='pool_type=none'):
        TextTower(make_model(pool_type='none'), WordTokenizer(), 'odd')
    model.text.transformer = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(32, 4), 1)
    with pytest.raises(CLIPLoadError, match='odd.*TextTransformer'):
        TextTower(model, WordTokenizer(), 'odd')
    monkeypatch.setitem(sys.modules, 'tokenizers', None)
    # before weights are fetched
    monkeypatch.setattr('mmcoop.clip.loading.find_weights', None)
    with pytest.raises(CLIPLoadError, match='pip install tokenizers'):
        load_clip('ViT-B-16-SigLIP', 'webli')
    with pytest.raises(CLIPLoadError, match='Hugging Face .roberta-base'):
        load_clip('roberta-ViT-B-32', 'laion2b_s12b_b32k')
