"""Pictures: what is drawn, and that files can be looked at."""
import numpy as np
import pytest
from PIL import Image

from mmcoop.report.names import TARGETS
from mmcoop.report.pictures import draw, figures
from mmcoop.report.tables import KINDS
from mmcoop.report.write import write

from .results import record, seeds

DATASETS = ('imagenet', 'caltech101', 'oxford_pets', 'stanford_cars',
            'oxford_flowers', 'food101', 'fgvc_aircraft', 'sun397', 'dtd',
            'eurosat', 'ucf101')


def curves(*datasets, methods=('coop-m16-end', 'linear-probe')):
    """Runs of 1 and 16 shots; the i-th data set is 10 i better."""
    runs = []
    for i, name in enumerate(datasets):
        runs.append(record(name, 'zeroshot-own', top1=10. * i + 5))
        for method in methods:
            for shots in (1, 16):
                mean = 10. * i + shots
                runs += seeds(name, method, shots, mean - 2, mean + 2)
    return runs


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()
            if not line.get_label().startswith('_')}


def bars(axis):
    """{a method: the heights of its bars}."""
    return {part.get_label(): [bar.get_height() for bar in part]
            for part in axis.containers}


def labels(ticks):
    return [tick.get_text() for tick in ticks]


def test_few_shot_curves():
    figure = figures('few-shot', curves('eurosat', 'dtd'))['few-shot-RN50']
    assert [axis.get_title() for axis in figure.axes] == [
        'Average of 2 data sets', 'DTD', 'EuroSAT']
    average, dtd, _ = figure.axes
    for axis in figure.axes:
        assert labels(axis.get_xticklabels()) == ['0', '1', '2', '4', '8',
                                                  '16']
    drawn = lines(average)
    assert set(drawn) == {'zero-shot', 'linear probe', 'CoOp M=16, end',
                          'CoOp M=16, end (published)'}
    coop, star = drawn['CoOp M=16, end'], drawn['zero-shot']
    # 1 + (0 + 10) / 2 and 16 + 5, at the places of 1 and 16 shots
    assert coop.get_xydata().tolist() == [[1, 6], [5, 21]]
    assert star.get_xydata().tolist() == [[0, 10]]
    assert star.get_marker() == '*'
    assert drawn['linear probe'].get_linestyle() == '--'
    assert drawn['CoOp M=16, end (published)'].get_ydata() == pytest.approx(
        [59.80, 62.21, 66.84, 70.05, 73.45])
    dotted = [line for line in average.get_lines()
              if line.get_linestyle() == ':' and len(line.get_xdata()) == 2]
    assert [list(line.get_ydata()) for line in dotted] == [[10, 10]]
    # bands of one deviation, which is 2
    coop = lines(dtd)['CoOp M=16, end'].get_ydata()
    for band in dtd.collections:
        y = np.sort(np.unique(band.get_paths()[0].vertices[:, 1]))
        assert y.tolist() == sorted([*(coop - 2), *(coop + 2)])
    assert len(dtd.collections) == 2
    legend, = figure.legends
    assert labels(legend.get_texts()) == list(drawn)


@pytest.mark.parametrize('datasets,panels', [
    (DATASETS[:1], 1), (DATASETS[:2], 3), (DATASETS, 12)])
def test_one_panel_for_each_place(datasets, panels):
    figure = figures('few-shot', curves(*datasets))['few-shot-RN50']
    assert len(figure.axes) == panels


def test_eight_methods_look_different():
    methods = ['coop-m16-end', 'coop-m16-middle', 'coop-m16-front',
               'coop-m16-end-csc', 'coop-m16-middle-csc', 'linear-probe',
               'linear-head', 'b', 'c']
    figure = figures('few-shot', curves('dtd', methods=methods))[
        'few-shot-RN50']
    drawn = lines(figure.axes[0])
    drawn.pop('CoOp M=16, end (published)')
    looks = {(line.get_color(), line.get_linestyle())
             for line in drawn.values()}
    assert len(looks) == len(drawn) == len(methods) + 1


def test_a_lone_point_has_an_error_bar():
    figure = figures('few-shot', seeds('dtd', 'coop-m16-end', 4, 60., 64.))
    axis, = figure['few-shot-RN50'].axes
    bar, = axis.containers
    assert bar[2][0].get_segments()[0].tolist() == [[3, 60], [3, 64]]


def test_gains():
    runs = curves('eurosat', 'dtd') + [
        record('food101', 'zeroshot-own', top1=80.),
        *seeds('food101', 'coop-m16-end', 16, 74., 76.),
        record('ucf101', 'zeroshot-own', top1=80.),  # nothing to compare
        *seeds('ucf101', 'coop-m16-end', 1, 74., 76.)]
    axis, = figures('few-shot', runs)['gain-RN50'].axes
    # 16 - 5; 75 - 80
    assert labels(axis.get_yticklabels()) == ['DTD', 'EuroSAT', 'Food101']
    assert [bar.get_width() for bar in axis.patches] == [11, 11, -5]
    colours = [bar.get_facecolor() for bar in axis.patches]
    assert colours[0] == colours[1] != colours[2]
    assert '16 shots' in axis.get_title()
    assert axis.get_xlabel().startswith('gain over zero-shot')


def test_zero_shot_alone_has_no_curve():
    assert figures('few-shot', [record('dtd', 'zeroshot-own')]) == {}


def test_context_length():
    runs = curves('dtd', 'eurosat', methods=('coop-m4-end', 'coop-m16-end'))
    axis, = figures('context-length', runs)['context-length-RN50'].axes
    drawn = lines(axis)
    for name in ('CoOp M=4, end', 'CoOp M=16, end'):
        assert drawn[name].get_ydata().tolist() == [6, 21]


def test_backbones():
    runs = seeds('dtd', 'coop-m16-end', 16, 60., 64.) + \
        seeds('dtd', 'coop-m16-end', 16, 70., backbone='ViT-B-16') + \
        [record('dtd', 'zeroshot-own', top1=40.)]
    axis, = figures('backbones', runs)['backbones'].axes
    assert labels(axis.get_xticklabels()) == ['RN50', 'ViT-B/16']
    assert bars(axis) == {'zero-shot': [40], 'CoOp M=16, end': [62, 70]}
    # zero-shot, of RN50 alone, stands over RN50
    zero_shot = axis.containers[0][0]
    assert -0.5 < zero_shot.get_x() < 0.5


def test_domain():
    runs = seeds('imagenet', 'coop-m16-end', 16, 60., 64.)
    for name, top1 in zip(TARGETS, (50., 30., 20., 60.)):
        runs += seeds(name, 'coop-m16-end', 16, top1, top1,
                      trained_on='imagenet')
    axis, = figures('domain', runs)['domain'].axes
    assert labels(axis.get_xticklabels()) == [
        'ImageNet', '-V2', '-Sketch', '-A', '-R', 'average of 4']
    assert bars(axis) == {'CoOp M=16, end': [62, 50, 30, 20, 60, 40]}


def test_base_to_new():
    runs = [record('dtd', 'zeroshot-own', top1=50., subset='base'),
            record('dtd', 'zeroshot-own', top1=60., subset='new'),
            *seeds('dtd', 'coop-m16-end', 16, 80., 84., subset='base',
                   trained_subset='base')]
    figure = figures('base-to-new', runs)['base-to-new-RN50']
    base, new = figure.axes
    assert (base.get_title(), new.get_title()) == ('base classes',
                                                   'new classes')
    assert labels(base.get_yticklabels()) == ['DTD']
    assert {name: list(line.get_xdata())
            for name, line in lines(base).items()} == {
                'zero-shot': [50], 'CoOp M=16, end': [82]}
    assert list(lines(new)) == ['zero-shot']


def test_files(tmp_path):
    paths = draw('few-shot', curves('dtd', 'photos'), tmp_path)
    assert [path.name for path in paths] == ['few-shot-RN50.png',
                                             'gain-RN50.png']
    for path in paths:
        with Image.open(path) as image:
            assert image.format == 'PNG'
            assert 800 <= image.width <= 2400
            assert 200 <= image.height <= 2000
            pixels = np.asarray(image.convert('L'))
        # nothing is cut off: no ink at the border
        border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((side == 255).all() for side in border)
        assert (pixels < 128).mean() > 0.005


def test_a_report(tmp_path):
    folder = tmp_path / 'new'
    paths = write('few-shot', curves('dtd'), folder)
    assert [path.name for path in paths] == [
        'few-shot.md', 'few-shot-RN50-dtd.csv', 'few-shot-RN50.png',
        'gain-RN50.png']
    assert sorted(paths) == sorted(folder.iterdir())
    report = paths[0].read_text(encoding='utf-8')
    for words in ('# few-shot\n', '![few-shot-RN50](few-shot-RN50.png)',
                  '## DTD, RN50', '| 16.00 ± 2.00 |', '- Mean ± population'):
        assert words in report
    assert '16.0000,2.0000,2' in paths[1].read_text(encoding='utf-8')


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_gives_no_file(tmp_path, kind):
    assert write(kind, [], tmp_path / 'none') == []
    assert figures(kind, []) == {}
    assert not (tmp_path / 'none').exists()
