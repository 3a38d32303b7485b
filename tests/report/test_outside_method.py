"""A method in a folder outside the repository takes part in reports."""
import sys

import pytest

from mmcoop import methods
from mmcoop.report.pictures import figures
from mmcoop.report.table import Table
from mmcoop.report.tables import table

from .results import record, seeds
from .test_pictures import labels, lines
from .test_tables import cells

METAFILE = """
Collections:
  - Name: Gradient Whisperer
    Order: 25
    Notes:
      - {When: published, Dataset: eurosat, Backbone: RN50, Text: 'Ours.'}
Models:
  - Name: whisper-b
    In Collection: Gradient Whisperer
    Title: Whisperer B
    Config: config.py
    Tables: [few-shot]
    Results:
      - {Dataset: eurosat, Metrics: {Top 1 Accuracy: 91.25}, Backbone: RN50,
         Shots: 16, Published: true, Source: "A paper, Table 9"}
  - Name: whisper-a
    In Collection: Gradient Whisperer
    Title: Whisperer A
    Config: config.py
    Variant: true
"""


@pytest.fixture
def whisperer(tmp_path, monkeypatch):
    """Register the methods of a folder, for one test only."""
    methods.all_methods()
    monkeypatch.setattr(methods, '_registered', dict(methods._registered))
    monkeypatch.setattr(methods, '_read', set(methods._read))
    folder = tmp_path / 'configs/whisperer'
    folder.mkdir(parents=True)
    (folder / 'metafile.yml').write_text(METAFILE)
    (folder / 'config.py').write_text('')
    methods.register_configs(tmp_path / 'configs')


RUNS = [
    record('eurosat', 'zeroshot-own', top1=40.),
    *seeds('eurosat', 'coop-m16-end', 16, 68., 72.),
    *seeds('eurosat', 'whisper-a', 16, 1., 1.),
    *seeds('eurosat', 'whisper-b', 16, 74., 78.),
]


def test_it_is_tabulated(whisperer):
    part, = table('few-shot', RUNS)
    last = {row[0]: values[-1] for row, values in cells(part).items()}
    # between zero-shot (0) and CoOp (30); the variant is hidden
    assert list(last.items()) == [
        ('zero-shot', '-'), ('Whisperer B', '76.00 ± 2.00'),
        ('CoOp M=16, end', '70.00 ± 2.00'),
        ('Whisperer B (published)', '91.25'),
        ('CoOp M=16, end (published)', '83.27')]
    assert part.notes[-1] == 'Ours.'


def test_it_is_drawn(whisperer):
    made = figures('few-shot', RUNS)
    drawn = lines(made['few-shot-RN50'].axes[0])
    assert list(drawn) == [
        'zero-shot', 'Whisperer B', 'CoOp M=16, end',
        'Whisperer B (published)', 'CoOp M=16, end (published)']
    assert drawn['Whisperer B (published)'].get_ydata() == [91.25]
    # its gain, as the first method that learns prompts: 76 - 40
    axis, = made['gain-RN50'].axes
    assert axis.get_title() == 'Whisperer B, RN50, 16 shots'
    assert labels(axis.get_yticklabels()) == ['EuroSAT']
    assert [bar.get_width() for bar in axis.patches] == [36]


def test_without_a_metafile_it_is_shown_by_its_name():
    part, = table('few-shot', RUNS)
    names = [row[0] for row in cells(part) if '(published)' not in row[0]]
    assert names == ['zero-shot', 'CoOp M=16, end', 'whisper-a', 'whisper-b']


def test_templates_of_a_user_are_zero_shot():
    runs = [record('eurosat', 'zeroshot-a drawing of a {}.', top1=33.,
                   learned_parameters=0)]
    assert runs[0].zero_shot
    part, = table('few-shot', runs)
    assert cells(part)['zeroshot-a drawing of a {}.', ][0] == '33.00'


def test_unknown_recipes_are_not_noted():
    part, = table('few-shot', seeds(
        'eurosat', 'whisper-a', 16, 60., 62., epochs=7, recipe_epochs=None))
    assert not any('recipe' in note for note in part.notes)


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pandas', None)
    with pytest.raises(ImportError) as error:
        table('few-shot', RUNS)
    assert str(error.value) == \
        "tables need pandas: pip install -e '.[report]'"
    # a table of plain values does without it
    part = Table('a', 'A', ['data set', 'top-1'], [['DTD', 63.25]])
    assert part.csv() == 'data set,top-1\nDTD,63.25\n'
