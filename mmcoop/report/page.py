"""The report of one run: a page of one file that needs no network."""
import json
import os
from html import escape
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

from ..progress import duration
from .names import backbone_title, method_title
from .predictions import (Predicted, read_predictions, summarize, unique_names,
                          write_predictions)
from .protocols import PROTOCOLS, protocol_of

FOLDER, PAGE, DATA = 'report', 'report.html', 'report.json'
SHOWN = 200  # classes in the table

# no script and nothing from elsewhere: a browser refuses both
HEAD = '''<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 img-src data:; style-src 'unsafe-inline'">
<title>%s</title><style>
:root{--ink:#1f2328;--soft:#59636e;--line:#d8dee4;--blue:#1f6feb;--red:#b42318}
*{box-sizing:border-box}
body{margin:0;background:#f6f8fa;color:var(--ink);
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 .25rem;
 overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .25rem}
p{margin:.25rem 0 .75rem}.soft{color:var(--soft);font-size:.92rem}
section{background:#fff;border:1px solid var(--line);border-radius:10px;
 padding:1rem 1.1rem;margin-top:1rem;overflow-wrap:anywhere}
.tiles{display:grid;gap:.75rem;margin-top:1rem;
 grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr))}
.tiles section{margin:0}.tile{font-size:1.9rem;font-weight:650;line-height:1.2}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%%}
.wide td{overflow-wrap:break-word;min-width:4.5rem;max-width:18rem}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;vertical-align:middle;
 border-bottom:1px solid #eef1f4}
th{font-size:.85rem;color:var(--soft);font-weight:600}
td.n,th.n{text-align:right;white-space:nowrap}
.bar{position:relative;height:.7rem;min-width:6rem;background:#eaeef2;
 border-radius:3px}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--blue);
 border-radius:3px}
.bar b{position:absolute;top:-.2rem;bottom:-.2rem;width:3px;margin-left:-1.5px;
 background:var(--ink)}
.sheet{display:grid;gap:.75rem;
 grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}
figure{margin:0}figure img,.none{width:100%%;aspect-ratio:1;object-fit:contain;
 background:#eef1f4;border-radius:6px;display:block}
.none{display:grid;place-items:center;color:var(--soft);font-size:.8rem}
figcaption{font-size:.85rem;line-height:1.3;margin-top:.3rem}
figcaption .soft{font-size:.78rem;display:block;white-space:nowrap;
 overflow:hidden;text-overflow:ellipsis}
.wrong{color:var(--red);font-weight:600}
img.picture{max-width:100%%;height:auto;display:block;margin:0 auto}
dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.2rem 1rem;
 margin:.5rem 0 0}dt{color:var(--soft)}dd{margin:0}
@media(max-width:34rem){dl{grid-template-columns:1fr;gap:0}
 dd{margin-bottom:.5rem}main{padding:1rem .6rem}}
@media print{body{background:#fff}section{break-inside:avoid}}
</style></head><body><main>
'''


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
    write_predictions(folder / 'predictions.csv', rows, classes)
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


def rewrite_page(run: Union[str, Path]) -> Path:
    """Make the page of a run anew from the predictions that it kept.

    Raises:
        FileNotFoundError: It kept none.
    """
    run = Path(run)
    data, predictions = run / DATA, run / FOLDER / 'predictions.csv'
    for path in (data, predictions):
        if not path.is_file():
            raise FileNotFoundError(f'there is no {path}: this run wrote no '
                                    'report.')
    kept = json.loads(data.read_text(encoding='utf-8'))
    result = next((run / name for name in ('result.json', 'result_test.json')
                   if (run / name).is_file()), None)
    if result is None:
        raise FileNotFoundError(f'there is no result.json in {run}.')
    classes = kept['class_names']
    return write_page(run, result, read_predictions(predictions, classes),
                      classes, preprocessing=kept['run'].get('preprocessing'))


def make_page(summary: dict, about: dict, files: dict) -> str:
    """The page as HTML; every name in it is escaped.

    Args:
        summary: Of :func:`summarize`.
        about: The result of the run.
        files: PNG files by their names.
    """
    from .page_pictures import file_uri
    method = method_title(str(about.get('method')))
    title = f'{method}: {_percent(summary["accuracy"])} right'
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
    tiles = [('Right', _percent(summary['accuracy']),
              f'of all such photos between {low:.0f} and {high:.0f} %, as '
              f'sure as {summary["images"]} images can make it (95 %)')]
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
    heads = ['<th>class</th>', '<th class="n">images</th>', '<th></th>',
             '<th class="n">right</th>']
    heads += ['<th class="n">zero-shot</th>'] if known else []
    lines = [f'<tr>{"".join(heads)}<th>mostly taken for</th></tr>']
    for number, part in numbered[:SHOWN]:
        mark = '' if part['zero_shot'] is None else \
            f'<b style="left:{part["zero_shot"]:.1f}%"></b>'
        other = '' if part['mistaken_for'] is None else \
            f'{part["mistaken_for"]} ({part["mistaken"]})'
        zero = f'<td class="n">{_percent(part["zero_shot"])}</td>' \
            if known else ''
        lines.append(
            f'<tr><td>{escape(part["name"])}'
            + (f' <span class="soft">#{number}</span>'
               if not _is_latin(part['name']) else '')
            + f'</td><td class="n">{part["images"]}</td><td><div class="bar">'
            f'<i style="width:{part["accuracy"] or 0:.1f}%"></i>{mark}</div>'
            f'</td><td class="n">{_percent(part["accuracy"])}</td>{zero}'
            f'<td>{escape(other)}</td></tr>')
    more = len(numbered) - SHOWN
    return f'<div class="wide"><table>{"".join(lines)}</table></div>' + (
        f'<p class="soft">and {more} better ones: see {DATA}</p>'
        if more > 0 else '')


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
    temporary = path.with_name(f'.{path.name}')
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)
