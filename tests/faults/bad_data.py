"""Cases of bad data: folders, lists, split files, class names.

Rows of (kind, name, command line in a ``Box``, what the sentence says).
"""
import gzip
import json
import os

from .bad_images import encode


def emptied(*classes):
    def make(box):
        for name in classes:
            for file in (box.photos / name).iterdir():
                file.unlink()
        return box.train()

    return make


def without(*classes, keep=0):
    def make(box):
        for name in classes:
            for file in sorted((box.photos / name).iterdir())[keep:]:
                file.unlink()
            if not keep:
                (box.photos / name).rmdir()
        return box.train()

    return make


def renamed(old, new):
    def make(box):
        (box.photos / old).rename(box.photos / new)
        return box.train()

    return make


def parts(test):
    """train/ and test/ with these classes."""

    def make(box):
        for part, names in (('train', ('snow', 'grass')), ('test', test)):
            for name in names:
                box.write(f'parts/{part}/{name}/1.png', encode('PNG'))
        return box.train('data_root=parts')

    return make


def beside(box):
    box.write('photos/train/lake/1.png', encode('PNG'))
    return box.train()


def loop(box):
    (box.photos / 'all').symlink_to('.')
    return box.train()


FOLDERS = [
    ('missing', lambda box: box.train('data_root=nowhere'), 'nowhere',
     'does not exist', 'set data_root'),
    ('empty', without('snow', 'red_fox', 'grass'), 'photos',
     'no class sub-folders', 'Make one'),
    ('a file', lambda box: box.train(
        f'data_root={box.write("x.zip", "x")}'), 'x.zip is no folder',
     'unpack'),
    ('an address', lambda box: box.train(
        'data_root=https://example.com/photos'), 'https://example.com/photos',
     'on this machine'),
    ('one class', without('snow', 'grass'), 'one class only (red_fox)'),
    ('one image in a class', without('snow', keep=1), 'snow/0.png',
     'only image'),
    ('an empty class', emptied('snow'), 'snow', 'add some'),
    ('classes beside train', beside, 'grass', 'Move one'),
    ('other classes in test', parts(('snow', 'lake')), 'grass', 'lake',
     'must be the same'),
    ('a link to its own parent', loop, 'photos/all', 'link'),
    ('names that differ by _', renamed('snow', 'red fox'), 'red fox',
     'red_fox', 'rename'),
    ('predict: empty', lambda box: box.predict('empty') if not (
        box.root / 'empty').mkdir() else None, 'no image in empty'),
    ('predict: missing', lambda box: box.predict('nothere'),
     'there is no nothere'),
    ('predict: a pattern', lambda box: box.predict('photos/*.xyz'),
     'no image matches photos/*.xyz'),
]


def listed(*lines, encoding='utf-8', name='x.csv', ending='\n'):
    """Training on a list; a class is as many lines as it needs."""

    def make(box):
        path = box.write(f'photos/{name}',
                         ending.join(lines).encode(encoding))
        return box.train(f'data_root={path}')

    return make


ROWS = [f'{name}/{i}.png,{name}' for name in ('snow', 'grass')
        for i in range(4)]
LISTS = [
    ('no column of labels', listed('path,colour', *ROWS), 'x.csv', 'label'),
    ('no column of paths', listed('text,label', *ROWS), 'x.csv', 'path'),
    ('a missing file', listed(*ROWS, 'snow/9.png,snow'), 'snow/9.png'),
    ('only missing files', listed('a/1.png,a', 'b/1.png,b'), 'x.csv',
     'a/1.png', 'relative to the folder'),
    ('a folder for a file', listed('snow,snow', *ROWS), '/snow', 'Mend'),
    ('a header alone', listed('path,label'), 'x.csv', 'empty but'),
    ('in Latin-1', listed('path,label', 'snow/0.png,Füchse', *ROWS,
                          encoding='latin-1'), 'x.csv', 'UTF-8'),
    ('in UTF-16', listed('path,label', *ROWS, encoding='utf-16'), 'x.csv',
     'UTF-8'),
    ('a picture named .csv', lambda box: box.train(
        f'data_root={box.write("x.csv", encode("PNG"))}'), 'x.csv', 'UTF-8'),
    ('an endless cell', listed('path,label', f'"{"x" * 200000}",a'),
     'x.csv', 'line 2'),
    ('an empty label', listed(*ROWS, 'snow/3.png,'), 'x.csv, line 9',
     'path,label'),
    ('a photo twice', listed(*ROWS, 'snow/3.png,grass'), 'line 9', 'remove'),
    ('another split', listed('path,label,split', 'snow/0.png,snow,holdout'),
     'line 2', 'train, val or test'),
    ('a missing list', lambda box: box.train('ann_file=gone.csv'),
     'ann_file', 'gone.csv'),
]


def split_file(edit):
    """Training on EuroSAT with another split file.

    Args:
        edit: Takes the content and changes it, or returns another one.
    """

    def make(box):
        path = box.eurosat / 'split_zhou_EuroSAT.json'
        content = json.loads(path.read_text())
        content = edit(content) or content
        box.write(path, content if isinstance(content, (str, bytes))
                  else json.dumps(content))
        return box.train('dataset=eurosat', f'data_root={path.parents[1]}')

    return make


def first(i, value, split='train'):
    """Change the path (0), label (1) or name (2) of the first image."""
    return split_file(lambda content: content[split][0].__setitem__(i, value))


def without_images(box):
    (box.eurosat / '2750').rename(box.eurosat / 'elsewhere')
    return box.train('dataset=eurosat', f'data_root={box.eurosat.parent}')


FILE = 'split_zhou_EuroSAT.json'
SPLITS = [
    ('invalid JSON', split_file(lambda content: '{"train": [['), FILE,
     'no split file'),
    ('a list', split_file(lambda content: '[]'), FILE, 'no split file'),
    ('without val', split_file(lambda content: content.pop('val') and None),
     FILE, "'val'"),
    ('in Latin-1', split_file(lambda content: '{"é": 1}'.encode('latin-1')),
     FILE, 'no split file'),
    ('packed', split_file(lambda content: gzip.compress(b'{}')), FILE,
     'no split file'),
    ('a word for a label', first(1, 'one'), FILE, "'one'"),
    ('a half for a label', first(1, 0.5), FILE, '0.5'),
    ('infinity for a label', first(1, float('inf')), FILE, 'inf'),
    ('a negative label', first(1, -1), FILE, '-1'),
    ('a gap in the labels', first(1, 7), FILE, '7'),
    ('two names of a label', first(2, 'Lake'), FILE, 'Lake'),
    ('a number for a name', first(2, 5), FILE, '5'),
    ('an empty name', first(2, ' '), FILE, 'name'),
    ('an absolute path', first(0, '/etc/passwd'), FILE, '/etc/passwd'),
    ('a path that climbs out', first(0, 'a/../../../x.jpg'), FILE,
     'a/../../../x.jpg'),
    ('a missing image', first(0, 'gone.jpg', 'test'), 'gone.jpg', 'missing'),
    ('no training images', split_file(
        lambda content: content.update(train=[])), 'train', 'empty'),
    ('no folder of images', without_images, '2750'),
    ('check_data: invalid JSON', lambda box: [
        split_file(lambda content: '{')(box),
        ('check_data', box.eurosat.parent)][1], '0 of 1'),
    ('check_data: no folder', lambda box: ('check_data', 'nowhere'),
     'there is no folder nowhere'),
]


def named(text, name='names.txt'):
    def make(box):
        box.write(f'photos/{name}', text)
        return box.train()

    return make


def classes(*words):
    return lambda box: box.predict('photos', flags=('--classes', *words))


NAMES = [
    ('empty', named('snow:\ngrass: lawn'), 'names.txt', 'snow'),
    ('the same twice', named('snow: lawn\ngrass: lawn'), 'names.txt',
     'snow', 'grass', 'lawn'),
    ('the same but for _', named('snow: red fox'), 'names.txt', 'snow',
     'red_fox'),
    ('of no folder', named('lake: pond'), 'names.txt', 'lake'),
    ('invalid JSON', named('{"snow"', 'names.json'), 'names.json', 'no JSON'),
    ('a picture', named(encode('PNG')), 'names.txt', 'UTF-8'),
    ('very long', named('snow: ' + 'very ' * 90 + 'long'), 'very',
     'shorten', 'LATE'),
    ('underscores alone', renamed('snow', '___'), '___', 'name'),
    ('control characters', named('snow: sn\x1b[31mow'), 'names.txt',
     'control'),
    ('a line break in a folder', renamed('snow', 'sn\now'), 'sn', 'control'),
    ('no text (bytes)', renamed('snow', os.fsdecode(b'sn\xffow')), 'sn',
     'rename'),
    ('predict: one', classes('cat'), '1 class name (cat)', 'at least two'),
    ('predict: twice', classes('cat', 'dog', 'cat'), 'differ', 'cat'),
    ('predict: the same but for _', classes('red fox', 'red_fox'), 'differ',
     'red_fox'),
    ('predict: empty', classes('cat', ' '), 'empty'),
    ('predict: very long', classes('cat', 'very ' * 90), 'very', 'shorten',
     'LATE'),
    ('predict: a picture', lambda box: classes(
        box.write('x.txt', encode('PNG')))(box), 'x.txt', 'UTF-8'),
]

CASES = [(kind, *case) for kind, cases in dict(
    folder=FOLDERS, list=LISTS, split=SPLITS,
    names=NAMES).items() for case in cases]
