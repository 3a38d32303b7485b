"""Result files are read as what they are."""
import os

import pytest

from mmcoop.report.records import Record, read_records

from .results import write_result


def test_a_training_run(tmp_path):
    path = write_result(tmp_path / 'runs/a')
    assert read_records([tmp_path]) == [Record(
        'eurosat', 'coop-m16-end', 'RN50', 16, 1, 63.25, None, None, path,
        200, None, None, 8100, None)]


def test_a_test_of_a_trained_prompt(tmp_path):
    """Shots, seed, epochs and views are those of the training."""
    trained = dict(dataset='imagenet', class_subset=None, shots=4, seed=3,
                   max_epochs=50, cached_views=8)
    path = write_result(
        tmp_path / 'a', 'result_test.json', shots=None, seed=7, epochs=None,
        trained_on=trained, metrics={'single-label/accuracy/top1': 40,
                                     'single-label/accuracy/top5': 80})
    assert read_records([tmp_path]) == [Record(
        'eurosat', 'coop-m16-end', 'RN50', 4, 3, 40., None, 'imagenet', path,
        50, 8, None, 8100, None)]
    write_result(tmp_path / 'a', 'result_test.json', class_subset='new',
                 trained_on=dict(trained, dataset='eurosat',
                                 class_subset='base'))
    record, = read_records([tmp_path])
    assert record.trained_on is None
    assert (record.class_subset, record.trained_subset) == ('new', 'base')


def test_base_classes_where_they_were_trained(tmp_path):
    write_result(tmp_path, class_subset='base', cached_views=16)
    record, = read_records([tmp_path])
    assert record.class_subset == record.trained_subset == 'base'
    assert record.cached_views == 16


def test_zero_shot_has_neither_shots_nor_seed(tmp_path):
    write_result(tmp_path, method='zeroshot-own', class_subset='new',
                 selected_on='x')
    record, = read_records([tmp_path])
    assert record.zero_shot
    assert (record.shots, record.seed, record.epochs, record.selected_on,
            record.trained_subset) == (None, ) * 5
    assert record.class_subset == 'new'


def test_what_is_left_out(tmp_path, logged):
    write_result(tmp_path / 'a', method=None)
    write_result(tmp_path / 'b', dataset=None)
    write_result(tmp_path / 'c', evaluated_on='val')
    write_result(tmp_path / 'd', metrics=None)  # --no-validate
    write_result(tmp_path / 'e', selected_on=False)
    record, = read_records([tmp_path])
    assert record.path.parent.name == 'e' and record.selected_on is None
    assert logged == [
        '2 result files name no method or no data set: left out.']


@pytest.mark.parametrize('newer', ['a', 'b'])
def test_the_newer_of_two_counts(tmp_path, logged, newer):
    for name in 'ab':
        write_result(
            tmp_path / name,
            metrics={'accuracy/top1': 1. if name == newer else 2.},
            finished='2025-02-01' if name == newer else '2025-01-31')
    os.utime(tmp_path / 'a/result.json', (0, 0))  # a date may come of copying
    record, = read_records([tmp_path])
    assert record.top1 == 1
    message, = logged
    assert message.startswith(
        f'two results of one run: {tmp_path / newer / "result.json"} counts')
    assert str(tmp_path / 'a') in message and str(tmp_path / 'b') in message


@pytest.mark.parametrize('change', [
    dict(seed=2), dict(shots=8), dict(epochs=50), dict(cached_views=4),
    dict(clip='RN101'), dict(method='mine'), dict(class_subset='base'),
    dict(dataset='dtd'), dict(selected_on='save_best')
])
def test_other_runs_are_not_the_same(tmp_path, logged, change):
    write_result(tmp_path / 'a')
    write_result(tmp_path / 'b', **change)
    assert len(read_records([tmp_path])) == 2
    assert not logged


def test_a_folder_in_a_folder_counts_once(tmp_path, logged):
    write_result(tmp_path / 'a')
    assert len(read_records([tmp_path, tmp_path / 'a'])) == 1
    assert not logged


@pytest.mark.parametrize('text,says', [
    ('{"metrics": ', 'is no JSON'), ('[]', 'is no result'),
    ('{"metrics": {"loss": 1}, "method": "m", "dataset": "d"}',
     r'no accuracy/top1 among its metrics \(loss\)'),
])
def test_broken_files_are_named(tmp_path, text, says):
    path = tmp_path / 'result.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'{path}.*{says}'):
        read_records([tmp_path])


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere'):
        read_records([tmp_path / 'nowhere'])
