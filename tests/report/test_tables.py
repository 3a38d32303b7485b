"""Tables: numbers worked out by hand."""
import pytest

from mmcoop.report.tables import KINDS, table

from .results import record, seeds


def cells(part):
    """{the first cells of a row: its other cells as text}."""
    rows = [line.strip('| ').split(' | ')
            for line in part.markdown().splitlines() if line.startswith('|')]
    names = part.header.index('method') + 1
    return {tuple(row[:names]): row[names:] for row in rows[2:]}


def tables(kind, *groups):
    return {part.name: part
            for part in table(kind, [r for group in groups for r in group])}


# means 70 and 80, deviations of the population 2 and 4
EUROSAT = seeds('eurosat', 'coop-m16-end', 16, 68., 72.)
DTD = seeds('dtd', 'coop-m16-end', 16, 76., 84.)
ZERO_SHOT = [record('eurosat', 'zeroshot-own', top1=40.),
             record('dtd', 'zeroshot-own', top1=50.)]


def test_few_shot():
    found = tables('few-shot', EUROSAT, DTD, ZERO_SHOT)
    # the order of the paper
    assert list(found) == ['few-shot-RN50-average', 'few-shot-RN50-dtd',
                           'few-shot-RN50-eurosat']
    part = found['few-shot-RN50-eurosat']
    assert part.header == ['method', '0', '1', '2', '4', '8', '16']
    assert cells(part) == {
        ('zero-shot', ): ['40.00', '-', '-', '-', '-', '-'],
        ('CoOp M=16, end', ): ['-', '-', '-', '-', '-', '70.00 ± 2.00'],
        ('CoOp M=16, end (published)', ): ['-', '-', '-', '-', '-', '83.27'],
    }
    average = found['few-shot-RN50-average']
    assert average.title.startswith('Average of 2 data sets, RN50')
    # seed by seed: (68 + 76) / 2 = 72 and (72 + 84) / 2 = 78
    assert cells(average) == {
        ('zero-shot', ): ['45.00', '-', '-', '-', '-', '-'],
        ('CoOp M=16, end', ): ['-', '-', '-', '-', '-', '75.00 ± 3.00'],
        ('zero-shot (published)', ): ['58.80', '-', '-', '-', '-', '-'],
        ('CoOp M=16, end (published)', ): [
            '-', '59.80', '62.21', '66.84', '70.05', '73.45'],
    }
    assert any('2 of 2 data sets' in note for note in average.notes)
    assert any('eleven data sets' in note for note in average.notes)


def test_formats():
    part = tables('few-shot', EUROSAT, ZERO_SHOT)['few-shot-RN50-eurosat']
    assert part.csv().splitlines() == [
        'method,0,1,2,4,8,16,16 std,16 seeds',
        'zero-shot,40.0000,-,-,-,-,-,-,-',
        '"CoOp M=16, end",-,-,-,-,-,70.0000,2.0000,2',
        '"CoOp M=16, end (published)",-,-,-,-,-,83.27,-,-']
    text = part.text().splitlines()
    assert text[3] == ('zero-shot                   40.00  -  -  -  -'
                       '             -')
    assert text[4].endswith('70.00 ± 2.00') and len(text[4]) == len(text[3])
    assert set(text[2]) == {'-'} and len(text[2]) == len(text[3])
    assert part.markdown().startswith('## EuroSAT, RN50: top-1 (%) by shots')
    assert '| --- | ---: | --- |' in part.markdown()


def test_an_average_is_over_what_all_have():
    probe = seeds('dtd', 'linear-probe', 16, 60., 60.)
    more = seeds('ucf101', 'coop-m16-end', 16, 10., 10.) + \
        seeds('ucf101', 'linear-probe', 16, 20., 20.) + \
        [record('ucf101', 'zeroshot-own', top1=30.)]
    average = tables('few-shot', EUROSAT, DTD, ZERO_SHOT, probe,
                     more)['few-shot-RN50-average']
    ours = cells(average)
    assert ours['zero-shot', ][0] == '40.00'  # of 50 and 30, not of EuroSAT
    assert ours['linear probe', ][-1] == '40.00 ± 0.00'
    assert ('Average over the 2 of 3 data sets for which every method has all '
            'its numbers. Left out: EuroSAT (lacks linear probe).'
            ) in average.notes
    # none is left: no average, and the first table says why
    found = tables('few-shot', EUROSAT, DTD, ZERO_SHOT, probe)
    assert list(found) == ['few-shot-RN50-dtd', 'few-shot-RN50-eurosat']
    assert any(note.startswith('No average') and 'EuroSAT' in note
               for note in found['few-shot-RN50-dtd'].notes)


def test_missing_seeds():
    short = seeds('eurosat', 'coop-m16-end', 8, 50.)
    part = tables('few-shot', EUROSAT, short)['few-shot-RN50-eurosat']
    row = cells(part)['CoOp M=16, end', ]
    assert row[-2:] == ['50.00 (1 seed)', '70.00 ± 2.00']
    assert part.notes[:2] == [
        'Mean ± population standard deviation over seeds 1, 2. Published '
        'means are over seeds 1, 2, 3.',
        'Seeds missing: 2 of CoOp M=16, end (EuroSAT 8-shot).']
    # an average of data sets with other seeds has no deviation
    average = tables('few-shot', EUROSAT, DTD[:1], ZERO_SHOT)[
        'few-shot-RN50-average']
    assert cells(average)['CoOp M=16, end', ][-1] == '73.00'


@pytest.mark.parametrize('others,says', [
    (dict(cached_views=16), 'Approximation: trained on 16 cached views an '
     'image, not on new views each epoch: CoOp M=16, end (EuroSAT).'),
    (dict(num_test=1000), 'EuroSAT: tested on 1000 images, the published '
     'test set has 8100.'),
    (dict(epochs=20), 'Trained for 20 epochs, not the 200 of the recipe: '
     'CoOp M=16, end (EuroSAT).'),
    (dict(selected_on='save_best, on the validation images'),
     'Selected (save_best): CoOp M=16, end (EuroSAT).'),
])
def test_notes_on_what_is_not_comparable(others, says):
    part, = table('few-shot', seeds('eurosat', 'coop-m16-end', 16, 1., 2., 3.,
                                    **others))
    assert says in part.notes
    part, = table('few-shot', seeds('eurosat', 'coop-m16-end', 16, 1., 2., 3.,
                                    epochs=200, num_test=8100))
    assert [note.split()[0] for note in part.notes] == ['Mean', 'published:']


def test_imagenet_has_50_epochs():
    part, = table('few-shot', seeds('imagenet', 'coop-m16-end', 16, 61.,
                                    epochs=50))
    assert not any('recipe' in note for note in part.notes)
    assert any('gave about 61' in note for note in part.notes)
    assert cells(part)['linear probe (published)', ][-1] == '55.87'
    assert cells(part)['CoOp M=16, end (published)', ][-1] == '62.97'


def test_other_recipes_are_rows_of_their_own():
    runs = seeds('eurosat', 'coop-m16-end', 16, 68., 72., epochs=200)
    part, = table('few-shot', runs + seeds(
        'eurosat', 'coop-m16-end', 16, 10., 30., epochs=50) + seeds(
        'eurosat', 'coop-m16-end', 16, 41., 41., epochs=200, cached_views=4))
    last = {row[0]: values[-1] for row, values in cells(part).items()}
    assert last == {
        'CoOp M=16, end': '70.00 ± 2.00',
        'CoOp M=16, end (4 views)': '41.00 ± 0.00',
        'CoOp M=16, end (50 epochs)': '20.00 ± 10.00',
        'CoOp M=16, end (published)': '83.27'
    }


@pytest.mark.parametrize('backbone,title,known', [
    ('ViT-B-16', 'ViT-B/16', ['71.92']),
    ('/w/RN50.pt', 'RN50', ['62.97']),
    ('RN50-quickgelu', 'RN50-quickgelu', ['62.97']),
    ('mini-mobilenetv2', 'mini-mobilenetv2', []),
])
def test_published_numbers_of_a_backbone(backbone, title, known):
    part, = table('few-shot', seeds('imagenet', 'coop-m16-end', 16, 60.,
                                    backbone=backbone))
    assert part.title.startswith(f'ImageNet, {title}: ')
    assert '/' not in part.name
    assert [values[-1] for row, values in cells(part).items()
            if row[0] == 'CoOp M=16, end (published)'] == known


def test_which_methods_few_shot_compares():
    part, = table('few-shot', [
        record('eurosat', method, shots, 1, 1.)
        for method, shots in (
            ('zeroshot-own', None), ('zeroshot-name', None),
            ('linear-probe', 1), ('coop-m16-front', 1), ('coop-m4-end', 1),
            ('finetune', 1), ('mine', 1), ('coop-m16-end-csc', None))])
    ours = [row[0] for row in cells(part) if '(published)' not in row[0]]
    assert ours == ['zero-shot', 'linear probe', 'CoOp M=16, front',
                    'CoOp M=16, end, CSC', 'mine']
    assert part.header[-1] == 'all'
    part, = table('few-shot', [record('photos', 'coop-m4-end', 2, 1, 1.),
                               record('photos', 'zeroshot-generic')])
    assert part.title.startswith('photos, RN50')  # one's own data set
    assert [row[0] for row in cells(part)] == ['zero-shot, "a photo of a"',
                                               'CoOp M=4, end']


def test_context_length():
    runs = EUROSAT + seeds('eurosat', 'coop-m4-end', 16, 60., 60.)
    part, = table('context-length', runs + ZERO_SHOT[:1])
    assert [row[0] for row in cells(part)] == [
        'zero-shot', 'CoOp M=16, end', 'CoOp M=4, end',
        'CoOp M=16, end (published)']
    assert table('context-length', EUROSAT + ZERO_SHOT) == []


def test_backbones():
    runs = seeds('imagenet', 'coop-m16-end', 16, 60., 64.) + \
        seeds('imagenet', 'coop-m16-end', 16, 70., 74., backbone='ViT-B-16')
    part, = table('backbones', runs + seeds(
        'imagenet', 'coop-m16-end', 4, 1., 1.))
    assert part.header == ['method', 'RN50', 'ViT-B/16']
    assert cells(part) == {
        ('CoOp M=16, end', ): ['62.00 ± 2.00', '72.00 ± 2.00'],
        ('zero-shot (published)', ): ['58.18', '66.73'],
        ('linear probe (published)', ): ['55.87', '65.85'],
        ('CoOp M=16, end (published)', ): ['62.95', '71.92'],
        ('CoOp M=4, end (published)', ): ['63.33', '71.73'],
    }
    assert 'Results of other numbers of shots are not shown: 4.' in part.notes
    assert table('backbones', runs[:2]) == []


def test_ensembles():
    runs = [record('imagenet', f'zeroshot-{name}', top1=top1)
            for name, top1 in (('own', 58.), ('ensemble7', 60.),
                               ('ensemble80', 59.))]
    part, = table('ensembles', runs + seeds(
        'imagenet', 'coop-m16-end', 16, 61., 63.))
    assert cells(part) == {
        ('zero-shot', ): ['58.00'],
        ('zero-shot, 7 templates', ): ['60.00'],
        ('zero-shot, 80 templates', ): ['59.00'],
        ('CoOp M=16, end', ): ['62.00 ± 1.00'],
        ('zero-shot (published)', ): ['58.18'],
        ('zero-shot, 7 templates (published)', ): ['60.41'],
        ('CoOp M=16, end (published)', ): ['62.95'],
    }


def test_init():
    runs = [r for name in ('coop-m4-end', 'coop-m4-end-words')
            for dataset in ('dtd', 'eurosat')
            for r in seeds(dataset, name, 16, 60., 70.)]
    part, = table('init', runs)
    assert part.header == ['method', 'Average of 2 data sets', 'DTD',
                           'EuroSAT']
    assert cells(part) == {
        ('CoOp M=4, end', ): ['65.00 ± 5.00'] * 3,
        ('CoOp M=4, end, "a photo of a"', ): ['65.00 ± 5.00'] * 3,
        ('CoOp M=4, end (published)', ): ['72.65', '-', '-'],
        ('CoOp M=4, end, "a photo of a" (published)', ): ['72.65', '-', '-'],
    }


def test_adaptations():
    part, = table('adaptations', [
        record('imagenet', 'zeroshot-own', top1=58.),
        *seeds('imagenet', 'finetune', 16, 17., 19.),
        *seeds('imagenet', 'coop-m16-end', 16, 62., 62.)])
    assert part.header == ['method', 'top-1', 'gain over zero-shot',
                           'published', 'published gain']
    assert cells(part) == {
        ('zero-shot', ): ['58.00', '+0.00', '58.18', '+0.00'],
        ('linear probe', ): ['-', '-', '55.87', '-2.31'],
        ('fine-tuned image tower', ): ['18.00 ± 1.00', '-40.00', '18.28',
                                       '-39.90'],
        ('transformed text features', ): ['-', '-', '58.86', '+0.68'],
        ('bias on text features', ): ['-', '-', '60.93', '+2.75'],
        ('CoOp M=16, end', ): ['62.00 ± 0.00', '+4.00', '62.95', '+4.77'],
    }


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_gives_no_table(kind):
    assert table(kind, []) == []


def test_unknown_kind():
    with pytest.raises(ValueError, match="'shots': choose of few-shot,"):
        table('shots', [])


def test_other_weights_are_another_row():
    ours = [record('eurosat', 'coop-m16-end', 16, seed, top1, pretrained=tag)
            for seed, top1, tag in ((1, 60., 'openai'), (2, 62., 'openai'),
                                    (3, 20., 'yfcc15m'))]
    part = tables('few-shot', ours)['few-shot-RN50-eurosat']
    found = {row[0]: values[-1] for row, values in cells(part).items()}
    assert found['CoOp M=16, end'] == '61.00 ± 1.00 (2 seeds)'
    assert found['CoOp M=16, end (yfcc15m)'] == '20.00 (1 seed)'


@pytest.mark.parametrize('lists,note', [
    ('made by rule', 'EuroSAT: split by the published rule, not the published '
     'split.'),
    ('other sizes', 'EuroSAT: other lists of images than published.')])
def test_other_lists_are_noted(lists, note):
    base = seeds('eurosat', 'coop-m4-end-words', 16, 80., subset='base',
                 trained_subset='base', lists=lists, num_test=500)
    new = seeds('eurosat', 'coop-m4-end-words', 16, 20., subset='new',
                trained_subset='base', lists=lists, num_test=500)
    part, = table('base-to-new', base + new)
    assert note in part.notes
