"""Records and result files as runs would leave them."""
import json
from pathlib import Path

from mmcoop.report.records import Record


def record(dataset, method, shots=None, seed=None, top1=0., backbone='RN50',
           subset=None, **others):
    """A Record of a run by the recipe; shots=None with CoOp: all images."""
    return Record(dataset, method, backbone, shots, seed, top1, subset,
                  others.pop('trained_on', None), Path('result.json'),
                  **others)


def seeds(dataset, method, shots, *top1, **others):
    """Records of the seeds 1, 2, ... with these accuracies."""
    return [record(dataset, method, shots, seed, value, **others)
            for seed, value in enumerate(top1, 1)]


def write_result(folder, name='result.json', **fields):
    """A result file as ResultHook writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({
        'metrics': {'accuracy/top1': 63.25},
        'dataset': 'eurosat',
        'method': 'coop-m16-end',
        'clip': 'RN50',
        'shots': 16,
        'seed': 1,
        'class_subset': None,
        'trained_on': None,
        'epochs': 200,
        'cached_views': None,
        'selected_on': None,
        'evaluated_on': 'test',
        'num_images_evaluated': 8100,
        **fields
    }))
    return path
