"""The parts of the report page, as HTML; every name in them is escaped."""
import os
from html import escape
from typing import Any, List, Optional, Sequence, Tuple

from ..engine.describe import quote_templates
from ..progress import duration
from .names import backbone_title, method_title
from .protocols import PROTOCOLS, protocol_of

SHOWN, FOLDED = 25, 1000  # classes in the table, and below it at a click


def tiles(summary: dict, about: dict) -> str:
    """The numbers on top: accuracy, zero-shot and calibration error."""
    low, high = summary['interval'] or (0, 0)
    found = [('Accuracy', percent(summary['accuracy']),
              f'on other photos of the kind between {low:.0f} and '
              f'{high:.0f} %: {summary["images"]} images tell no more '
              '(95 % interval)')]
    if summary['zero_shot'] is not None:
        gain = summary['accuracy'] - summary['zero_shot']
        words = quote_templates(about['zero_shot']['templates'])
        found.append(('Zero-shot CLIP', percent(summary['zero_shot']),
                      f'without any training, told {words}; training '
                      f'{"gains" if gain >= 0 else "loses"} '
                      f'{abs(gain):.1f} points'))
    before, after = about.get('ece_before'), about.get('ece_after')
    if after is not None:
        found.append(('Calibration error', percent(after),
                      'between how sure it is and how often it is right; '
                      f'{percent(before)} without the temperature'))
    return '<div class="tiles">' + ''.join(
        f'<section><div class="soft">{escape(what)}</div>'
        f'<div class="tile">{escape(value)}</div>'
        f'<div class="soft">{escape(text)}</div></section>'
        for what, value, text in found) + '</div>'


def contact_sheet(mistakes: Sequence[dict]) -> str:
    """The images of mistakes, with what they are taken for."""
    from .page_pictures import image_uri, load_thumbnail
    parts = []
    for mistake in mistakes:
        image = load_thumbnail(mistake['path'])
        name = os.path.basename(mistake['path'])
        shown = '<div class="none">cannot be read</div>' if image is None \
            else (f'<img src="{image_uri(image)}" alt="{escape(name)}" '
                  f'title="{escape(mistake["path"])}">')
        parts.append(
            f'<figure>{shown}<figcaption><span class="wrong">'
            f'{escape(mistake["predicted"])}</span> '
            f'{mistake["confidence"]:.0f} %<br>is '
            f'<strong>{escape(mistake["label"])}</strong>'
            f'<span class="soft">{escape(name)}</span></figcaption></figure>')
    return f'<div class="sheet">{"".join(parts)}</div>'


def class_table(summary: dict) -> str:
    """A line for each class; the worst first, most of them at a click."""
    known = summary['zero_shot'] is not None
    numbered = list(enumerate(summary['classes'], 1))
    numbered.sort(key=lambda item: (
        item[1]['accuracy'] is None, item[1]['accuracy'] or 0, item[0]))
    lines = [_describe_class(number, part, known)
             for number, part in numbered]
    header = ('<tr><th>class</th><th class="n">images</th><th></th>'
              '<th class="n">accuracy</th>'
              + ('<th class="n">zero-shot</th>' if known else '')
              + '<th>mostly taken for</th></tr>')
    shown = _wide(header, lines[:SHOWN])
    rest = lines[SHOWN:FOLDED]
    if rest:
        shown += (f'<details><summary>{len(rest)} more</summary>'
                  + _wide(header, rest) + '</details>')
    if lines[FOLDED:]:
        shown += (f'<p class="soft">and {len(lines) - FOLDED} better ones: '
                  'see report.json</p>')
    return shown


def _wide(header: str, lines: Sequence[str]) -> str:
    return ('<div class="wide many"><table>' + header + ''.join(lines)
            + '</table></div>')


def _describe_class(number: int, part: dict, known: bool) -> str:
    from .page_pictures import is_drawable
    mark = '' if part['zero_shot'] is None else \
        f'<b style="left:{part["zero_shot"]:.1f}%"></b>'
    other = '' if part['mistaken_for'] is None else \
        f'{part["mistaken_for"]} ({part["mistaken"]})'
    name = escape(part['name']) + (
        '' if is_drawable(part['name'])
        else f' <span class="soft">#{number}</span>')
    zero_shot = f'<td class="n">{percent(part["zero_shot"])}</td>' \
        if known else ''
    return (f'<tr><td>{name}</td><td class="n">{part["images"]}</td>'
            f'<td><div class="bar"><i style="width:{part["accuracy"] or 0:.1f}'
            f'%"></i>{mark}</div></td>'
            f'<td class="n">{percent(part["accuracy"])}</td>{zero_shot}'
            f'<td>{escape(other)}</td></tr>')


def describe_calibration(about: dict) -> str:
    """How to read the picture of it, and which temperature was fitted."""
    text = 'Of the images that get 80 %, 80 % should be right: on the dotted '\
        'line. Below it the model is too sure, above it too modest. '
    if about.get('temperature') is None:
        return text + 'No temperature was fitted in this run.'
    return text + (
        f'A temperature of {about["temperature"]:.3g}, fitted on '
        f'{about["temperature_fitted_on"]}, divides the logits; predictions '
        'stay the same, and the probabilities on this page have it.')


def settings(about: dict) -> List[Tuple[str, Any]]:
    """(what, text) of all that the run was."""
    clip = about.get('clip')
    shots, seed = about.get('shots'), about.get('seed')
    protocol = protocol_of(about)
    prompt = about.get('prompt') or {}
    seconds = about.get('seconds_of_this_session')
    return [(what, text) for what, text in (
        ('Method', method_title(str(about.get('method')))),
        ('Training images', f'{about.get("num_images")}, up to {shots} a '
         f'class, drawn with seed {seed}' if shots else None),
        ('Epochs', about.get('epochs')),
        ('CLIP', clip and f'{backbone_title(clip)} '
         f'({about.get("pretrained")})'),
        ('Words', ', '.join(map(str, prompt.get('templates') or ()))
         if isinstance(prompt.get('templates'), list)
         else prompt.get('ctx_init')),
        ('Preprocessing', _preprocessing(about.get('preprocessing') or {})),
        ('Hyper-parameters', ', '.join(
            f'{name} {value:.4g}' for name, value in (
                about.get('selected') or {}).items()) or None),
        ('Selected on', about.get('selected_on') or 'nothing was selected'),
        ('Protocol', f'{protocol}: {PROTOCOLS.get(protocol, "")}'),
        ('Temperature', about.get('temperature') and
         f'{about["temperature"]:.4g}, fitted on '
         f'{about.get("temperature_fitted_on")}'),
        ('Duration', seconds and duration(seconds)),
        ('Device', about.get('device')),
        ('Config', about.get('config')),
        ('Checkpoint', about.get('checkpoint')),
        ('mmcoop', about.get('mmcoop'))) if text]


def _preprocessing(about: dict) -> str:
    """How images are made ready, of a model's record, for people."""
    parts = [f'{about["size"]} pixels', about['resize_mode'],
             about['interpolation']] if about.get('size') else []
    return ', '.join(parts + [
        f'{name} ' + ' '.join(f'{number:.4g}' for number in about[name])
        for name in ('mean', 'std') if about.get(name)])


def has_numbers(summary: dict) -> bool:
    """Whether classes are shown by their numbers in pictures."""
    from .page_pictures import is_drawable
    return not all(is_drawable(part['name']) for part in summary['classes'])


def section(title: str, text: str, content: str) -> str:
    """A titled part; the content is HTML."""
    return (f'<section><h2>{escape(title)}</h2>'
            + (f'<p class="soft">{escape(text)}</p>' if text else '')
            + f'{content}</section>')


def table(header: Sequence[str], rows: Sequence[tuple]) -> str:
    """A table of plain values."""
    lines = ['<tr>' + ''.join(f'<th>{escape(name)}</th>' for name in header)
             + '</tr>']
    lines += ['<tr>' + ''.join(f'<td>{escape(str(cell))}</td>'
                               for cell in row) + '</tr>' for row in rows]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def definition_list(items: Sequence[Tuple[str, Any]]) -> str:
    """A list of (what, text)."""
    return '<dl>' + ''.join(
        f'<dt>{escape(what)}</dt><dd>{escape(str(text))}</dd>'
        for what, text in items) + '</dl>'


def picture(uri: str, alt: str) -> str:
    """A picture of a ``data:`` address."""
    return f'<img class="picture" src="{uri}" alt="{escape(alt)}">'


def percent(value: Optional[float]) -> str:
    """``62.5 %``, or a dash."""
    return '–' if value is None else f'{value:.1f} %'
