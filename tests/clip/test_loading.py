"""Every way into a CLIP, and every way it can fail."""
import contextlib
import functools
import http.server
import json
import threading

import open_clip
import pytest
import torch
import torch.nn as nn
from open_clip import pretrained as open_clip_pretrained

from mmcoop.clip import CLIPLoadError, load_clip

from ..conftest import SHARED, golden_state_dict, needs_shared


def quick_gelu(clip) -> bool:
    block = clip.text_tower.transformer.resblocks[0]
    return type(block.mlp.gelu).__name__ == 'QuickGELU'


def as_archive(state, path):
    """A TorchScript archive with OpenAI's names, as the original files are."""

    class Node(nn.Module):

        def forward(self):
            return 0

    root = Node()
    extra = dict(
        input_resolution=torch.tensor(64),
        context_length=torch.tensor(77),
        vocab_size=torch.tensor(49408))
    for key, value in {**state, **extra}.items():
        *parents, name = key.split('.')
        node = root
        for parent in parents:
            if not hasattr(node, parent):
                node.add_module(parent, Node())
            node = getattr(node, parent)
        node.register_buffer(name, value.half() if value.is_floating_point()
                             else value)
    torch.jit.script(root).save(str(path))


def golden_config(path):
    path.write_text(
        json.dumps(
            dict(
                embed_dim=64,
                vision_cfg=dict(
                    image_size=64, layers=2, width=64, patch_size=16),
                text_cfg=dict(
                    context_length=77,
                    vocab_size=49408,
                    width=128,
                    heads=2,
                    layers=3))))
    return str(path)


class TestGoldenFiles:

    def test_all_file_kinds_agree(self, tmp_path):
        from safetensors.torch import save_file
        state = golden_state_dict()
        torch.save(state, tmp_path / 'plain.pt')
        torch.save({'state_dict': {f'module.{k}': v
                                   for k, v in state.items()}},
                   tmp_path / 'training.pt')
        save_file({k: v.contiguous() for k, v in state.items()},
                  tmp_path / 'safe.safetensors')
        as_archive(state, tmp_path / 'archive.pt')
        image = torch.randn(1, 3, 64, 64)
        features = []
        for name in ('plain.pt', 'training.pt', 'safe.safetensors',
                     'archive.pt'):
            clip = load_clip(pretrained=str(tmp_path / name))
            assert quick_gelu(clip), name
            assert clip.image_tower.image_size == 64
            features.append(clip.image_tower(image)[0])
        for other in features[1:]:
            assert torch.equal(features[0], other)
        assert next(clip.text_tower.parameters()).dtype == torch.float32

    def test_archive_under_a_plain_name_gets_quick_gelu(self, tmp_path):
        as_archive(golden_state_dict(), tmp_path / 'archive.pt')
        name = golden_config(tmp_path / 'mmcoop-test-golden.json')
        clip = load_clip(name, str(tmp_path / 'archive.pt'))
        assert quick_gelu(clip)
        torch.save(golden_state_dict(), tmp_path / 'plain.pt')
        assert not quick_gelu(load_clip(name, str(tmp_path / 'plain.pt')))
        assert quick_gelu(
            load_clip(name, str(tmp_path / 'plain.pt'), quick_gelu=True))

    def test_resnet(self, rn_file):
        clip = load_clip(pretrained=rn_file)
        stats = clip.image_tower.visual.bn1.running_mean.clone()
        clip.image_tower.train()
        assert not clip.image_tower.visual.training
        clip.image_tower(torch.randn(4, 3, 64, 64))
        assert torch.equal(stats, clip.image_tower.visual.bn1.running_mean)

    def test_truncated_files(self, tmp_path, vit_file):
        data = open(vit_file, 'rb').read()
        for name in ('short.pt', 'short.safetensors'):
            (tmp_path / name).write_bytes(data[:len(data) // 2])
            with pytest.raises(CLIPLoadError, match='cut short'):
                load_clip(pretrained=str(tmp_path / name))

    def test_pickled_code_is_not_run(self, tmp_path):
        """A file that would run code when unpickled is refused."""

        class Bomb:

            def __reduce__(self):
                return (open, (str(tmp_path / 'ran'), 'w'))

        torch.save({'visual.proj': Bomb()}, tmp_path / 'bomb.pt')
        with pytest.raises(CLIPLoadError, match='bomb.pt'):
            load_clip(pretrained=str(tmp_path / 'bomb.pt'))
        assert not (tmp_path / 'ran').exists()

    def test_another_architecture(self, vit_file):
        with pytest.raises(CLIPLoadError, match='do not belong to ViT-B-32'):
            load_clip('ViT-B-32', vit_file)


def test_not_a_clip(tmp_path):
    torch.save({'weight': torch.zeros(3)}, tmp_path / 'other.pt')
    with pytest.raises(CLIPLoadError, match='give clip.model_name'):
        load_clip(pretrained=str(tmp_path / 'other.pt'))
    torch.save({'epoch': 3}, tmp_path / 'empty.pt')
    with pytest.raises(CLIPLoadError, match='no tensors'):
        load_clip(pretrained=str(tmp_path / 'empty.pt'))


def test_names():
    with pytest.raises(CLIPLoadError, match='unknown CLIP'):
        load_clip('ViT-B-17', 'openai')
    with pytest.raises(CLIPLoadError, match='nor a tag of ViT-B-16'):
        load_clip('ViT-B/16', 'opanai')
    with pytest.raises(CLIPLoadError, match='no such CLIP model config'):
        load_clip('nowhere/x.json', 'openai')
    with pytest.raises(CLIPLoadError, match='a tag needs clip.model_name'):
        load_clip(pretrained='openai')
    with pytest.raises(CLIPLoadError, match="model_name='ViT-B-16'"):
        load_clip()


@contextlib.contextmanager
def server(folder):
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()


@pytest.fixture
def tag(monkeypatch):
    """Give the small test model an open_clip tag."""

    def add(name, **cfg):
        monkeypatch.setitem(open_clip_pretrained._PRETRAINED, name,
                            {'test': cfg})

    return add


def test_download_of_a_tag(tmp_path, tag, monkeypatch):
    """The tag's QuickGELU reaches the towers; the file is kept."""
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'www').mkdir()
    torch.save(golden_state_dict(), tmp_path / 'www/weights.pt')
    name = golden_config(tmp_path / 'mmcoop-test-tagged.json')
    with server(tmp_path / 'www') as url:
        tag('mmcoop-test-tagged', url=f'{url}/weights.pt', quick_gelu=True,
            mean=(.5, .5, .5))
        clip = load_clip(name, 'test', cache_dir=str(tmp_path / 'cache'))
        assert quick_gelu(clip) and clip.preprocessing.mean == (.5, .5, .5)
    # the server is gone; the cached file is found
    load_clip(name, 'test', cache_dir=str(tmp_path / 'cache'))


def test_no_network(tmp_path, tag, small_clip, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    name = 'mmcoop-test-small'
    tag(name, url='http://127.0.0.1:9/weights.pt')
    with pytest.raises(CLIPLoadError) as error:
        load_clip(small_clip['model_name'], 'test')
    assert 'fetch http://127.0.0.1:9/weights.pt' in str(error.value)
    assert "clip.pretrained='/path/to/that/file'" in str(error.value)


def test_openai_tags_know_quick_gelu():
    """What load_clip relies on, for every architecture of the issue."""
    for name in ('RN50', 'RN101', 'ViT-B-32', 'ViT-B-16', 'ViT-L-14'):
        cfg = open_clip.get_pretrained_cfg(name, 'openai')
        assert cfg['quick_gelu'] and cfg['url'].endswith('.pt')


@needs_shared('mini_clip')
def test_real_clip():
    folder = SHARED / 'mini_clip'
    clip = load_clip(
        str(folder / 'mini-mobilenetv2.json'),
        str(folder / 'mini_clip.safetensors'))
    assert clip.text_tower.packable and clip.image_tower.image_size == 160


def test_frozen(small_clip):
    clip = load_clip(**small_clip)
    for tower in (clip.image_tower, clip.text_tower):
        tower.train()
        assert not any(m.training for m in tower.modules())
        assert not any(p.requires_grad for p in tower.parameters())
        assert not tower.state_dict()
        assert not any(tower.load_state_dict({}))
    with pytest.raises(ValueError, match='takes 32 x 32'):
        clip.image_tower(torch.zeros(1, 3, 48, 48))
