"""What was selected on other images is never mixed with what was not."""
import json

import pytest

from mmcoop.report.names import method_title
from mmcoop.report.pictures import figures
from mmcoop.report.protocols import PROTOCOLS, protocol_of
from mmcoop.report.records import read_records
from mmcoop.report.tables import table

from .results import record, seeds, write_result
from .test_pictures import bars, lines
from .test_tables import cells

PROBE = dict(protocol='val-4', selected_on='val draw, 40 images')


@pytest.mark.parametrize('fields,protocol', [
    (dict(selected_on=None), 'val-free'),
    (dict(selected_on='val draw, 40 images'), 'val-4'),
    (dict(selected_on='training images not drawn, 12 images'), 'val-4'),
    (dict(selected_on='save_best, on validation images'), 'val-unknown'),
    (dict(protocol='full-val', selected_on='val, 5400 images'), 'full-val'),
    # what is selected by cross-validation sees no other image
    (dict(protocol='val-free', selected_on='cross-validation'), 'val-free'),
    (dict(protocol=None, selected_on=None), 'val-free'),
    # nothing is selected where nothing is learned
    (dict(method='zeroshot-own', selected_on='val draw'), 'val-free'),
])
def test_of_a_result(tmp_path, fields, protocol):
    path = write_result(tmp_path, **fields)
    found, = read_records([tmp_path])
    assert found.protocol == protocol in PROTOCOLS
    if 'method' not in fields:
        assert protocol_of(json.loads(path.read_text())) == protocol


def test_one_method_under_two_protocols_is_two_rows(tmp_path):
    """The same draws; a result of before and one of now are the same run."""
    for seed, top1 in ((1, 60.), (2, 64.), (3, 68.)):
        for name, fields, gain in (
                ('free', dict(protocol='val-free'), 0),
                ('val', dict(protocol='val-4',
                             selected_on='val draw, 40 images'), 10),
                ('old', dict(selected_on='val draw, 40 images'), 10),
                ('cv', dict(protocol='val-free',
                            selected_on='cross-validation, 5 folds'), 20),
                ('full', dict(protocol='full-val', selected_on='val'), 30)):
            write_result(tmp_path / f'{name}{seed}', method='linear-probe',
                         seed=seed, metrics={'accuracy/top1': top1 + gain},
                         finished=f'2026-01-0{1 + (name == "val")}', **fields)
    part, = table('few-shot', read_records([tmp_path]))
    names = {row[0]: values[-1] for row, values in cells(part).items()
             if '(published)' not in row[0]}
    assert names == {
        'linear probe (val-free, nothing selected)': '64.00 ± 3.27',
        'linear probe (val-free, cross-validation)': '84.00 ± 3.27',
        'linear probe (val-4)': '74.00 ± 3.27',
        'linear probe (full-val)': '94.00 ± 3.27'}


def test_named_apart_over_shots_and_data_sets():
    """One row would hide that its cells were selected differently."""
    runs = seeds('eurosat', 'linear-probe', 1, 60., 60.) + \
        seeds('eurosat', 'linear-probe', 16, 80., 80., **PROBE) + \
        seeds('dtd', 'linear-probe', 16, 90., 90.)
    parts = {part.name: part for part in table('few-shot', runs)}
    rows = cells(parts['few-shot-RN50-eurosat'])
    assert rows['linear probe (val-free)', ][1] == '60.00 ± 0.00'
    assert rows['linear probe (val-free)', ][-1] == '-'
    assert rows['linear probe (val-4)', ][-1] == '80.00 ± 0.00'
    assert 'few-shot-RN50-average' not in parts


MIXED = {
    'few-shot': [
        record('eurosat', 'zeroshot-own'),
        *seeds('eurosat', 'coop-m16-end', 16, 1., 2.),
        *seeds('eurosat', 'linear-probe', 16, 1., 2., **PROBE)],
    'context-length': [
        *seeds('eurosat', 'coop-m16-end', 16, 1., 2.),
        *seeds('eurosat', 'coop-m4-end', 16, 1., 2., protocol='full-val')],
    'backbones': [
        record('eurosat', name, 16, 1, 1., backbone=backbone, **more)
        for backbone in ('RN50', 'RN101')
        for name, more in (('coop-m16-end', {}), ('linear-probe', PROBE))],
    'domain': [
        record(dataset, name, 16, 1, 1., trained_on=source, **more)
        for dataset, source in (('imagenet', None), ('imagenet_a', 'imagenet'))
        for name, more in (('coop-m16-end', {}), ('linear-probe', PROBE))],
    'ensembles': [
        record('imagenet', 'zeroshot-ensemble7'),
        *seeds('imagenet', 'coop-m16-end', 16, 1., protocol='val-4')],
    'init': [
        *seeds('eurosat', 'coop-m4-end', 16, 1.),
        *seeds('eurosat', 'coop-m4-end-words', 16, 1., protocol='val-4')],
    'adaptations': [
        record('imagenet', 'zeroshot-own'),
        *seeds('imagenet', 'finetune', 16, 1.),
        *seeds('imagenet', 'linear-probe', 16, 1., **PROBE)],
    'base-to-new': [
        record('eurosat', name, 16, 1, 1., subset=subset,
               trained_subset='base', protocol=protocol)
        for subset in ('base', 'new')
        for name, protocol in (('coop-m16-end', 'val-free'),
                               ('cocoop', 'val-4'))],
    'cross-dataset': [
        record('dtd', name, 16, 1, 1., trained_on='imagenet',
               protocol=protocol)
        for name, protocol in (('coop-m16-end', 'val-free'),
                               ('cocoop', 'val-4'))],
    'noise': [
        run for rate in (0., .25)
        for name, more in (('coop-m16-end', {}), ('linear-probe', PROBE))
        for run in seeds('eurosat', name, 16, 1., 2., noise=rate,
                         noise_kind='symmetric' if rate else None, **more)],
    'leaderboard': [
        *seeds('eurosat', 'coop-m16-end', 16, 1., 2.),
        *seeds('eurosat', 'linear-probe', 16, 1., 2., **PROBE)],
}


@pytest.mark.parametrize('kind', MIXED)
def test_every_kind_says_which_row_has_which(kind):
    ran = {method_title(run.method) for run in MIXED[kind]}
    for part in table(kind, MIXED[kind]):
        column, tags = part.header.index('method'), {}
        for row in part.rows:
            title, _, tag = row[column].partition(' [')
            if 'protocol' in part.header:
                tag = f'{row[part.header.index("protocol")]}]'
            if title in ran:
                tags[title] = tag
        assert set(tags) == ran
        assert len(set(tags.values())) == 2
        assert all(tag[:-1] in PROTOCOLS for tag in tags.values())
        assert any(note.startswith('Rows differ in protocol: [')
                   and PROTOCOLS['val-free'] in note for note in part.notes)
    # and without a difference nothing is said
    for part in table(kind, [run for run in MIXED[kind]
                             if run.protocol == 'val-free']):
        column = part.header.index('method')
        assert not any('[' in row[column] for row in part.rows)
        assert not any('protocol' in note for note in part.notes)


def test_pictures_say_it_too():
    axis = figures('few-shot', MIXED['few-shot'])['few-shot-RN50'].axes[0]
    assert {'CoOp M=16, end [val-free]', 'linear probe [val-4]',
            'zero-shot [val-free]'} <= set(lines(axis))
    axis, = figures('backbones', MIXED['backbones'])['backbones'].axes
    assert set(bars(axis)) == {'CoOp M=16, end [val-free]',
                               'linear probe [val-4]'}
