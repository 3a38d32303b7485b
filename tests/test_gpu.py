"""What differs on a GPU: python -m pytest -m gpu.

That runs the contract of every method (test_contract.py) on it as well.
Without a GPU those here are skipped; MMCOOP_TEST_DEVICE=cpu runs them on CPU,
which shows only that the tests themselves work.
"""
import json
import os
import subprocess

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import RUNNERS
from mmpretrain.registry import MODELS

import mmcoop
from mmcoop.clip import load_clip
from mmcoop.clip.cuda_graphs import TextGraphs
from mmcoop.clip.plain import encode_plain
from mmcoop.protocol.execute import tool_main

from .conftest import ROOT, custom_config
from .engine.test_runner import train

DEVICE = os.environ.get('MMCOOP_TEST_DEVICE', 'cuda')
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE == 'cuda' and not torch.cuda.is_available(), reason='no GPU')
]
on_gpu_alone = pytest.mark.skipif(DEVICE != 'cuda', reason='no GPU')
NAMES = ['kite (bird of prey)', 'T-shirt', 'dog', "jack-o'-lantern"] * 8


def assert_near(ours, theirs, tolerance=1e-4):
    """Within a part of the values' scale: kernels sum in other orders."""
    theirs = theirs.detach().float().cpu()
    error = (ours.detach().float().cpu() - theirs).abs().max().item()
    assert error <= tolerance * theirs.abs().max().item(), error


def gradient(prompt, features):
    weights = torch.linspace(-1, 1, features.numel(), device=features.device)
    loss = (F.normalize(features, dim=-1) * weights.view_as(features)).sum()
    return torch.autograd.grad(loss, prompt.ctx)[0]


@pytest.mark.parametrize('position', ['end', 'middle', 'front'])
@pytest.mark.parametrize('class_specific', [False, True])
def test_text_engine_equals_plain_path(small_clip, position, class_specific):
    tower = load_clip(**small_clip).text_tower.to(DEVICE)
    prompt = MODELS.build(dict(
        type='mmcoop.ContextPrompt', n_ctx=4, class_specific=class_specific,
        class_token_position=position))
    prompt.setup(tower)
    prompt.to(DEVICE).set_classes(NAMES, tower)
    ours = tower(prompt(tower)[0])
    plain = encode_plain(tower, prompt(tower)[0])
    assert ours.device.type == DEVICE
    assert_near(ours, plain)
    assert_near(gradient(prompt, ours), gradient(prompt, plain))


def test_golden_values(vit_file, golden):
    """Logits and the gradient of the published code, computed on the GPU."""
    values, info = golden
    case = 'vit/M4_end_unified'
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=dict(pretrained=vit_file),
        head=dict(type='mmcoop.PromptLearnerHead',
                  prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4))))
    model.set_classes(info['class_names'])
    model.head.prompt.ctx.data.copy_(values[f'{case}/ctx'])
    model.to(DEVICE).train()
    logits = model.head(model.extract_feat(values['images'].to(DEVICE)))
    assert_near(logits, values[f'{case}/logits'])
    F.cross_entropy(logits, values['labels'].to(DEVICE).long()).backward()
    assert_near(model.head.prompt.ctx.grad, values[f'{case}/ctx_grad'])


@on_gpu_alone
@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('prompt', [
    dict(type='mmcoop.ContextPrompt', n_ctx=4),
    dict(type='mmcoop.ContextPrompt', n_ctx=4, class_specific=True),
    dict(type='mmcoop.MultiModalPrompt', depth=3),
    dict(type='mmcoop.ConditionalContextPrompt')])
def test_cuda_graphs_equal_what_they_record(deep_clip, prompt, amp):
    """Features and gradients, as the context changes from step to step."""
    tower = load_clip(**deep_clip).text_tower
    prompt = MODELS.build(prompt)
    prompt.setup(tower)
    tower.to(DEVICE), prompt.to(DEVICE)
    prompt.set_classes(NAMES, tower)
    image = (torch.randn(3, tower.out_channels, device=DEVICE), ) \
        if prompt.sees_images else ()
    graphs = TextGraphs()
    optimizer = torch.optim.SGD(prompt.parameters(), lr=.1)
    for step in range(8):
        found = []
        for encode in (lambda p: graphs.encode(tower, p), tower):
            optimizer.zero_grad()
            with torch.autocast('cuda', torch.float16, enabled=amp):
                features = encode(prompt(tower, *image)[0])
            loss = F.normalize(features.float(), dim=-1)[..., 0].sum()
            loss.backward(retain_graph=True)
            loss.backward()  # as ProGrad's losses, through shared features
            found.append([features, *(p.grad.clone() for p in
                                      prompt.parameters()
                                      if p.grad is not None)])
        for ours, theirs in zip(*found):
            assert_near(ours, theirs, 1e-2 if amp else 1e-5)
        optimizer.step()
    assert graphs.enabled
    assert graphs._seen[-1].recording.uses == 8 - 3


@pytest.mark.parametrize('options', [
    {}, {'cached_views': 6}, {'model.clip.precision': 'bf16'},
    {'model.clip.precision': 'fp16'}, {'model.head.text_memory': 1e-5},
    pytest.param({'optim_wrapper.type': 'AmpOptimWrapper'},
                 marks=on_gpu_alone)
], ids=['fp32', 'cached_views', 'bf16', 'fp16', 'text_memory', 'amp'])
def test_trains(tmp_path, photos, small_clip, options):
    runner, rows = train(custom_config(tmp_path, photos, small_clip,
                                       max_epochs=30, **options))
    assert next(runner.model.parameters()).device.type == DEVICE
    losses = torch.tensor([loss for *_, loss in rows])
    assert losses[-20:].mean() < losses[:20].mean()
    result = json.loads((tmp_path / 'work/result.json').read_text())
    assert ('gpu' in result['peak_memory_mib']) == (DEVICE == 'cuda')
    graphs = runner.model.head.divider.graphs
    assert graphs.enabled
    replays = 'model.head.text_memory' not in options
    assert replays == any(case.recording for case in graphs._seen) \
        or DEVICE == 'cpu'


@on_gpu_alone
def test_overflow_that_the_scaler_handles_is_no_error(tmp_path, photos,
                                                      small_clip):
    """Gradients overflow in fp16: steps are skipped, and the run goes on."""
    start = 2.**40
    runner, rows = train(custom_config(
        tmp_path, photos, small_clip, max_epochs=30, **{
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.loss_scale': dict(init_scale=start)}))
    assert runner.optim_wrapper.loss_scaler.get_scale() < start
    losses = torch.tensor([loss for *_, loss in rows])
    assert losses.isfinite().all()
    assert losses[-10:].mean() < losses[:10].mean()
    assert runner.model.head.prompt.ctx.isfinite().all()


def test_resumes(tmp_path, photos, small_clip):
    """With the context that an undisturbed run learns."""
    contexts = []
    for name, stop_at in (('whole', None), ('again', 7)):
        options = {'optim_wrapper.type': 'AmpOptimWrapper'} \
            if DEVICE == 'cuda' else {}
        cfg = custom_config(tmp_path, photos, small_clip, **options)
        cfg.work_dir = str(tmp_path / name)
        runner, _ = train(cfg, stop_at)
        if stop_at:
            cfg.resume = True
            runner, rows = train(cfg)
            assert len(rows) == 12 - 6  # two iterations an epoch
        contexts.append(runner.model.head.prompt.ctx)
    assert_near(*contexts)


def test_predictions_equal_those_of_the_cpu(tmp_path, photos, small_run):
    """A checkpoint learned on either serves on both."""
    images = sorted(photos.glob('*/*.png'))
    ours, theirs = (mmcoop.load(small_run, device=device).logits(images)
                    for device in (DEVICE, 'cpu'))
    assert_near(torch.as_tensor(ours), torch.as_tensor(theirs))


@pytest.mark.parametrize('head', ['gda', 'tip-adapter', 'lp++', 'taskres'])
def test_heads_equal_those_of_the_cpu(tmp_path, photos, small_clip, head):
    """The same features give the same scores on both."""
    cfg = custom_config(tmp_path, photos, small_clip, 'custom', head=head,
                        selection='fixed')
    runner = RUNNERS.build(cfg)
    runner.train()
    head = runner.model.head
    features = torch.randn(64, head.in_channels,
                           generator=torch.Generator().manual_seed(0))
    scores = head((features.to(DEVICE), ))
    assert scores.device.type == DEVICE
    assert_near(scores, head.cpu()((features, )))


@on_gpu_alone
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='one GPU')
def test_two_gpus(tmp_path, photos, small_clip):
    """DDP over NCCL ends with the context that one process learns."""
    contexts = []
    for ranks in (1, 2):
        cfg = custom_config(
            tmp_path / str(ranks), photos, small_clip,
            **{'train_dataloader.batch_size': 4 // ranks})
        cfg.work_dir = str(tmp_path / f'work{ranks}')
        path = tmp_path / f'config{ranks}.py'
        cfg.dump(path)
        subprocess.run(['bash', str(ROOT / 'tools/dist_train.sh'), str(path),
                        str(ranks)], check=True, timeout=300)
        state = torch.load(tmp_path / f'work{ranks}/epoch_6.pth',
                           map_location='cpu', weights_only=True)
        contexts.append(state['state_dict']['head.prompt.ctx'])
    assert_near(contexts[1], contexts[0], 1e-3)


def test_adaptation_at_test_time(tmp_path, photos, small_clip, monkeypatch):
    monkeypatch.chdir(ROOT)
    tool_main(ROOT / 'tools/test.py')([
        'configs/coop/coop_vit-b16_16shot_custom.py', '--tta', 'tpt',
        '--work-dir', str(tmp_path / 'out'), '--cfg-options',
        f'data_root={photos}', 'num_workers=0', 'tta_model.views=8',
        'test_dataloader.persistent_workers=False',
        'model.head.prompt.ctx_init=a photo of a',
        f'model.clip.model_name={small_clip["model_name"]}',
        f'model.clip.pretrained={small_clip["pretrained"]}'])
    result = json.loads((tmp_path / 'out/result_test.json').read_text())
    assert result['tta']['top1_without'] >= 0
