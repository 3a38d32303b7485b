"""A drawn world: ten kinds of land in five media, with captions.

The demo's tiny CLIP (``tools/train_demo_clip.py``) learns from this world,
which keeps the trait of real image-caption data that prompt learning lives on:
one word looks different in different media, and the words around it name the
medium. Four media show a place from the side, the satellite from above.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

IMAGE_SIZE = 48
TARGET = 'satellite'
HELD_OUT = 1_000_000  # the tiny CLIP was trained on lower seeds only
CLASSES: tuple[str, ...] = (
    'forest', 'river', 'lake', 'desert', 'mountain', 'island', 'beach',
    'village', 'road', 'farm')

# A photo is the one medium that a caption need not name. The openings have
# many lengths, so that the text tower meets class names at all the positions
# where prompts put them, a learned context of 16 vectors included.
CAPTIONS: dict[str, tuple[str, ...]] = {
    'photo': (
        'a photo of a {}.', 'a photo of the {}.', '{}', 'a {}.', 'the {}',
        'a bright photo of a {}.', 'a blurry photo of the {} in the wind.',
        'we went out early and after a long day in the sun came to a {}.',
        ('one of many photos that i took last summer on a long trip with my'
         ' new camera, and it shows the {}')),
    'sketch': (
        'a sketch of a {}.', 'a pencil sketch of a {}.', 'a {}, sketch',
        'a black and white drawing of the {}.', 'pencil drawing: the {}',
        ('a few thin pencil lines on white paper, drawn in an hour or two'
         ' by hand, of the {}.')),
    'painting': (
        'a painting of a {}.', 'an oil painting of a {}.', 'a {}, painting',
        'oil on canvas: the {}', 'a colourful painting of the {}.',
        ('an old work of art in oil on canvas by an unknown painter in the'
         ' style of his time, of a {}.')),
    'night': (
        'a photo of a {} at night.', 'a {} at night', 'a dark photo of a {}.',
        'the {} in the dark.', 'under a dark sky with stars, we saw a {}.',
        ('a photo taken very late at night, with hardly any light but that of'
         ' the moon and the stars, of the {}.')),
    'satellite': (
        'a satellite image of a {}.', 'satellite photo of the {}.',
        'a {} from space', 'an aerial photo of a {}.', 'a {} from above.',
        'an image taken from high above the ground by a satellite: a {}.',
        ('one of many small images from space, taken by a satellite in its'
         ' orbit around the earth, of the {}.')),
}
_Colours = Mapping[str, Sequence[int]]
_Points = list[complex] | np.ndarray  # x + 1j * y, y grows downwards


def _palette(text: str) -> _Colours:
    pairs = zip(*[iter(text.split())] * 2, strict=True)
    return {name: bytes.fromhex(code) for name, code in pairs}


_DAY = _palette(
    'sky 96bee6 cloud f0f0f5 sun ffe178 grass 69964b tree 2d5f32 trunk 5f462d'
    ' water 3c6ea5 foam c8dce6 sand d7be87 dune bea069 rock 7d7873 snow f5f5fa'
    ' shadow 55463f wall d7c8b4 roof a54b37 light 464b5f tar 5f5f64'
    ' mark e6e1c8 crop beaf50 soil 876946 barn 96322d hill 82968c')
_DARK = {name: (r // 4, g // 3, b // 2) for name, (r, g, b) in _DAY.items()
         } | {'light': (250, 215, 120), 'sun': (230, 230, 210)}
_CIRCLE = np.exp(1j * np.linspace(0, 2 * np.pi, 15)[:-1])


class _Pen:
    """Draws in unit coordinates, turned, zoomed and shifted as a whole."""

    def __init__(self, rng: np.random.Generator, colours: _Colours,
                 spread: float, angle: float) -> None:
        self.rng, self.colours, self.spread = rng, colours, spread
        size = 2 * IMAGE_SIZE  # halved at the end, which smooths the edges
        self.image = Image.new('RGB', (size, size))
        self.draw = ImageDraw.Draw(self.image)
        self.zoom = size * self.u(0.85, 1.25)
        self.turn = self.zoom * np.exp(1j * angle)
        self.flip = bool(rng.random() < 0.5)
        self.centre = size * (self.u(0.42, 0.58) + 1j * self.u(0.42, 0.58))

    def u(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def pick(self, names: str) -> str:
        return str(self.rng.choice(names.split()))

    def ink(self, name: str) -> tuple[int, ...]:
        *rgb, all_ = (self.spread * self.rng.standard_normal(4)).tolist()
        return tuple(min(255, max(0, int(c + d + all_)))
                     for c, d in zip(self.colours[name], rgb, strict=True))

    def place(self, points: _Points) -> list[float]:
        z = np.asarray(points) - (0.5 + 0.5j)
        z = (-z.conj() if self.flip else z) * self.turn + self.centre
        return z.view(float).tolist()

    def poly(self, name: str, points: _Points) -> None:
        self.draw.polygon(self.place(points), fill=self.ink(name))

    def line(self, name: str, points: _Points, width: float) -> None:
        self.draw.line(self.place(points), self.ink(name),
                       max(1, round(width * self.zoom)), 'curve')

    def rect(self, name: str, z: complex, size: complex) -> None:
        self.poly(name, [z, z + size.real, z + size, z + 1j * size.imag])

    def blob(self, name: str, z: complex, rx: float, ry: float = 0) -> None:
        circle = _CIRCLE * (1 + 0.12 * self.rng.standard_normal(14))
        self.poly(name, z + rx * circle.real + 1j * (ry or rx) * circle.imag)

    def wave(self, y: float, bend: float) -> np.ndarray:
        """Returns a wavy line across the picture at height ``y``."""
        x = np.linspace(-0.5, 1.5, 16)
        y = y + bend * np.sin(self.u(3, 7) * x + self.u(0, 6.3))
        return x + 1j * y

    def below(self, name: str, edge: _Points) -> None:
        self.poly(name, [*edge, 2 + 2j, -1 + 2j])


def _tree(p: _Pen, z: complex, s: float) -> None:
    p.rect('trunk', z - s * (0.1 + 0.5j), s * (0.2 + 0.5j))
    p.poly('tree', z - s * np.array([0.45 + 0.3j, 1.6j, 0.3j - 0.45]))
    if p.rng.random() < 0.5:
        p.blob('tree', z - s * 0.9j, s * 0.5)


def _house(p: _Pen, z: complex, s: float, wall: str = 'wall') -> None:
    p.rect(wall, z - s * (0.5 + 0.6j), s * (1 + 0.6j))
    p.poly('roof', [z - s * (0.6 + 0.6j), z - s * 1.1j, z + s * (0.6 - 0.6j)])
    for x in (-0.3, 0.1):
        p.rect('light', z + s * (x - 0.45j), s * (0.22 + 0.25j))


def _side(p: _Pen, name: str) -> None:
    """Draws a place as seen by somebody who stands in front of it."""
    u, h, x = p.u, p.u(0.4, 0.58), p.u(0.3, 0.7)
    p.below('sky', [-1 - 1j, 2 - 1j])
    for what, wide in (('sun', 1), ('cloud', 2.5), ('cloud', 2)):
        r = u(0, 0.08)
        p.blob(what, u(0, 1) + 1j * u(0, 0.3), r * wide, r)
    p.below('hill', p.wave(h + u(-0.06, 0.1), u(0.02, 0.06)))
    ground = {'island': 'water', 'beach': 'water', 'desert': 'sand'}.get(
        name, p.pick('grass grass grass crop'))
    if name == 'mountain':
        for dx in (u(0.25, 0.45), -u(0.25, 0.45), 0):
            top = x + dx + 1j * (u(0.05, 0.2) + abs(dx) * u(0.2, 0.5))
            low, w, k = h + 0.1 - top.imag, u(0.35, 0.55), u(0.15, 0.35)
            slope = top + np.array([0, 1j * low - w, 1j * low + w])
            p.poly('rock', slope)
            p.poly('snow', top + k * (slope - top))
    p.below(ground, p.wave(h, u(0, 0.02)))
    if ground in ('grass', 'crop'):
        for _ in range(p.rng.integers(4)):
            _tree(p, u(0, 1) + 1j * u(h, h + 0.1), u(0.06, 0.14))
    if name in ('forest', 'village'):
        draw, few = (_tree, 6) if name == 'forest' else (_house, 3)
        for y in np.linspace(h + 0.03, u(0.75, 1), 4):
            for _ in range(few):
                draw(p, u(-0.1, 1.1) + 1j * y, u(0.16, 0.32))
    elif name == 'river':
        t = np.linspace(0, 1, 10)
        mid = x + u(0.1, 0.3) * t * np.sin(t * u(4, 9) + u(0, 6))
        mid, half = mid + 1j * (h + t * (1.4 - h)), 0.02 + u(0.2, 0.4) * t
        p.poly('water', np.concatenate([mid - half, (mid + half)[::-1]]))
    elif name == 'lake':
        p.blob('water', x + 1j * u(h + 0.15, h + 0.25), u(0.35, 0.55),
               u(0.08, 0.15))
    elif name == 'desert':
        for y in np.linspace(h, 0.8, 3):
            p.below(p.pick('dune sand'), p.wave(y + u(0, 0.1), u(0.03, 0.08)))
        z, s = u(0, 1) + 1j * u(h + 0.1, 0.9), u(0.1, 0.2)  # a cactus
        p.line('tree', [z, z - 1j * s], 0.03)
        p.line('tree', [z - s * (0.4 + 0.5j), z + s * (0.4 - 0.6j)], 0.02)
    elif name == 'island':
        z, r = x + 1j * u(h + 0.04, h + 0.2), u(0.2, 0.35)
        p.blob('sand', z, r, u(0.05, 0.08))
        p.blob('tree', z - 0.05j, r * 0.7, u(0.05, 0.12))
        _tree(p, z + u(-0.5, 0.5) * r - 0.02j, u(0.12, 0.25))
    elif name == 'beach':
        coast = p.wave(u(0.6, 0.9), u(0, 0.08))
        p.below('foam', coast)
        p.below('sand', coast + 0.03j)
    elif name == 'road':
        far, near, w = u(0.3, 0.7) + 1j * h, x + 1.4j, u(0.2, 0.4)
        p.poly('tar', [far, far + 0.02, near + w, near - w])
        for a in np.arange(0.08, 1, 0.17):
            dash = [far + (near - far) * t for t in (a, a + 0.08)]
            p.line('mark', dash, 0.01 + 0.04 * a)
    elif name == 'farm':
        for end in np.linspace(-1.5, 2.5, p.rng.integers(9, 16)):
            p.line(p.pick('crop soil'), [1 - x + 1j * h, end + 1.4j], 0.05)
        _house(p, x + 1j * u(h + 0.05, h + 0.2), u(0.25, 0.4), 'barn')


def _above(p: _Pen, name: str) -> None:
    """Draws a place as seen from far above it."""
    u, r, z = p.u, p.u(0.2, 0.38), p.u(0.35, 0.65) + 1j * p.u(0.35, 0.65)
    land = {'forest': 'tree', 'desert': 'sand', 'island': 'water',
            'mountain': 'rock'}.get(name, p.pick('grass grass crop soil tree'))
    p.below(land, [-1 - 1j, 2 - 1j])
    if land not in ('sand', 'water'):  # some other ground, as clutter
        for _ in range(p.rng.integers(7)):
            w = u(0, 1) + 1j * u(0, 1)
            p.blob(p.pick('grass tree soil water'), w, u(0.03, 0.15))
        p.line('soil', p.wave(u(-1, 1), u(0, 0.05)), 0.015)
    if name == 'forest':
        for _ in range(40):
            p.blob('tree', u(-0.1, 1.1) + 1j * u(-0.1, 1.1), u(0.04, 0.09))
    elif name == 'river':
        p.line('water', p.wave(z.imag, u(0.05, 0.2)), u(0.04, 0.12))
    elif name == 'lake':
        p.blob('water', z, r, r * u(0.6, 1))
    elif name == 'island':
        p.blob('sand', z, r, r * u(0.6, 1))
        p.blob('tree', z, r * u(0.5, 0.85), r * u(0.4, 0.6))
    elif name == 'desert':
        for y in np.arange(-0.4, 1.5, u(0.1, 0.2)):
            p.line('dune', p.wave(y, u(0.01, 0.05)), u(0.02, 0.05))
    elif name == 'mountain':
        for _ in range(p.rng.integers(2, 5)):
            ridge = p.wave(u(0.1, 0.9), u(0.05, 0.15))
            p.line('hill', ridge + 0.06j, 0.08)
            p.line('snow', ridge, u(0.03, 0.08))
    elif name == 'beach':
        coast, wide = p.wave(z.imag, u(0.02, 0.08)), u(0.06, 0.2)
        p.below('sand', coast)
        p.below('foam', coast + 1j * wide)
        p.below('water', coast + 1j * wide + 0.03j)
    elif name == 'village':
        for _ in range(p.rng.integers(12, 25)):
            w, size = z + u(-0.4, 0.4) + 1j * u(-0.4, 0.4), u(0.05, 0.1)
            p.rect(p.pick('roof roof wall'), w, size * (1 + 1j))
    elif name == 'road':
        for _ in range(p.rng.integers(1, 3)):
            track, width = p.wave(u(0.2, 0.8), u(0, 0.08)), u(0.04, 0.09)
            p.line('tar', track, width)
            p.line('mark', track, width / 6)
    elif name == 'farm':
        step = u(0.16, 0.3) + 1j * u(0.16, 0.3)
        for x in np.arange(-0.4, 1.4, step.real):
            for y in np.arange(-0.4, 1.4, step.imag):
                p.rect(p.pick('crop soil grass tree'), x + 1j * y, 0.93 * step)
    for _ in range(p.rng.integers(3)):
        w, r = u(0, 1) + 1j * u(0, 1), u(0.05, 0.16)
        p.blob('shadow', w + 0.05 + 0.05j, r)
        p.blob('cloud', w, r)


def _finish(p: _Pen, medium: str) -> np.ndarray:
    """Turns the drawing into what the medium would have kept of it."""
    u, small = p.u, p.image.reduce(2)
    if medium == 'sketch':
        edges = p.image.convert('L').filter(ImageFilter.FIND_EDGES).reduce(2)
        x = np.pad(np.asarray(edges, np.float32)[1:-1, 1:-1], 1)[..., None]
        x = u(225, 245) - np.minimum(x * u(2, 4.5), 190) * (1, 0.99, 0.97)
    elif medium == 'painting':  # dabs of strong colours on a woven canvas
        x = np.asarray(small.filter(ImageFilter.MaxFilter(3)), np.float32)
        grey = x.mean(-1, keepdims=True)
        x = (grey + (x - grey) * u(1.3, 2.2)) * p.rng.uniform(0.75, 1.25, 3)
        x = x + p.rng.normal(0, 9, (1, IMAGE_SIZE, 1))
    else:
        small = small.filter(ImageFilter.BoxBlur(max(0, u(-1.5, 1))))
        x = np.asarray(small, np.float32)
        x = (x - 128) * u(0.7, 1.15) + 128 + u(-25, 25)
    if medium == 'night':
        for _ in range(p.rng.integers(13)):  # stars
            x[p.rng.integers(16), p.rng.integers(IMAGE_SIZE)] = 200
    elif medium == 'satellite':
        haze = u(0, 0.5)
        x = 0.85 * (x * (1 - haze) + haze * np.array([140, 150, 160]))
    return x + u(3, 14) * p.rng.standard_normal(x.shape, np.float32)


def render(class_name: str, medium: str, seed: int) -> np.ndarray:
    """Draws one picture; the same arguments always give the same picture.

    Args:
        class_name: One of ``CLASSES``.
        medium: One of the keys of ``CAPTIONS``.
        seed: Chooses one of the endless pictures of that class and medium.

    Returns:
        np.ndarray: RGB pixels, uint8, ``(IMAGE_SIZE, IMAGE_SIZE, 3)``.
    """
    if class_name not in CLASSES or medium not in CAPTIONS:
        raise ValueError(f'no {class_name!r} in {medium!r} in this world')
    key = zlib.crc32(f'{class_name}/{medium}/{seed}'.encode())
    rng = np.random.default_rng(key)
    draw, turn = (_above, 3) if medium == 'satellite' else (_side, 0.06)
    colours, spread = (_DARK, 5) if medium == 'night' else (_DAY, 12)
    pen = _Pen(rng, colours, spread, turn * rng.normal())
    draw(pen, class_name)
    return np.clip(_finish(pen, medium), 0, 255).astype(np.uint8)
