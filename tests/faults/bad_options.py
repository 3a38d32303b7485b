"""Cases of bad options, in rows as those of ``bad_runs``."""
from .bad_runs import train


def words(tool, *args):
    return lambda box: (tool, *(box.run if arg == 'RUN' else arg
                                for arg in args))


def elsewhere(box):
    tool, name, _, _, *others = box.train()
    return tool, name, '--work-dir', box.write('file', 'x'), *others


OPTIONS = [
    ('shots=0', train('shots=0'), 'shots=0', 'at least 1'),
    ('shots=-1', train('shots=-1'), 'shots=-1', 'at least 1'),
    ('shots=many', train('shots=many'), 'shots=many', 'whole number'),
    ('max_epochs=0', train('max_epochs=0'), 'max_epochs=0'),
    ('no seed', train('seed='), 'seed'),
    ('seed=-1', train('seed=-1'), 'seed'),
    ('seed=one', train('seed=one'), 'seed'),
    ('batch_size=0', train('train_dataloader.batch_size=0'), 'batch_size'),
    ('batch_size=-4', train('train_dataloader.batch_size=-4'), 'batch_size'),
    ('num_workers=-1', train('num_workers=-1'), 'num_workers'),
    ('lr=fast', train('optim_wrapper.optimizer.lr=fast'), 'lr', 'fast'),
    ('lr=-1', train('optim_wrapper.optimizer.lr=-1'), 'lr', '-1'),
    ('lr=nan', train('optim_wrapper.optimizer.lr=nan'), 'lr', 'nan'),
    ('label_noise=2', train('label_noise=2'), 'label_noise', '2'),
    ('no value', train('shots'), 'key=value'),
    ('an unknown flag', train(flags=('--sead', '1')), '--sead'),
    ('a work folder that is a file', elsewhere, 'file', '--work-dir'),
    ('test: --out a text', lambda box: box.test(
        box.run, flags=('--out', 'x.txt')), '--out', '.pkl'),
    ('test: --tta of no method', lambda box: box.test(
        box.run, flags=('--tta', 'magic')), 'magic', 'tda'),
    *((f'predict: {" ".join(flags)}', words('predict', 'RUN', 'photos',
                                            *flags), *said)
      for flags, *said in (
          (('--threshold', '2'), '--threshold', '0 to 1'),
          (('--threshold', 'nan'), '--threshold', '0 to 1'),
          (('--top-k', '0'), '--top-k', 'at least 1'),
          (('--top-k', 'all'), '--top-k', 'all'),
          (('--batch-size', '0'), '--batch-size', 'at least 1'),
          (('--out', 'gone/x.csv'), '--out', 'gone'),
          (('--device', 'tpu9'), 'tpu9'))),
    *((f'export: {" ".join(flags)}', words('export', 'RUN', *flags), *said)
      for flags, *said in (
          (('--tolerance', '-1'), '--tolerance'),
          (('--tolerance', 'nan'), '--tolerance'),
          (('--opset', '3', '--out', 'x.onnx'), '--opset 3', 'LATE'),
          (('--out', 'x.txt'), '--out', '.onnx'),
          (('--images', 'nowhere'), 'nowhere'),
          (('--format', 'caffe'), '--format', 'onnx'))),
    ('transfer: no data', lambda box: (
        'transfer', box.config, box.run, '--datasets', 'eurosat',
        '--data-root', 'nowhere'), 'nowhere'),
    ('transfer: another data set', lambda box: (
        'transfer', box.config, box.run, '--datasets', 'cifar'), 'cifar'),
    ('reproduce: no data', words(
        'reproduce', 'few-shot', '--datasets', 'eurosat', '--work-dir', 'w',
        '--methods', 'coop-m16-end', '--cfg-options', 'data_root=nowhere'),
     'nowhere'),
    ('reproduce: --shots 0', words(
        'reproduce', 'few-shot', '--datasets', 'demo', '--shots', '0',
        '--work-dir', 'w'), 'shots'),
    ('reproduce: --methods', words(
        'reproduce', 'few-shot', '--methods', 'magic'), 'magic', 'coop'),
    ('reproduce: a misspelt variable', words(
        'reproduce', 'few-shot', '--methods', 'coop-m16-end', '--cfg-options',
        'data_rot=x'), 'data_root'),
    # what is typed for what other tools take
    ('a dict', train("optim_wrapper.optimizer={'type':'SGD','lr':.1}"),
     'optim_wrapper.optimizer=', 'one by one'),
    ('a dict, as in Python', train('model.clip=dict(model_name=RN50)'),
     'model.clip=', 'one by one'),
    ('a word for settings', train('model=coop'), 'model=coop', 'one by one'),
    ('no = but spaces', train(flags=('--cfg-options', 'lr', '=', '.1')),
     'key=value', 'without spaces'),
    ('shots=all', train('shots=all'), 'shots=all', 'shots=None'),
    ('image_size=0', train('image_size=0'), 'image_size=0'),
    ('lr=inf', train('optim_wrapper.optimizer.lr=inf'), 'lr=inf'),
    ('weight_decay=none', train('optim_wrapper.optimizer.weight_decay=none'),
     "weight_decay='none'", 'number'),
    ('momentum=-2', train('optim_wrapper.optimizer.momentum=-2'), 'SGD',
     'momentum', '-2', 'LATE'),
    ('clip_grad=5', train('optim_wrapper.clip_grad=5'), 'OptimWrapper',
     'clip_grad', 'LATE'),
    *((f'{place}={value}', train(f'{place}={value}'), f'{place}={value}',
       'at least')
      for place, value in (
          ('train_cfg.val_interval', 0),
          ('optim_wrapper.accumulative_counts', 0),
          ('train_dataloader.num_workers', -1),
          ('test_dataloader.num_workers', 'many'))),
    ('train_cfg.max_epochs=0', lambda box: (
        'train', box.config, '--work-dir', 'work', *box.options(
            'train_cfg.max_epochs=0')), 'train_cfg.max_epochs=0'),
    ('log_level=debug', train('log_level=debug'), 'log_level=debug', 'DEBUG'),
    ('validation without data', train('val_dataloader=None'),
     'val_dataloader', '--no-validate'),
    ('an index that is not there', train(
        'test_dataloader.dataset.pipeline.9.scale=1'), '--cfg-options '
     'test_dataloader.dataset.pipeline.9.scale:', 'Index 9'),
    ('an empty --work-dir', train(flags=('--work-dir', '')), '--work-dir'),
    ('torchrun forgotten', train(flags=('--launcher', 'pytorch')),
     '--launcher pytorch', 'RANK', 'torchrun'),
    ('a folder for a checkpoint', lambda box: box.train(
        flags=('--resume', box.run)), 'is a folder', 'epoch_2.pth'),
    ('a size of the cache', lambda box: box.train() if box.set(
        MMCOOP_CACHE_LIMIT='20GB') else None, 'MMCOOP_CACHE_LIMIT=20GB'),
    *((f'test: {" ".join(flags)}', lambda box, flags=flags: box.test(
        box.run, flags=flags), *said)
      for flags, *said in (
          (('--out', 'x.txt', '--out-item', 'metrics'), 'x.txt', '.json'),
          (('--out', 'gone/x.pkl'), 'no folder gone'),
          (('--interval', '0'), '--interval 0', 'at least 1'),
          (('--show-dir', 'work/epoch_9.txt'), 'epoch_9.txt', 'folder'))),
    ('a port in use', lambda box: box.train(
        flags=('--launcher', 'pytorch')) if box.take_port() else None,
     'port', 'PORT=29501'),
]

CASES = [('option', *case) for case in OPTIONS]
