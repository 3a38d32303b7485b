"""What all fitted heads have in common, and what each of them promises."""
import math
from inspect import signature

import pytest
import torch
import torch.nn.functional as F

from mmcoop.clip import Projection
from mmcoop.features.labelled import LabelledFeatures
from mmcoop.heads import (CLAPHead, CLIPAdapterHead, CrossModalHead, GDAHead,
                          LinearProbeHead, LPPlusPlusHead, ProLIPHead,
                          Selection, TaskResHead, TipAdapterFHead,
                          TipAdapterHead)
from mmcoop.heads import tip_adapter as tip_adapter_module
from mmcoop.heads.cross_modal import train_probes

IDENTITY = Projection(torch.eye(16), None)
HEADS = [(GDAHead, {}), (TipAdapterHead, {}), (TipAdapterFHead, {}),
         (LPPlusPlusHead, dict(epochs=20)), (TaskResHead, dict(epochs=20)),
         (CLIPAdapterHead, dict(epochs=20, lr=.1)),
         (CLAPHead, dict(epochs=20)), (CrossModalHead, dict(steps=300)),
         (ProLIPHead, dict(projection=IDENTITY, lr=1e-2, steps=50))]
TEXT = [pytest.param(*row, id=row[0].__name__) for row in HEADS]
ALL = TEXT + [pytest.param(LinearProbeHead, dict(in_channels=16),
                           id='LinearProbeHead')]


@pytest.fixture
def make(make_head, clouds):

    def build(cls, **kwargs):
        if cls is not LinearProbeHead:
            return make_head(cls, clouds.text, **kwargs)
        pytest.importorskip('sklearn')
        head = cls(**kwargs)
        head.set_classes([str(k) for k in range(5)])
        return head.eval()

    return build


def accuracy(head, images):
    return 100 * head.count(images) / len(images.labels)


@pytest.mark.parametrize('cls,kwargs', ALL)
def test_it_learns_and_comes_back(cls, kwargs, make, clouds):
    """From its state dict alone: shapes, values, classes, a part of them."""
    test = clouds(40, seed=9)
    zero_shot = F.normalize(test.features, dim=1) @ F.normalize(
        clouds.text, dim=1).mT
    start = 100 * float((zero_shot.argmax(1) == test.labels).float().mean())
    head = make(cls, **kwargs)
    torch.manual_seed(0)
    outcome = Selection('val').fit(head, clouds(16, views=3),
                                   clouds(4, seed=5))
    logits = head((test.features, ))
    assert accuracy(head, test) > start + 3  # 76 %
    assert outcome['protocol'] == ('val-4' if head.searches else 'val-free')
    assert (outcome['selected_on'] is None) == (not head.searches)
    again = make(cls, **kwargs)
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again((test.features, )), logits)
    assert again.values == head.values
    again.set_classes(['3', '1'])
    torch.testing.assert_close(again((test.features, )), logits[:, [3, 1]])
    if head.fixes_classes:
        with pytest.raises(ValueError, match='knows the classes it was'):
            again.set_classes(['1', 'new'])
    other = CLAPHead if cls is not CLAPHead else GDAHead
    with pytest.raises(ValueError, match=f'holds no {other.__name__}'):
        make(other).load_state_dict(head.state_dict(), strict=False)


@pytest.mark.parametrize('cls,kwargs', ALL)
def test_what_is_selected_is_what_is_fitted(cls, kwargs, make, clouds):
    """The last fit repeats the selected one, and a second run the first."""
    states = []
    for _ in range(2):
        head = make(cls, **kwargs)
        torch.manual_seed(3)
        val = clouds(4, seed=5)
        outcome = Selection('val').fit(head, clouds(4, views=2), val)
        if head.searches:
            assert accuracy(head, val) == pytest.approx(
                outcome['val_accuracy'])
        states.append(head.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_ways_to_select(make, clouds):
    head = make(GDAHead)
    train, val = clouds(5), clouds(4, seed=5)
    found = Selection('cross-validation', folds=3).fit(head, train)
    assert found['protocol'] == 'val-free'
    assert found['selected_on'] == (
        'cross-validation, 3 folds of the training draw, 25 images')
    by_hand = []
    for power in range(-4, 3):
        right = 0
        for fold in range(3):
            held_out = torch.arange(25) % 5 % 3 == fold
            part = make(GDAHead, alpha=10. ** power)
            part.learn(train.take(~held_out))
            right += part.count(train.take(held_out))
        by_hand.append(100 * right / 25)
    assert [row['val_accuracy'] for row in found['search']] == by_hand
    assert found['selected'] == dict(
        alpha=10. ** (by_hand.index(max(by_hand)) - 4))
    # the head is fitted to all images afterwards
    whole = make(GDAHead)
    whole.learn(train)
    assert torch.equal(head.weight, whole.weight)
    fixed = make(GDAHead, alpha=3.)
    found = Selection('fixed').fit(fixed, train, val)
    assert (found['protocol'], found['selected_on'], found['selected']) == (
        'val-free', None, dict(alpha=3.))
    assert 'search' not in found
    assert not Selection('fixed').needs_val(fixed)
    assert not Selection('val').needs_val(make(TaskResHead))
    for wrong in (dict(source='test'), dict(source='val', folds=1)):
        with pytest.raises(ValueError, match='choose from|at least 2'):
            Selection(**wrong)


def test_single_images_are_never_held_out(make, clouds, logged):
    head, train = make(GDAHead, alpha=3.), clouds(1)
    found = Selection('cross-validation').fit(head, train)
    assert found['selected_on'] is None
    assert found['selected'] == dict(alpha=3.)
    assert any('none can be held out' in line for line in logged)
    uneven = LabelledFeatures(train.views[:, [0, 0, 1]],
                              torch.tensor([0, 0, 1]))
    parts = Selection('cross-validation')._hold_out(uneven)
    assert [held.labels.tolist() for _, held in parts] == [[0], [0]]
    assert [part.labels.tolist() for part, _ in parts] == [[0, 1], [0, 1]]


def test_labels_of_test_images_change_nothing(make, clouds):
    """No head can see them: learn and select take no test images."""
    for cls, _ in HEADS:
        assert list(signature(cls.learn).parameters)[1] == 'train'
    assert list(signature(Selection.fit).parameters) == [
        'self', 'head', 'train', 'val', 'val_name', 'protocol']


def test_parts_of_logits_are_the_whole(make, clouds, monkeypatch):
    """A small bound on memory changes nothing."""
    head, val = make(TipAdapterHead), clouds(4, seed=5)
    outcome = Selection('val').fit(head, clouds(16), val)
    logits = head((val.features, ))
    monkeypatch.setattr(tip_adapter_module, 'LOGITS', 500)
    monkeypatch.setattr(tip_adapter_module, 'PRODUCT', 3)
    torch.testing.assert_close(head((val.features, )), logits)
    assert Selection('val').fit(head, clouds(16), val)['selected'] == \
        outcome['selected']
    with pytest.raises(ValueError, match='model.head.max_cache=4'):
        head.check_size(1 << 27)


def test_no_residual_and_no_ratio_are_zero_shot(make, clouds):
    images = clouds(3)
    zero_shot = 100 * F.normalize(images.features, dim=1) @ F.normalize(
        clouds.text, dim=1).mT
    limits = [make(TaskResHead), make(CLIPAdapterHead, ratio=0.),
              make(TipAdapterHead, alpha=0.), make(GDAHead, alpha=0.)]
    limits[2].learn(images)
    limits[3].learn(images)
    still = make(ProLIPHead, projection=IDENTITY, lr=0., steps=3)
    still.learn(images)
    near = make(CLAPHead, lr=1e-9, epochs=2)
    near.learn(images)
    for head in (*limits, still, near):
        torch.testing.assert_close(head((images.features, )), zero_shot,
                                   rtol=1e-5, atol=1e-3)


def test_the_runner_takes_no_steps(make):
    with pytest.raises(TypeError, match='GDAHead is fitted at once: set'):
        make(GDAHead).loss((torch.zeros(1, 16), ), [])


def test_clap_is_held_where_zero_shot_is_right(make, clouds):
    head, images = make(CLAPHead), clouds(6, views=2)
    features = F.normalize(images.views, dim=-1).flatten(0, 1)
    strength = head.constraint(features, images.labels.repeat(2))
    probabilities = (100 * features @ F.normalize(
        clouds.text, dim=1).mT).softmax(1)
    for k in range(5):
        own = images.labels.repeat(2) == k
        torch.testing.assert_close(strength[k], probabilities[own, k].mean())
    head = make(CLAPHead, epochs=60)
    head.learn(images)
    moved = (head.weight - clouds.text).norm(dim=1)
    # a class that zero-shot knows stays nearer than one that it does not
    assert moved[strength.argmax()] < moved[strength.argmin()]


def test_strong_prolip_stays(make, clouds):
    """The penalty and the gradient of the departure, in the limit."""
    moved = []
    for strength in (0., None, 1e4):
        head = make(ProLIPHead, projection=IDENTITY, strength=strength,
                    lr=1e-3, steps=40)
        head.learn(clouds(4, views=2))
        moved.append(float((head.weight.detach() - torch.eye(16)).norm()))
    assert moved[0] > moved[1] > 10 * moved[2]


def test_cross_modal_steps_are_torchs(clouds):
    """AdamW in closed form, several at once, against autograd."""
    images, text = clouds(8), F.normalize(clouds.text, dim=1)
    samples = [(F.normalize(images.features, dim=1), images.labels),
               (text, torch.arange(5))]
    rates, decays = (1e-3, 1e-2), (0., .1)
    torch.manual_seed(0)
    *_, (steps, weights) = train_probes(
        text, samples, torch.tensor(30.), rates, decays, 8, 70)
    assert steps == 70
    for lr, decay, weight in zip(rates, decays, weights):
        own = text.clone().requires_grad_()
        optim = torch.optim.AdamW([own], lr=lr, weight_decay=decay)
        generator = torch.Generator().manual_seed(torch.initial_seed())
        streams = [iter(()), iter(())]
        for step in range(70):
            rows = []
            for i, (_, labels) in enumerate(samples):
                part = next(streams[i], None)
                if part is None:
                    order = torch.randperm(len(labels), generator=generator)
                    parts = len(labels) // 4 * 4
                    streams[i] = iter(order[:parts].split(4))
                    part = next(streams[i])
                rows.append(part)
            x = torch.cat([f[r] for (f, _), r in zip(samples, rows)])
            y = torch.cat([own_[r] for (_, own_), r in zip(samples, rows)])
            optim.param_groups[0]['lr'] = 1e-5 if step == 0 else lr * (
                step / 50 if step < 50 else
                (1 + math.cos(math.pi * (step - 50) / 70)) / 2)
            optim.zero_grad()
            F.cross_entropy(30 * x @ own.mT, y).backward()
            optim.step()
        torch.testing.assert_close(weight, own.detach(), rtol=1e-4,
                                   atol=1e-5)


def test_gradients_of_what_autograd_trains(make, clouds):
    """Finite differences in fp64, of losses that have no closed form."""
    images = clouds(2).features.double()
    text = F.normalize(clouds.text.double(), dim=1)
    labels = clouds(2).labels
    cases = [(make(TaskResHead), 'residual'), (make(CLAPHead), 'weight')]
    for head, name in cases:
        value = torch.randn(5, 16, dtype=torch.float64).requires_grad_()
        unit = F.normalize(images, dim=1)
        args = (text, ) if name == 'residual' else ()
        assert torch.autograd.gradcheck(
            lambda x: F.cross_entropy(head.compute(
                unit, *args, x).double() / 100, labels), value)


@pytest.mark.parametrize('cls,kwargs', ALL)
def test_scores_of_held_out_images(cls, kwargs, make, clouds):
    """By heads that do not know them; the head itself stays what it is."""
    train = clouds(4, views=2)
    heads, found = [], []
    for keeps in (False, True):
        heads.append(make(cls, **kwargs))
        selection = Selection('cross-validation', folds=2)
        selection.keeps_held_out = keeps
        torch.manual_seed(0)
        found.append(selection.fit(heads[-1], train))
    assert found[0] == found[1] or found[0]['selected'] == found[1]['selected']
    for name, tensor in heads[0].learned().items():
        assert torch.equal(tensor, heads[1].learned()[name]), name
    logits, labels = selection.held_out
    assert logits.shape == (20, 5) and sorted(labels) == sorted(train.labels)
    half = torch.arange(20) % 2 == 0  # the images of the first fold
    alone = make(cls, **kwargs)
    alone.values.update(heads[1].values)
    torch.manual_seed(0)
    alone.learn(train.take(~half), **{
        name: value for name, value in alone.values.items()
        if name not in alone.in_forward})
    torch.testing.assert_close(
        logits[:10], alone((train.features[half], )).detach())
