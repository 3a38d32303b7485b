"""Records and result files as runs would leave them."""
import json
from pathlib import Path

from mmcoop.report.records import Record


def recipe_epochs(dataset, shots):
    """CoOp's rule: 50, 100 or 200 epochs by shots; 50 on ImageNet."""
    if dataset == 'imagenet' or shots == 1:
        return 50
    return 100 if shots in (2, 4) else 200


def record(dataset, method, shots=None, seed=None, top1=0., backbone='RN50',
           subset=None, **others):
    """A Record of a run by the recipe; shots=None with CoOp: all images."""
    trained_on = others.pop('trained_on', None)
    others.setdefault('recipe_epochs',
                      recipe_epochs(trained_on or dataset, shots))
    return Record(dataset, method, backbone, shots, seed, top1, subset,
                  trained_on, Path('result.json'), **others)


def seeds(dataset, method, shots, *top1, **others):
    """Records of the seeds 1, 2, ... with these accuracies."""
    return [record(dataset, method, shots, seed, value, **others)
            for seed, value in enumerate(top1, 1)]


def write_result(folder, name='result.json', **fields):
    """A result file as ResultHook writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    result = {
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
    }
    # of the training run, in a test as well
    run = result['trained_on'] or result
    run.setdefault('recipe_epochs',
                   recipe_epochs(run['dataset'], run['shots']))
    result.setdefault('recipe_epochs', run['recipe_epochs'])
    path.write_text(json.dumps(result))
    return path
