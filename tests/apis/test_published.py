"""Published checkpoints: read, tested, written back, without their code."""
import json
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmcoop
from mmcoop.apis import (read_published, to_mmcoop, to_published,
                         write_published)
from mmcoop.apis.published import find_config, read_options
from mmcoop.cfg_options import merge_options, parse_values
from mmcoop.clip import keep_clips
from mmcoop.config import resolve
from mmcoop.protocol.execute import tool_main

from ..conftest import DATA, GOLDEN, ROOT, golden_state_dict
from ..models.test_golden import assert_equal

FILES = GOLDEN / 'published_checkpoints'
RUNS = sorted(FILES.glob('*/seed1'))
TO_MMCOOP = ROOT / 'tools/model_converters/published_to_mmcoop.py'
TO_PUBLISHED = ROOT / 'tools/model_converters/mmcoop_to_published.py'


@pytest.fixture(scope='module', autouse=True)
def clips():
    with keep_clips():
        yield


def convert(published, clip_file, classes=None, **more):
    options = {**read_options(published), 'model.clip.model_name': 'None',
               'model.clip.pretrained': clip_file, **more}
    cfg = Config.fromfile(find_config(published))
    merge_options(cfg, parse_values(options))
    return to_mmcoop(published, resolve(cfg, options), classes)


def save_as_published(folder, tensors, names=None, prefix='', epoch=50):
    """As Dassl saves a run: the scheduler is a pickled object, which holds
    the optimiser with its momenta."""
    ctx = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([ctx], lr=0.002, momentum=0.9)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epoch)
    ctx.sum().backward()
    optimizer.step()
    state = OrderedDict((prefix + key, torch.as_tensor(value))
                        for key, value in tensors.items())
    folder.mkdir(parents=True)
    torch.save(dict(
        state_dict=state, epoch=epoch, optimizer=optimizer.state_dict(),
        scheduler=dict(successor=successor, warmup_epoch=1), val_result=None),
        folder / f'model.pth.tar-{epoch}')
    (folder / 'checkpoint').write_text(f'model.pth.tar-{epoch}\n')
    return read_published(folder)


@pytest.mark.parametrize('run', RUNS, ids=lambda run: run.parent.name)
def test_round_trip(run, vit_file, golden, tmp_path):
    """Read, loaded without a config, written: the same tensors."""
    _, info = golden
    published = read_published(run)
    assert published.epoch == (200 if 'True' in str(run) else 50)
    assert set(published.buffers) == {'token_prefix', 'token_suffix'}
    path = tmp_path / 'ours.pth'
    torch.save(convert(published, vit_file, info['class_names']), path)
    classifier = mmcoop.load(path, device='cpu')
    assert classifier.classes == info['class_names']
    csc = published.tensors['ctx'].ndim == 3
    assert classifier.record['method'] == (
        'coop-m4-middle-csc' if csc else 'coop-m16-end')
    torch.testing.assert_close(
        classifier.model.head.prompt.ctx.detach(),
        published.tensors['ctx'].float(), rtol=0, atol=0)
    write_published(to_published(classifier, published.epoch,
                                 published.precision), tmp_path / 'back')
    again = read_published(tmp_path / 'back')
    assert again.epoch == published.epoch
    for mine, theirs in ((again.tensors, published.tensors),
                         (again.buffers, published.buffers)):
        assert set(mine) == set(theirs)
        for name, tensor in theirs.items():
            assert mine[name].dtype == tensor.dtype
            assert torch.equal(mine[name], tensor)


def test_names_that_the_file_spells(vit_file, golden):
    """They are the tokenizer's, and give the same class features."""
    values, info = golden
    published = read_published(RUNS[0])
    told, given = (convert(published, vit_file, names)
                   for names in (None, info['class_names']))
    names = told['meta']['mmcoop']['classes']
    assert names[:2] == ['goldfish', 'kite ( bird of prey )']
    assert names[6] == 'water lilly' and names[3] == 'cd player'
    features = []
    for checkpoint in (told, given):
        model = mmcoop.registry.MODELS.build(checkpoint['meta']['mmcoop'][
            'model']).eval()
        model.load_state_dict(checkpoint['state_dict'])
        with torch.no_grad():
            features.append(model.head.text_features())
    assert torch.equal(*features)


@pytest.mark.parametrize('case', ['M16_end_unified', 'M4_middle_csc',
                                  'M4_front_unified'])
def test_logits_of_the_published_code(case, vit_file, golden, tmp_path):
    values, info = golden
    size, position, kind = case.split('_')
    folder = (f'nctx{size[1:]}_csc{kind == "csc"}_ctp{position}/seed1/'
              'prompt_learner')
    published = save_as_published(
        tmp_path / folder, dict(ctx=values[f'vit/{case}/ctx']))
    model = load(published, vit_file, info['class_names'], tmp_path).model
    assert_equal(logits(model, values['images']), values[f'vit/{case}/logits'])


def load(published, clip_file, names, tmp_path, **options):
    path = tmp_path / 'ours.pth'
    torch.save(convert(published, clip_file, names, **options), path)
    return mmcoop.load(path, device='cpu')


def logits(model, images):
    with torch.no_grad():
        return model.head(model.extract_feat(images))


class TestOtherMethods:
    """By the golden values of their published codes."""

    def read(self, name):
        return {key.replace('|', '/'): torch.from_numpy(value) for key, value
                in np.load(GOLDEN / f'{name}.npz').items()}

    def check(self, published, values, wanted, clip_file, names, tmp_path,
              method):
        classifier = load(published, clip_file, names, tmp_path)
        assert classifier.record['method'] == method
        assert_equal(logits(classifier.model, values['images']), wanted)
        write_published(to_published(classifier, 10), tmp_path / 'back')
        again = read_published(tmp_path / 'back')
        assert again.method == published.method and again.epoch == 10
        assert set(again.tensors) == set(published.tensors)
        assert all(torch.equal(again.tensors[name], tensor)
                   for name, tensor in published.tensors.items())

    def test_cocoop(self, vit_file, golden, tmp_path):
        values = self.read('cocoop')
        tensors = {key.replace('meta_net/', 'meta_net.'): value
                   for key, value in values.items()
                   if key == 'ctx' or key.startswith('meta_net/')}
        published = save_as_published(tmp_path / 'a', tensors)
        self.check(published, values, values['logits'], vit_file,
                   golden[1]['class_names'], tmp_path, 'cocoop')

    def test_kgcoop(self, vit_file, golden, tmp_path):
        """Its file has parts that its code never uses."""
        values = self.read('kgcoop')
        published = save_as_published(
            tmp_path / 'KgCoOp/prompt_learner',
            {'ctx': values['ctx_moved'], 'bias_vectors': torch.zeros(1, 512),
             'meta_net.linear1.weight': torch.zeros(4, 4),
             'meta_net.linear1.bias': torch.zeros(4)})
        self.check(published, values, values['logits'], vit_file,
                   golden[1]['class_names'], tmp_path, 'kgcoop')

    def test_prograd(self, vit_file, golden, tmp_path):
        values = self.read('prograd')
        published = save_as_published(tmp_path / 'ProGrad/prompt_learner',
                                      dict(ctx=values['conflict/ctx']))
        self.check(published, values, values['conflict/logits'], vit_file,
                   golden[1]['class_names'], tmp_path, 'prograd')

    def test_maple(self, golden, tmp_path):
        """Its file has the whole CLIP; projections were in fp16 or fp32."""
        clip_file = tmp_path / 'deep_vit.pt'
        torch.save(golden_state_dict(vision_layers=3), clip_file)
        values = self.read('maple')
        tensors = {key.removeprefix('param/'): value for key, value
                   in values.items() if key.startswith('param/')}
        path = tmp_path / 'MultiModalPromptLearner'
        published = save_as_published(path, tensors, prefix='prompt_learner.')
        self.check(published, values, values['logits'], str(clip_file),
                   golden[1]['class_names'], tmp_path, 'maple (depth=3)')
        assert (tmp_path / 'back' / path.name / 'model.pth.tar-10').is_file()


def test_what_folders_tell(tmp_path):
    folder = (tmp_path / 'output/oxford_pets/CoOp/vit_b16_ep50_8shots'
              '/nctx4_cscFalse_ctpmiddle/seed3')
    published = save_as_published(folder / 'prompt_learner',
                                  dict(ctx=torch.zeros(4, 8)))
    assert read_options(published) == {
        'dataset': 'oxford_pets', 'model.clip.model_name': 'ViT-B-16',
        'shots': '8', 'seed': '3', 'model.head.prompt.n_ctx': '4',
        'model.head.prompt.class_specific': 'False',
        'model.head.prompt.class_token_position': 'middle'}
    os.rename(folder.parent, folder.parents[1] / 'nctx16_cscFalse_ctpend')
    published = read_published(folder.parents[1] / 'nctx16_cscFalse_ctpend'
                               / 'seed3')
    with pytest.raises(ValueError, match=r'its context has the shape \[4, 8'):
        read_options(published)


class TestMistakes:

    @pytest.mark.parametrize('change,message', [
        (lambda names: names[::-1], r"class 0 is 'goldfish' there, 'Herb"),
        (lambda names: names[:3], 'for 14 classes, and there are 3 names'),
    ])
    def test_other_classes(self, vit_file, golden, change, message):
        names = change(golden[1]['class_names'])
        with pytest.raises(ValueError, match=message):
            convert(read_published(RUNS[1]), vit_file, names)

    def test_another_clip(self, rn_file, small_clip, tmp_path):
        with pytest.raises(ValueError, match='of width 128, and'):
            convert(read_published(RUNS[0]), small_clip['pretrained'],
                    **{'model.clip.model_name': small_clip['model_name']})
        other = golden_state_dict()
        other['token_embedding.weight'] += 1
        torch.save(other, tmp_path / 'other.pt')
        with pytest.raises(ValueError, match='words that .* does not know'):
            convert(read_published(RUNS[0]), str(tmp_path / 'other.pt'))

    def test_other_tensors(self, vit_file, tmp_path):
        published = save_as_published(tmp_path / 'a', {
            'ctx': torch.zeros(4, 128), 'prefix_MLP.0.weight': torch.ones(2)})
        with pytest.raises(ValueError, match=r'prefix_MLP.0.weight \[2\] in '
                           'the file'):
            convert(published, vit_file, ['a', 'b'])
        published = save_as_published(tmp_path / 'b', {
            'ctx': torch.zeros(4, 128)})
        with pytest.raises(ValueError, match='holds no class names'):
            convert(published, vit_file)
        published.tensors['ctx'] = torch.zeros(3, 4, 128)
        with pytest.raises(ValueError, match=r'ctx \[3, 4, 128\] in the file'):
            convert(published, vit_file, ['a', 'b'])


def test_class_specific_on_a_data_set(vit_file, tmp_path):
    """Which is tested on the names as the data set writes them."""
    data = ['dataset=eurosat', f'data_root={DATA}',
            'model.clip.model_name=None', f'model.clip.pretrained={vit_file}']
    run = tmp_path / 'nctx4_cscTrue_ctpend/seed1'
    save_as_published(run / 'prompt_learner',
                      dict(ctx=torch.randn(10, 4, 128)))
    path = tmp_path / 'ours.pth'
    tool_main(TO_MMCOOP)([str(run), str(path), '--cfg-options', *data])
    tool_main(ROOT / 'tools/test.py')([
        'coop/coop_vit-b16_16shot_imagenet.py', str(path), '--work-dir',
        str(tmp_path), '--cfg-options', *data, 'num_workers=0',
        'model.head.prompt.n_ctx=4', 'model.head.prompt.class_specific=True'])
    result = json.loads((tmp_path / 'result_test.json').read_text())
    assert result['method'] == 'coop-m4-end-csc'


def test_command_lines(vit_file, photos, tmp_path, capsys):
    """To mmcoop, tested on photos, and back."""
    clip = ['model.clip.model_name=None', f'model.clip.pretrained={vit_file}']
    path = tmp_path / 'ours.pth'
    main = tool_main(TO_MMCOOP)
    main([str(RUNS[0]), str(path), '--cfg-options', *clip])
    out = capsys.readouterr().out
    assert 'epoch 50, fp16, context [16, 128], 14 classes (goldfish' in out
    options = out.splitlines()[-1].partition('--cfg-options ')[2].split()
    tool_main(ROOT / 'tools/test.py')([
        'coop/coop_vit-b16_16shot_imagenet.py', str(path), '--work-dir',
        str(tmp_path / 'test'), '--cfg-options', *options, 'dataset=folder',
        f'data_root={photos}', 'num_workers=0'])
    assert (tmp_path / 'test/result_test.json').is_file()
    tool_main(TO_PUBLISHED)([str(path), str(tmp_path / 'back')])
    assert 'CoOp, fp16, context [16, 128]' in capsys.readouterr().out
    assert (tmp_path / 'back/prompt_learner/model.pth.tar-50').is_file()
    content = torch.load(path)
    content['meta']['epoch'] = '/../../../50'
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match="its epoch is '/../../../50'"):
        tool_main(TO_PUBLISHED)([str(tmp_path / 'odd.pth'), 'x'])
    names = tmp_path / 'names.txt'
    names.write_text('cat\ndog\n')
    with pytest.raises(ValueError, match='for other class names: class 0 is '
                       "'goldfish' there, 'cat' here"):
        main([str(RUNS[0]), str(path), '--classes', str(names),
              '--cfg-options', *clip])
    for words in ([str(tmp_path / 'no'), 'a.pth'], [str(RUNS[0]), 'a.pt'],
                  [str(RUNS[0]), 'a.pth', '--config', 'no.py']):
        with pytest.raises(SystemExit):
            main(words)
