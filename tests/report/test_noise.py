"""Runs with wrong labels: a kind of table to themselves."""
from dataclasses import replace

import pytest

from mmcoop.report.pictures import figures
from mmcoop.report.records import make_frame, read_records
from mmcoop.report.tables import KINDS, table

from .results import record, seeds, write_result
from .test_pictures import labels, lines
from .test_tables import cells

RATES = (0., .25, .5)


def noisy(dataset, method, shots, rate, *top1, kind='symmetric', **others):
    others = {'epochs': 200, **others}
    return seeds(dataset, method, shots, *top1, noise=rate,
                 noise_kind=kind if rate else None, **others)


RUNS = [run for dataset, lift in (('eurosat', 0), ('dtd', 20))
        for method, loss in (('coop-m16-end', 40), ('coop-gce', 8))
        for rate in RATES
        for run in noisy(dataset, method, 16, rate,
                         60 + lift - loss * rate - 2,
                         60 + lift - loss * rate + 2)]
ZERO_SHOT = [record('eurosat', 'zeroshot-own', top1=40.),
             record('dtd', 'zeroshot-own', top1=50.)]


def test_of_a_result(tmp_path):
    noise = dict(kind='pair', rate=.25, seed=1, flipped=40, images=160)
    write_result(tmp_path / 'a', label_noise=noise)
    write_result(tmp_path / 'b', label_noise=dict(noise, seed=7))
    write_result(tmp_path / 'c', label_noise=None)
    write_result(tmp_path / 'd', 'result_test.json', trained_on=dict(
        dataset='eurosat', shots=16, seed=1, max_epochs=200,
        label_noise=dict(noise, kind='symmetric')))
    found = {run.path.parent.name: (run.noise, run.noise_kind, run.noise_seed)
             for run in read_records([tmp_path])}
    assert found == {'a': (.25, 'pair', None), 'b': (.25, 'pair', 7),
                     'c': (0., None, None), 'd': (.25, 'symmetric', None)}


def test_a_table():
    parts = {part.name: part for part in table('noise', RUNS + ZERO_SHOT)}
    assert list(parts) == [f'noise-symmetric-RN50-{name}'
                           for name in ('average', 'dtd', 'eurosat')]
    part = parts['noise-symmetric-RN50-eurosat']
    assert part.header == ['method', '0 %', '25 %', '50 %']
    assert part.title == (
        'EuroSAT, RN50, 16 shots, symmetric label noise: top-1 (%) by the '
        'part of the training labels that is wrong')
    assert cells(part) == {
        ('zero-shot', ): ['40.00'] * 3,
        ('CoOp M=16, end', ): ['60.00 ± 2.00', '50.00 ± 2.00',
                               '40.00 ± 2.00'],
        ('CoOp M=16, end, GCE', ): ['60.00 ± 2.00', '58.00 ± 2.00',
                                    '56.00 ± 2.00']}
    assert cells(parts['noise-symmetric-RN50-average'])[
        'CoOp M=16, end, GCE', ] == ['70.00 ± 2.00', '68.00 ± 2.00',
                                     '66.00 ± 2.00']
    assert any(note.startswith('Labels of the training draw are wrong on')
               for note in part.notes)


def test_rounding_is_said():
    one = noisy('eurosat', 'coop-m16-end', 1, .25, 50., wrong=0.) + \
        noisy('eurosat', 'coop-m16-end', 1, .5, 50., wrong=.5)
    part, = table('noise', one)
    said = [note for note in part.notes if note.startswith('Rounding')]
    assert said == ['Rounding leaves 0.0 % of the labels wrong where 25 % are '
                    'said.']


def test_missing_runs_are_named():
    part, = table('noise', [run for run in RUNS if run.dataset == 'dtd' and (
        run.noise, run.seed) != (.25, 2)])
    assert cells(part)['CoOp M=16, end', ][1] == '68.00 (1 seed)'
    assert ('Seeds missing: 2 of CoOp M=16, end (DTD 16-shot 25 % noise).'
            in part.notes)


def test_kinds_and_settings_are_never_averaged():
    """Same draws and rates: pairs, other epochs, another noise seed."""
    poison = noisy('eurosat', 'coop-m16-end', 16, .25, 10., 10.,
                   kind='pair') + \
        noisy('eurosat', 'coop-m16-end', 16, .25, 20., 20., epochs=5) + \
        noisy('eurosat', 'coop-m16-end', 16, .25, 30., 30., noise_seed=9) + \
        noisy('eurosat', 'coop-m16-end', 1, .25, 5., 5.)
    runs = [r for r in RUNS if r.dataset == 'eurosat'] + poison
    parts = {part.name: cells(part) for part in table('noise', runs)}
    rows = parts['noise-symmetric-RN50-eurosat']
    assert {name: row[1] for (name, ), row in rows.items()} == {
        'CoOp M=16, end': '50.00 ± 2.00',
        'CoOp M=16, end (5 epochs)': '20.00 ± 0.00',
        'CoOp M=16, end (noise seed 9)': '30.00 ± 0.00',
        'CoOp M=16, end, GCE': '58.00 ± 2.00'}
    rows = parts['noise-pair-RN50-eurosat']
    assert {name: row for (name, ), row in rows.items()} == {
        'CoOp M=16, end': ['60.00 ± 2.00', '10.00 ± 0.00']}


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != 'noise'])
def test_no_other_kind_has_them(kind):
    """As many runs with noise as without: none counts."""
    clean = {
        'ensembles': [record('imagenet', 'zeroshot-ensemble7', top1=50.),
                      *seeds('imagenet', 'coop-m16-end', 16, 70., 70.)],
        'adaptations': seeds('imagenet', 'finetune', 16, 70., 70.),
        'init': seeds('eurosat', 'coop-m4-end-words', 16, 70., 70.),
        'context-length': [
            run for m in (4, 16) for run in seeds(
                'eurosat', f'coop-m{m}-end', 16, 70., 70.)],
        'backbones': [
            run for backbone in ('RN50', 'RN101') for run in seeds(
                'eurosat', 'coop-m16-end', 16, 70., 70., backbone=backbone)],
        'base-to-new': seeds('eurosat', 'coop-m16-end', 16, 70., 70.,
                             subset='base', trained_subset='base'),
        'cross-dataset': seeds('dtd', 'coop-m16-end', 16, 70., 70.,
                               trained_on='imagenet'),
        'domain': seeds('imagenet_a', 'coop-m16-end', 16, 70., 70.,
                        trained_on='imagenet'),
    }.get(kind, seeds('eurosat', 'coop-m16-end', 16, 70., 70.))
    poison = [replace(run, top1=0., noise=.5, noise_kind='pair')
              for run in clean if run.shots]
    pure, mixed = table(kind, clean), table(kind, clean + poison)
    assert pure and [part.rows for part in pure] == [
        part.rows for part in mixed]
    for part in mixed:
        assert (f'{len(poison)} runs with label noise are not shown: the kind '
                'noise shows them.') in part.notes
    assert table(kind, poison) == []


def test_clean_runs_alone_are_no_noise():
    assert table('noise', [run for run in RUNS if not run.noise]) == []


def test_a_picture():
    axis, *_ = figures('noise', RUNS + ZERO_SHOT)[
        'noise-symmetric-RN50'].axes
    assert labels(axis.get_xticklabels()) == ['0 %', '25 %', '50 %']
    drawn = lines(axis)
    assert list(drawn) == ['zero-shot', 'CoOp M=16, end',
                           'CoOp M=16, end, GCE']
    assert drawn['CoOp M=16, end'].get_xydata().tolist() == [
        [0, 70], [1, 60], [2, 50]]
    assert list(drawn['zero-shot'].get_ydata()) == [45, 45, 45]


def test_a_frame_has_the_rate():
    frame = make_frame(RUNS + ZERO_SHOT)
    assert sorted(set(frame.noise)) == list(RATES)
