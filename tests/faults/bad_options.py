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
    ('a port in use', lambda box: box.train(
        flags=('--launcher', 'pytorch')) if box.take_port() else None,
     'port', 'PORT=29501'),
]

CASES = [('option', *case) for case in OPTIONS]
