"""Two stages: what learns in each, what carries over, which classes."""
import shutil

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmpretrain.registry import MODELS

from mmcoop.engine import TwoStageHook
from mmcoop.heads import read_record

from .test_step_loop import cosine, make_runner

NAMES = ['kite', 'dog', 'sea']


class Watch(Hook):
    """What the steps begin with, and the logits of fixed images."""
    priority = 'LOWEST'

    def __init__(self, model):
        self.model, self.steps = model, []
        self.images = torch.randn(2, 3, 32, 32)

    @torch.no_grad()
    def look(self):
        head = self.model.head
        self.model.eval()
        logits = self.model(self.images)
        self.model.train()
        norms = [p.clone() for part in (self.model, head)
                 for p in part.tower_adapter.parameters()]
        self.steps.append((int(head.stage), logits, norms,
                           head.classifier.clone()))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.look()

    def after_train(self, runner):
        self.look()


def test_the_stages_of_a_run(tmp_path, photos, small_clip):
    runner, record = make_runner('2sfs', tmp_path, photos, small_clip,
                                 **{'optim_wrapper.optimizer.lr': 2e-4})
    watch = Watch(runner.model)
    runner.register_hook(watch)
    runner.train()  # 15 steps, of which 9 are the first stage's
    assert [step[0] for step in watch.steps] == 9 * [1] + 7 * [2]
    assert record.rates == pytest.approx(cosine(9) + cosine(6), rel=1e-6)
    norms = [torch.cat([p.flatten() for p in step[2]])
             for step in watch.steps]
    rows = [step[3] for step in watch.steps]
    for i in range(15):
        first = i < 9
        assert torch.equal(norms[i], norms[i + 1]) != first
        if i != 8:  # the step before the classifier starts
            assert torch.equal(rows[i], rows[i + 1]) == first
    # the classifier starts as the text features: what the model says stays
    head = runner.model.head
    with torch.no_grad():
        head.stage.fill_(1)
        text = head.eval().text_features()
        head.stage.fill_(2)
    torch.testing.assert_close(rows[9], text)
    assert not rows[8].any()
    torch.testing.assert_close(head.text_features(),
                               F.normalize(rows[-1], dim=-1))
    # Adam has counted the steps of each stage alone
    state = runner.optim_wrapper.optimizer.state
    assert int(state[head.classifier]['step']) == 6
    assert {int(state[p]['step']) for part in (runner.model, head)
            for p in part.tower_adapter.parameters()} == {9}


def build(clip, classes=NAMES):
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip,
        tower_adapter=dict(type='mmcoop.LayerNorms'),
        head=dict(type='mmcoop.TwoStageHead', classes=classes,
                  prompt=dict(type='mmcoop.TemplatePrompt'))))
    return model.eval()


@torch.no_grad()
def test_no_jump_between_the_stages(small_clip):
    model, images = build(small_clip), torch.randn(4, 3, 32, 32)
    for p in model.head.tower_adapter.parameters():
        p.add_(0.1 * torch.randn_like(p))
    before = model(images)
    model.head.start_second_stage()
    torch.testing.assert_close(model(images), before)
    model.head.classifier.mul_(3)  # a cosine classifier
    torch.testing.assert_close(model(images), before)


@torch.no_grad()
def test_classes_that_are_new(small_clip, tmp_path):
    model = build(small_clip)
    head = model.head
    head.start_second_stage()
    head.classifier.copy_(torch.randn(3, 32))
    rows = F.normalize(head.classifier, dim=-1)
    model.set_classes(['sea', 'a steam engine', 'kite'])
    mixed = head.text_features()
    head.stage.fill_(1)
    text = head.text_features()
    head.stage.fill_(2)
    assert torch.equal(mixed[[0, 2]], rows[[2, 0]])
    assert torch.equal(mixed[1], text[1])
    # saved while it has other classes, and read by a model with others
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    for classes in (None, ['cat'], NAMES):
        again = build(small_clip, classes)
        again.load_state_dict(torch.load(tmp_path / 'a.pth'))
        again.set_classes(NAMES)
        assert torch.equal(again.head.text_features(), rows)


@torch.no_grad()
def test_classes_that_share_a_name(small_clip):
    """Ids tell them apart; without ids names are enough."""
    head = build(small_clip, None).head
    head.set_classes(['crane', 'crane', 'sea'], ['n1', 'n2', 'n3'])
    head.start_second_stage()
    head.classifier.copy_(torch.randn(3, 32))
    rows = F.normalize(head.classifier, dim=-1)
    head.set_classes(['crane', 'crane'], ['n2', 'n1'])
    assert torch.equal(head.text_features(), rows[[1, 0]])
    head.set_classes(['sea'])
    assert torch.equal(head.text_features(), rows[[2]])


def test_resumed_in_each_stage(tmp_path, photos, small_clip):
    runner, _ = make_runner('2sfs', tmp_path, photos, small_clip,
                            max_epochs=4, **{
                                'default_hooks.checkpoint.max_keep_ckpts': 9})
    runner.train()
    whole, = [torch.load(tmp_path / 'work/epoch_4.pth')['state_dict']]
    for epoch in (1, 3):  # 12 steps, of which 7 are the first stage's
        folder = tmp_path / f'from{epoch}'
        folder.mkdir()
        shutil.copy(tmp_path / f'work/epoch_{epoch}.pth', folder)
        again, _ = make_runner(
            '2sfs', tmp_path, photos, small_clip, max_epochs=4, resume=True,
            load_from=str(folder / f'epoch_{epoch}.pth'),
            work_dir=str(folder))
        again.train()
        state = torch.load(folder / 'epoch_4.pth')['state_dict']
        for key, value in whole.items():
            torch.testing.assert_close(state[key], value, rtol=1e-5,
                                       atol=1e-6, msg=key)


def test_refused(tmp_path, photos, small_clip):
    with pytest.raises(ValueError, match='vector for each class'):
        MODELS.build(dict(type='mmcoop.CoOp', clip=small_clip, head=dict(
            type='mmcoop.TwoStageHead',
            prompt=dict(type='mmcoop.ConditionalContextPrompt'))))
    runner, _ = make_runner('clip-lora', tmp_path, photos, small_clip)
    runner.register_hook(TwoStageHook())
    with pytest.raises(TypeError, match='no second stage'):
        runner.train()
    plain = MODELS.build(dict(
        type='mmcoop.CoOp', clip=small_clip,
        tower_adapter=dict(type='mmcoop.LayerNorms'),
        head=dict(type='mmcoop.PromptLearnerHead', classes=NAMES,
                  prompt=dict(type='mmcoop.TemplatePrompt'))))
    with pytest.raises(ValueError, match='no classifier'):
        build(small_clip).load_state_dict(plain.state_dict(), strict=False)


def test_averages_know_their_stage(tmp_path, photos, small_clip):
    """EMA saves the average in the model's place, buffers included."""
    runner, _ = make_runner('2sfs', tmp_path, photos, small_clip,
                            max_epochs=2)
    runner.register_hook(HOOKS.build(dict(type='EMAHook')))
    runner.train()
    saved = torch.load(tmp_path / 'work/epoch_2.pth')
    for state, prefix in ((saved['state_dict'], ''),
                          (saved['ema_state_dict'], 'module.')):
        assert state[f'{prefix}head.stage'] == 2
        record = read_record(state[f'{prefix}head.record'])
        assert record['known_ids'] == ['grass', 'red_fox', 'snow']
