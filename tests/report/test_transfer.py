"""Tables of transfer: numbers worked out by hand."""
import pytest

from mmcoop.report.names import TARGETS
from mmcoop.report.tables import table

from .results import record, seeds
from .test_tables import cells


def test_domain():
    runs = [record(name, 'zeroshot-own', top1=top1) for name, top1 in zip(
        ('imagenet', *TARGETS), (58., 50., 30., 20., 60.))]
    runs += seeds('imagenet', 'coop-m16-end', 16, 60., 64.)
    for name in TARGETS[:3]:  # not yet on ImageNet-R
        runs += seeds(name, 'coop-m16-end', 16, 40., 44.,
                      trained_on='imagenet')
    # what belongs elsewhere
    runs += seeds('eurosat', 'coop-m16-end', 16, 1., 1.,
                  trained_on='imagenet')
    runs += seeds('imagenet', 'finetune', 16, 18., 18.)
    part, = table('domain', runs)
    assert part.header == [
        'backbone', 'method', 'ImageNet', 'ImageNetV2', 'ImageNet-Sketch',
        'ImageNet-A', 'ImageNet-R', 'average of 3']
    found = cells(part)
    # (50 + 30 + 20) / 3; the average leaves out what CoOp lacks
    assert found['RN50', 'zero-shot'] == [
        '58.00', '50.00', '30.00', '20.00', '60.00', '33.33']
    assert found['RN50', 'CoOp M=16, end'] == [
        '62.00 ± 2.00', '42.00 ± 2.00', '42.00 ± 2.00', '42.00 ± 2.00', '-',
        '42.00 ± 2.00']
    # (55.11 + 32.74 + 22.12) / 3
    assert found['RN50', 'CoOp M=16, end (published)'] == [
        '62.95', '55.11', '32.74', '22.12', '54.96', '36.66']
    assert len(found) == 2 + 4
    assert any('Left out: ImageNet-R (lacks CoOp M=16, end, RN50)' in note
               for note in part.notes)


def test_base_to_new():
    runs = []
    for dataset, base, new in (('dtd', 80., 50.), ('eurosat', 90., 70.)):
        runs += seeds(dataset, 'coop-m4-end-words', 16, base - 2, base + 2,
                      subset='base', trained_subset='base',
                      backbone='ViT-B-16')
        runs += seeds(dataset, 'coop-m4-end-words', 16, new, new,
                      subset='new', trained_subset='base',
                      backbone='ViT-B-16')
    # trained on the new classes: no transfer
    runs += seeds('dtd', 'coop-m4-end-words', 16, 99., 99., subset='new',
                  trained_subset='new', backbone='ViT-B-16')
    part, = table('base-to-new', runs)
    assert part.header == ['data set', 'method', 'base', 'new', 'H']
    words = 'CoOp M=4, end, "a photo of a"'
    assert cells(part) == {
        # averages 85 and 60; H = 2 * 85 * 60 / 145, not (61.54 + 78.75) / 2
        ('Average of 2 data sets', words): ['85.00 ± 2.00', '60.00 ± 0.00',
                                            '70.34'],
        ('Average (published)', 'zero-shot'): ['69.34', '74.22', '71.70'],
        ('Average (published)', 'CoOp, 200 epochs'): [
            '82.69', '63.22', '71.66'],
        ('Average (published)', 'CoOp, re-run'): ['82.63', '67.99', '74.60'],
        ('Average (published)', 'CoOp, another re-run'): [
            '80.85', '70.02', '75.04'],
        ('Average (published)', 'CoCoOp'): ['80.47', '71.69', '75.83'],
        ('DTD', words): ['80.00 ± 2.00', '50.00 ± 0.00', '61.54'],
        ('EuroSAT', words): ['90.00 ± 2.00', '70.00 ± 0.00', '78.75'],
    }
    # base and new test images are fewer than the whole test set's
    assert not any('test set has' in note for note in part.notes)


@pytest.mark.parametrize('subset,row', [
    ('base', ['80.00', '-', '-']), ('new', ['-', '80.00', '-'])])
def test_half_of_base_to_new(subset, row):
    part, = table('base-to-new', [record(
        'dtd', 'coop-m16-end', 16, 1, 80., subset=subset,
        trained_subset='base')])
    assert cells(part) == {('DTD', 'CoOp M=16, end'): row}


def test_cross_dataset():
    runs = seeds('imagenet', 'coop-m16-end', 16, 60., 62.)
    for dataset, top1 in (('dtd', 40.), ('eurosat', 50.)):
        runs += seeds(dataset, 'coop-m16-end', 16, top1, top1 + 2,
                      trained_on='imagenet')
        runs.append(record(dataset, 'zeroshot-own', top1=top1 - 10))
    runs.append(record('ucf101', 'zeroshot-own', top1=1.))  # no target
    runs += seeds('imagenet_a', 'coop-m16-end', 16, 2., 2.,
                  trained_on='imagenet')  # of the table of domains
    part, = table('cross-dataset', runs)
    assert part.header == ['method', 'ImageNet (source)', 'DTD', 'EuroSAT',
                           'average of 2']
    assert cells(part) == {
        ('zero-shot', ): ['-', '30.00', '40.00', '35.00'],
        ('CoOp M=16, end', ): ['61.00 ± 1.00', '41.00 ± 1.00',
                               '51.00 ± 1.00', '46.00 ± 1.00'],
    }
    # tested elsewhere: not a result of training on DTD or EuroSAT
    named = [part.name for part in table('few-shot', runs)]
    assert 'few-shot-RN50-imagenet' in named
    dtd = next(p for p in table('few-shot', runs) if p.name.endswith('dtd'))
    assert ('CoOp M=16, end', ) not in cells(dtd)
