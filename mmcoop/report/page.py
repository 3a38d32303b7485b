"""The report of one run: a page of one file that needs no network."""
import json
import os
from html import escape
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

from ..files import replacing
from ..progress import duration
from .names import backbone_title, method_title
from .page_style import HEAD
from .predictions import (Predicted, read_predictions, summarize, unique_names,
                          write_predictions)
from .protocols import PROTOCOLS, protocol_of

FOLDER, PAGE, DATA = 'report', 'report.html', 'report.json'
PREDICTIONS = 'predictions.csv'
SHOWN, FOLDED = 25, 1000  # classes in the table, and below it at a click


def write_page(run: Union[str, Path], result: Union[str, Path],
               rows: Sequence[Predicted], classes: Sequence[str],
               **more: Any) -> Path:
    """Write ``report.html``, ``report.json`` and the folder ``report``.

    Args:
        run: The run's folder.
        result: Its result file.
        rows: The prediction of every evaluated image.
        classes: The class names.
        **more: What to tell of the run beside its result.

    Returns:
        The page.
    """
    from .page_pictures import (draw_calibration, draw_confusion,
                                draw_mistakes, save)
    run = Path(run)
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    about = dict(more, **json.loads(Path(result).read_text(encoding='utf-8')))
    summary = summarize(rows, classes)
    write_predictions(folder / PREDICTIONS, rows, classes)
    fitted = about.get('temperature') is not None
    pictures = dict(
        confusion=draw_confusion(rows, unique_names(classes)),
        calibration=draw_calibration(summary['bins'], fitted),
        mistakes=draw_mistakes(summary['mistakes']))
    files = {}
    for name, figure in pictures.items():
        path = folder / f'{name}.png'
        path.unlink(missing_ok=True)  # of an earlier report
        if figure is not None:
            files[name] = save(figure, path)
    _write(run / DATA, json.dumps(dict(
        summary, class_names=list(classes), run=about), indent=1,
        ensure_ascii=False, default=str))
    _write(run / PAGE, make_page(summary, about, files))
    return run / PAGE


def rewrite_page(run: Union[str, Path],
                 evaluated: Union[None, str, Path] = None) -> Path:
    """Make the page of a run anew from predictions that were kept.

    Args:
        run: The run's folder.
        evaluated: The folder of a test of it, which kept the predictions;
            None: the run itself.

    Raises:
        FileNotFoundError: There are none, or no result.
    """
    run, evaluated = Path(run), Path(evaluated or run)
    result = next((run / name for name in ('result.json', 'result_test.json')
                   if (run / name).is_file()), run / 'result.json')
    data, predictions = evaluated / DATA, evaluated / FOLDER / PREDICTIONS
    for path in (result, data, predictions):
        if not path.is_file():
            raise FileNotFoundError(f'there is no {path}, of which a report '
                                    'is made.')
    kept = json.loads(data.read_text(encoding='utf-8'))
    classes, about = kept['class_names'], kept['run']
    return write_page(
        run, result, read_predictions(predictions, classes), classes,
        **{key: about[key] for key in ('preprocessing', 'zero_shot')
           if key in about})


def make_page(summary: dict, about: dict, files: dict) -> str:
    """The page as HTML; every name in it is escaped.

    Args:
        summary: Of :func:`summarize`.
        about: The result of the run.
        files: PNG files by their names.
    """
    from .page_pictures import file_uri
    method = method_title(str(about.get('method')))
    title = f'{method}: {_percent(summary["accuracy"])} accuracy'
    parts = [HEAD % escape(title), f'<h1>{escape(title)}</h1>',
             f'<p class="soft">{escape(_subtitle(about, summary))}</p>',
             _tiles(summary, about)]
    parts.append(_section(
        'Class by class', 'The bar is the part of its test images that is '
        'right' + (', the black mark that of zero-shot CLIP.'
                   if summary['zero_shot'] is not None else '.')
        + ' The worst class comes first.', _classes(summary)))
    if summary['mistakes']:
        parts.append(_section(
            'The worst mistakes', 'Wrong, and most sure of it. Look here for '
            'wrong labels, photos of two things, and classes that a photo '
            'cannot tell apart.', _sheet(summary['mistakes'])))
    if summary['confused']:
        parts.append(_section(
            'What is taken for what', '', _table(
                ('true class', 'predicted', 'images'),
                [(pair['label'], pair['predicted'], pair['images'])
                 for pair in summary['confused']])))
    if 'confusion' in files:
        parts.append(_section(
            'Confusion matrix', 'A row for each true class: how much of it '
            'is predicted as each class. All would be on the diagonal.'
            + (' A class with # has that number in the table above, counted '
               'in the order of names: its letters are not in the '
               "picture's font." if _has_numbers(summary) else ''),
            _picture(file_uri(files['confusion']), 'confusion matrix')))
    parts.append(_section(
        'How far to trust a probability', _calibration(about),
        _picture(file_uri(files['calibration']),
                 'accuracy against confidence')))
    parts.append(_section('What this run was', '', _list(_settings(about))))
    parts.append('</main></body></html>\n')
    return '\n'.join(parts)


def _subtitle(about: dict, summary: dict) -> str:
    where = 'test images' if about.get('evaluated_on') == 'test' else \
        f'images ({about.get("evaluated_on")})'
    trained = about.get('num_images') if about.get('shots') or \
        about.get('seconds_of_training') is not None else None
    return (f'{summary["images"]} {where} of {len(summary["classes"])} '
            f'classes' + (f'; learned from {trained} others' if trained
                          else '') + f'. {about.get("finished", "")[:10]}')


def _tiles(summary: dict, about: dict) -> str:
    low, high = summary['interval'] or (0, 0)
    tiles = [('Accuracy', _percent(summary['accuracy']),
              f'on other photos of the kind between {low:.0f} and '
              f'{high:.0f} %: {summary["images"]} images tell no more '
              '(95 % interval)')]
    if summary['zero_shot'] is not None:
        gain = summary['accuracy'] - summary['zero_shot']
        words = (about.get('zero_shot') or {}).get('templates')
        tiles.append(('Zero-shot CLIP', _percent(summary['zero_shot']),
                      f'without any training, told "{words}"; training '
                      f'{"gains" if gain >= 0 else "loses"} '
                      f'{abs(gain):.1f} points'))
    before, after = about.get('ece_before'), about.get('ece_after')
    if after is not None:
        tiles.append(('Calibration error', _percent(after),
                      'between how sure it is and how often it is right; '
                      f'{_percent(before)} without the temperature'))
    return '<div class="tiles">' + ''.join(
        f'<section><div class="soft">{escape(what)}</div>'
        f'<div class="tile">{escape(value)}</div>'
        f'<div class="soft">{escape(text)}</div></section>'
        for what, value, text in tiles) + '</div>'


def _sheet(mistakes: Sequence[dict]) -> str:
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


def _classes(summary: dict) -> str:
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
                  f'see {DATA}</p>')
    return shown


def _wide(header: str, lines: Sequence[str]) -> str:
    return ('<div class="wide many"><table>' + header + ''.join(lines)
            + '</table></div>')


def _describe_class(number: int, part: dict, known: bool) -> str:
    mark = '' if part['zero_shot'] is None else \
        f'<b style="left:{part["zero_shot"]:.1f}%"></b>'
    other = '' if part['mistaken_for'] is None else \
        f'{part["mistaken_for"]} ({part["mistaken"]})'
    name = escape(part['name']) + (
        '' if _is_latin(part['name'])
        else f' <span class="soft">#{number}</span>')
    zero_shot = f'<td class="n">{_percent(part["zero_shot"])}</td>' \
        if known else ''
    return (f'<tr><td>{name}</td><td class="n">{part["images"]}</td>'
            f'<td><div class="bar"><i style="width:{part["accuracy"] or 0:.1f}'
            f'%"></i>{mark}</div></td>'
            f'<td class="n">{_percent(part["accuracy"])}</td>{zero_shot}'
            f'<td>{escape(other)}</td></tr>')


def _calibration(about: dict) -> str:
    text = 'Of the images that get 80 %, 80 % should be right: on the dotted '\
        'line. Below it the model is too sure, above it too modest. '
    if about.get('temperature') is None:
        return text + 'No temperature was fitted in this run.'
    return text + (
        f'A temperature of {about["temperature"]:.3g}, fitted on '
        f'{about["temperature_fitted_on"]}, divides the logits; predictions '
        'stay the same, and the probabilities on this page have it.')


def _settings(about: dict) -> List[Tuple[str, Any]]:
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
        ('Preprocessing', about.get('preprocessing')),
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


def _is_latin(name: str) -> bool:
    return all(ord(letter) < 0x250 for letter in name)


def _has_numbers(summary: dict) -> bool:
    return not all(_is_latin(part['name']) for part in summary['classes'])


def _section(title: str, text: str, content: str) -> str:
    return (f'<section><h2>{escape(title)}</h2>'
            + (f'<p class="soft">{escape(text)}</p>' if text else '')
            + f'{content}</section>')


def _table(header: Sequence[str], rows: Sequence[tuple]) -> str:
    lines = ['<tr>' + ''.join(f'<th>{escape(name)}</th>' for name in header)
             + '</tr>']
    lines += ['<tr>' + ''.join(f'<td>{escape(str(cell))}</td>'
                               for cell in row) + '</tr>' for row in rows]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _list(items: Sequence[Tuple[str, Any]]) -> str:
    return '<dl>' + ''.join(
        f'<dt>{escape(what)}</dt><dd>{escape(str(text))}</dd>'
        for what, text in items) + '</dl>'


def _picture(uri: str, alt: str) -> str:
    return f'<img class="picture" src="{uri}" alt="{escape(alt)}">'


def _percent(value: Optional[float]) -> str:
    return '–' if value is None else f'{value:.1f} %'


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
