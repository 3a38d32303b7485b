"""Cases of bad images, in rows as those of ``bad_data``."""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image


def encode(kind, mode='RGB', shade=0):
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 99, (40, 48, 3), np.uint8)
    pixels[..., shade] += 100
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def png_of(width, height, *chunks):
    """A PNG whose header says a size, and that has hardly a pixel."""

    def chunk(name, data):
        check = struct.pack('>I', zlib.crc32(name + data))
        return struct.pack('>I', len(data)) + name + data + check

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*one) for one in (
        (b'IHDR', header), *chunks, (b'IDAT', zlib.compress(b'\0' * 99)),
        (b'IEND', b'')))


def photo(name, content):
    """Training with one more image in the class snow."""

    def make(box):
        box.write(f'photos/snow/{name}', content)
        return box.train('shots=16')

    return make


def link(name, target):
    def make(box):
        (box.photos / 'snow' / name).symlink_to(target)
        return box.train('shots=16')

    return make


def fifo(line):
    def make(box):
        os.mkfifo(box.photos / 'snow/pipe.jpg')
        return line(box)

    return make


def predicting(name, content):
    def make(box):
        path = box.write(f'photos/snow/{name}', content)
        return box.predict(path)

    return make


BOMB = png_of(30000, 30000)
TEXT = (b'zTXt', b'a\0\0' + zlib.compress(bytes(1 << 22)))
IMAGES = [
    ('cut short', photo('cut.jpg', encode('JPEG')[:300]), 'cut.jpg', 'Mend'),
    ('of zero bytes', photo('zero.png', b''), 'zero.png', 'Mend'),
    ('a text', photo('text.jpg', 'no image'), 'text.jpg', 'Mend'),
    ('a decompression bomb', photo('bomb.png', BOMB), 'bomb.png',
     '900000000 pixels', 'Mend'),
    ('a bomb of text', photo('text.png', png_of(9, 9, TEXT)), 'text.png',
     'Mend'),
    ('floating point', photo('f.tiff', encode('TIFF', 'F')), 'f.tiff',
     'floating-point'),
    ('a vector drawing', photo('x.png', '<svg></svg>'), 'x.png', 'Mend'),
    ('dangling link', link('gone.jpg', 'nowhere.jpg'), 'gone.jpg: missing'),
    ('link to itself', link('self.jpg', 'self.jpg'), 'self.jpg', 'Mend'),
    ('a FIFO', fifo(lambda box: box.train('shots=16')), 'pipe.jpg',
     'no file'),
    ('predict: a FIFO', fifo(lambda box: box.predict('photos')),
     'pipe.jpg', 'no file', 'LATE'),
    ('predict: a bomb', predicting('bomb.png', BOMB), 'bomb.png',
     '900000000 pixels', 'LATE'),
    ('predict: a text', predicting('x.jpg', 'text'), 'x.jpg: it is no image',
     'LATE'),
    ('predict: a device', lambda box: box.predict('/dev/zero'),
     '/dev/zero', 'no file', 'LATE'),
    ('export: a text', lambda box: (
        'export', box.run, '--out', 'x.onnx', '--images',
        box.write('x.jpg', 'text')), 'x.jpg', 'cannot read', 'LATE'),
]

CASES = [('image', *case) for case in IMAGES]
