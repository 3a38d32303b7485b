"""Cases of bad configs, checkpoints and CLIP weights.

Rows of (kind, name, command line in a ``Box``, what the sentence says).
"""
import torch

from mmcoop.clip.weights import read_state_dict


class Hostile:
    """Its pickle would leave a file behind."""

    def __reduce__(self):
        return open, ('HOSTILE', 'w')


def config(text, name='mine.py'):
    def make(box):
        base = box.write(name, text.replace('BASE', str(box.config)))
        return box.train(config=base)

    return make


def train(*options, flags=()):
    return lambda box: box.train(*options, flags=flags)


PROMPT = 'model.head.prompt.'
DETECTOR = '''
model = dict(type='mmdet.FasterRCNN')
default_scope = 'mmdet'
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(
    type='CocoDataset'), sampler=dict(type='DefaultSampler', shuffle=True))
train_cfg = dict(by_epoch=True, max_epochs=12)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=.1))
'''
CONFIGS = [
    ('missing', lambda box: box.train(config='gone.py'), 'gone.py',
     'no config'),
    ('a folder', lambda box: box.train(config=box.photos), 'photos',
     'no config'),
    ('empty', lambda box: (
        'train', box.write('mine.py', ''), '--work-dir', 'work'), 'mine.py',
     'no model'),
    ('a text', config('this is no config\n'), 'mine.py'),
    ('an error in it', config('_base_ = "BASE"\nshots = 1 / 0\n'), 'mine.py'),
    ('a name that is not there', config('_base_ = "BASE"\nshots = many\n'),
     'mine.py', 'many'),
    ('a missing base', config('_base_ = "./gone.py"\n'), 'gone.py'),
    ('of another kind', config('{}', 'mine.txt'), 'mine.txt'),
    ('invalid JSON', config('{', 'mine.json'), 'mine.json'),
    ('a misspelt name in it', config('_base_ = "BASE"\nshot = 4\n'),
     'mine.py', "did you mean 'shots'"),
    ('a misspelt variable', train('shot=4'), "did you mean 'shots'"),
    ('a misspelt key', train(f'{PROMPT}nctx=4'), 'nctx', 'n_ctx'),
    ('a misspelt type', train(f'{PROMPT}type=mmcoop.ContextPromt'),
     'ContextPromt'),
    ('a word for a number', train(f'{PROMPT}n_ctx=many'), 'n_ctx', 'many'),
    ('a context too long', train(f'{PROMPT}n_ctx=100'), 'n_ctx=100',
     'LATE'),
    ('an unknown position', train(f'{PROMPT}class_token_position=back'),
     "'back'", 'end'),
    ('an unknown data set', train('dataset=eurosatt'), 'eurosatt',
     'eurosat'),
    ('an unknown precision', train('model.clip.precision=fp8'), 'fp8',
     'bf16'),
    ('an unknown part of classes', train('class_subset=old'), 'old', 'new'),
    ('a misspelt part of the host', train(
        'optim_wrapper.optimizer.type=SDG'), 'optim_wrapper.optimizer.type',
     'did you mean SGD?'),
    ('a misspelt metric', train('test_evaluator.0.type=Acuracy'),
     'test_evaluator.0.type', 'did you mean Accuracy?'),
    ('a misspelt argument that the host passes on', train(
        'default_hooks.checkpoint.intervall=5'), 'intervall',
     'did you mean interval?'),
    ('a head that lacks an argument', train('model.head.type=LinearClsHead'),
     'LinearClsHead', 'num_classes', 'LATE'),
    ('a template for words', train(f'{PROMPT}ctx_init=a photo of a {{}}.'),
     'ctx_init', 'class names follow', 'LATE'),
    ('its own base', config('_base_ = "./mine.py"\n'), 'mine.py',
     'base of itself'),
    ('of another project', lambda box: (
        'train', box.write('det.py', DETECTOR), '--work-dir', 'work'),
     'FasterRCNN'),
    ('selection on test images', train(
        'default_hooks.checkpoint.save_best=auto'), 'save_best',
     "val_split='val'"),
    ('cached views of visual prompts', lambda box: box.train(
        'dataset=folder', 'cached_views=2', config=next(
            box.configs.glob('maple/*.py'))), 'cached_views=2',
     'not possible'),
]
if not torch.cuda.is_available():
    CONFIGS.append(('mixed precision without a GPU',
                    train(flags=('--amp', )), 'GPU'))


def checkpoint(edit=None, content=None):
    """Test a checkpoint that was changed (``edit``), or another file."""

    def make(box):
        return box.test(broken(box, edit, content), f'{PROMPT}n_ctx=4')

    return make


def broken(box, edit=None, content=None, name='bad.pth'):
    path = box.root / name
    source = box.run / 'epoch_2.pth'
    if edit is not None:
        data = torch.load(source, weights_only=True)
        torch.save(edit(data) or data, path)
    elif callable(content):
        path.write_bytes(content(source.read_bytes()))
    else:
        path.write_bytes(content)
    return path


def predicting(edit=None, content=None):
    return lambda box: box.predict('photos', run=broken(box, edit, content))


def with_nan(data):
    data['state_dict']['head.prompt.ctx'][0, 0] = float('nan')


def with_type(kind):
    def edit(data):
        data['meta']['mmcoop']['model']['head']['prompt']['type'] = kind

    return edit


def in_record(**values):
    return lambda data: data['meta']['mmcoop'].update(values)


def of_another_tower(data):
    data['state_dict']['head.prompt.ctx'] = torch.zeros(4, 96)


def resuming(*options, edit=None):
    """Resume the run of another recipe."""

    def make(box):
        path = broken(box, edit or (lambda data: None))
        return box.train('shots=3', 'max_epochs=2', *options,
                         flags=('--resume', path))

    return make


HALF = dict(content=lambda data: data[:len(data) // 2])
TEXT = dict(content=b'no checkpoint')
EMPTY = dict(content=b'')
HOSTILE = dict(edit=lambda data: dict(data, more=Hostile()))
CHECKPOINTS = [
    ('none', lambda box: box.test(None), 'give the checkpoint'),
    ('missing', lambda box: box.test('gone.pth'), 'gone.pth'),
    ('an empty folder', lambda box: box.test('empty') if not (
        box.root / 'empty').mkdir() else None, 'no checkpoint in empty'),
    ('cut short', checkpoint(**HALF), 'bad.pth', 'damaged'),
    ('a text', checkpoint(**TEXT), 'bad.pth', 'no checkpoint'),
    ('of zero bytes', checkpoint(**EMPTY), 'bad.pth', 'no checkpoint'),
    ('hostile', checkpoint(**HOSTILE), 'bad.pth', 'pickled objects'),
    ('of another tower', checkpoint(of_another_tower), 'bad.pth', '[4, 96]',
     'LATE'),
    ('with NaN', checkpoint(with_nan), 'bad.pth', 'head.prompt.ctx', 'NaN'),
    ('without parameters', checkpoint(
        lambda data: dict(data, state_dict={})), 'head.prompt.ctx', 'LATE'),
    ('predict: cut short', predicting(**HALF), 'bad.pth', 'damaged'),
    ('predict: a text', predicting(**TEXT), 'bad.pth', 'no checkpoint'),
    ('predict: hostile', predicting(**HOSTILE), 'bad.pth', 'pickled objects'),
    ('predict: of another tower', predicting(of_another_tower), 'bad.pth',
     '[4, 96]', 'LATE'),
    ('predict: with NaN', predicting(with_nan), 'bad.pth', 'ctx', 'NaN'),
    ('predict: of a later version', predicting(in_record(format=999)),
     'bad.pth', '999', 'update'),
    ('predict: a word for a version', predicting(in_record(format='new')),
     'bad.pth', 'new'),
    ('predict: without a record', predicting(
        lambda data: data['meta'].pop('mmcoop') and None), 'bad.pth',
     'what model'),
    ('predict: tensors alone', predicting(
        lambda data: data['state_dict']), 'bad.pth', 'what model'),
    ('predict: another type', predicting(with_type('os.system')),
     'os.system', 'not registered'),
    ('predict: a number for a type', predicting(with_type(5)),
     'model.head.prompt: 5', 'not registered'),
    ('predict: a record that is no model', predicting(in_record(model=[])),
     'bad.pth', 'model'),
    ('predict: an empty folder', lambda box: box.predict(
        'photos', run=box.photos), 'photos', 'no checkpoint'),
    ('export: with NaN', lambda box: (
        'export', broken(box, with_nan), '--out', 'x.onnx'), 'NaN'),
    ('resume: another context', resuming(f'{PROMPT}n_ctx=2'), 'n_ctx=4',
     'LATE'),
    ('resume: another seed', resuming('seed=7', f'{PROMPT}n_ctx=4'),
     'seed=1 (now 7)', 'another --work-dir', 'LATE'),
    ('resume: other classes', resuming(
        'seed=1', f'{PROMPT}n_ctx=4', 'max_epochs=6',
        edit=lambda data: data['meta']['dataset_meta'].update(
            classes=['lake', 'sea', 'snow'])), '3 classes (now 3; lake, sea',
     'another --work-dir', 'LATE'),
    ('resume: hostile', resuming(edit=HOSTILE['edit']), 'bad.pth',
     'pickled objects'),
    ('resume: missing', train(flags=('--resume', 'gone.pth')), 'gone.pth'),
    ('published_to_mmcoop: hostile', lambda box: (
        'published_to_mmcoop', broken(box, **HOSTILE), 'out.pth'), 'bad.pth',
     'open'),
    ('published_to_mmcoop: a text', lambda box: (
        'published_to_mmcoop', broken(box, **TEXT), 'out.pth'), 'bad.pth'),
    ('mmcoop_to_published: a text', lambda box: (
        'mmcoop_to_published', broken(box, **TEXT), 'out'), 'bad.pth'),
]


def weights(edit=None, content=None, name='bad.pt', save=torch.save):
    """Train with a CLIP whose file was changed."""

    def make(box):
        path = box.root / name
        if edit is None:
            path.write_bytes(content(box) if callable(content) else content)
        else:
            state, _ = read_state_dict(box.clip['pretrained'])
            save(edit(state) or state, path)
        return box.train(f'model.clip.pretrained={path}')

    return make


def save_safe(state, path):
    from safetensors.torch import save_file
    save_file({key: value.contiguous() for key, value in state.items()},
              path)


def put(value):
    def edit(state):
        state['text_projection'][3, 3] = value

    return edit


def cut(box):
    state, _ = read_state_dict(box.clip['pretrained'])
    save_safe(state, box.root / 'whole.safetensors')
    return (box.root / 'whole.safetensors').read_bytes()[:5000]


WEIGHTS = [
    ('missing', train('model.clip.pretrained=gone.pt'), 'gone.pt'),
    ('a folder', train('model.clip.pretrained=photos'), 'photos'),
    ('cut short', weights(content=lambda box: open(
        box.clip['pretrained'], 'rb').read()[:9000]), 'bad.pt', 'cut short'),
    ('cut short, safetensors', weights(content=cut, name='bad.safetensors'),
     'bad.safetensors', 'cut short'),
    ('a text', weights(content=b'no weights'), 'bad.pt'),
    ('of zero bytes', weights(content=b''), 'bad.pt'),
    ('hostile', weights(lambda state: dict(state, more=Hostile())),
     'bad.pt', 'pickled objects'),
    ('no tensors', weights(lambda state: dict(epoch=3)), 'bad.pt',
     'no tensors'),
    ('other keys', weights(lambda state: {
        f'net.{key}': value for key, value in state.items()}), 'bad.pt',
     'another', 'LATE'),
    ('without a key', weights(
        lambda state: state.pop('ln_final.bias') is None), 'bad.pt',
     'ln_final.bias', 'LATE'),
    ('of another architecture', weights(content=lambda box: open(
        box.other_clip, 'rb').read()), 'bad.pt', 'another architecture',
     'LATE'),
    ('with NaN', weights(put(float('nan'))), 'bad.pt', 'text_projection',
     'NaN'),
    ('with infinity', weights(put(float('inf')), name='bad.safetensors',
                              save=save_safe), 'bad.safetensors',
     'text_projection'),
    ('an unknown name', train('model.clip.model_name=ViT-B-17'), 'ViT-B-17'),
    ('a config that is no JSON', lambda box: box.train(
        f'model.clip.model_name={box.write("x.json", "{")}'), 'x.json'),
    ('a config of something else', lambda box: box.train(
        f'model.clip.model_name={box.write("x.json", "{}")}'), 'x.json'),
    ('predict: missing', lambda box: box.predict(
        'photos', flags=('--clip', 'gone.pt')), 'gone.pt'),
    ('clip_to_mmpretrain: a text', lambda box: (
        'clip_to_mmpretrain', box.write('x.pt', 'text'), 'out.pth'), 'x.pt'),
]


CASES = [(kind, *case) for kind, cases in dict(
    config=CONFIGS, checkpoint=CHECKPOINTS,
    weights=WEIGHTS).items() for case in cases]
