"""The report of one run: a page of one file that needs no network."""
import json
from html import escape
from pathlib import Path
from typing import Sequence, Union

from ..files import replacing
from .names import method_title
from .page_sections import (class_table, contact_sheet, definition_list,
                            describe_calibration, has_numbers, percent,
                            picture, section, settings, table, tiles)
from .page_style import HEAD
from .predictions import (Predicted, read_predictions, summarize, unique_names,
                          write_predictions)

FOLDER, PAGE, DATA = 'report', 'report.html', 'report.json'
PREDICTIONS = 'predictions.csv'
# what a result says of the evaluated images, and not of the training
OF_EVALUATION = ('metrics', 'evaluated_on', 'num_images_evaluated',
                 'zero_shot', 'ece_before', 'ece_after')


def write_page(run: Union[str, Path], about: dict, rows: Sequence[Predicted],
               classes: Sequence[str]) -> Path:
    """Write ``report.html``, ``report.json`` and the folder ``report``.

    Args:
        run: The run's folder.
        about: The content of its result file.
        rows: The prediction of every evaluated image.
        classes: The class names.

    Returns:
        The page.
    """
    from .page_pictures import (draw_calibration, draw_confusion,
                                draw_mistakes, save)
    run = Path(run)
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
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
        ValueError: They are damaged, or of other classes.
    """
    run, evaluated = Path(run), Path(evaluated or run)
    files = (run / 'result.json', evaluated / DATA,
             evaluated / FOLDER / PREDICTIONS)
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f'there is no {path}, of which a report '
                                    'is made.')
    about, kept = map(read_json, files[:2])
    classes = kept['class_names']
    for key in OF_EVALUATION:  # the run itself may have tested nothing
        about[key] = kept['run'].get(key)
    return write_page(run, about, read_predictions(files[2], classes),
                      classes)


def read_json(path: Path) -> dict:
    """Read a JSON file of a run.

    Raises:
        ValueError: It is damaged.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}): train or test '
                         'again.') from None


def make_page(summary: dict, about: dict, files: dict) -> str:
    """The page as HTML; every name in it is escaped.

    Args:
        summary: Of :func:`summarize`.
        about: The result of the run.
        files: PNG files by their names.
    """
    from .page_pictures import file_uri
    method = method_title(str(about.get('method')))
    title = f'{method}: {percent(summary["accuracy"])} accuracy'
    parts = [HEAD % escape(title), f'<h1>{escape(title)}</h1>',
             f'<p class="soft">{escape(_subtitle(about, summary))}</p>',
             tiles(summary, about)]
    parts.append(section(
        'Class by class', 'The bar is the part of its images that is right'
        + (', the black mark that of zero-shot CLIP.'
           if summary['zero_shot'] is not None else '.')
        + ' The worst class comes first.', class_table(summary)))
    if summary['mistakes']:
        parts.append(section(
            'The worst mistakes', 'Wrong, and most sure of it. Look here for '
            'wrong labels, photos of two things, and classes that a photo '
            'cannot tell apart.', contact_sheet(summary['mistakes'])))
    if summary['confused']:
        parts.append(section(
            'What is taken for what', '', table(
                ('true class', 'predicted', 'images'),
                [(pair['label'], pair['predicted'], pair['images'])
                 for pair in summary['confused']])))
    if 'confusion' in files:
        parts.append(section(
            'Confusion matrix', 'A row for each true class: how much of it '
            'is predicted as each class. All would be on the diagonal.'
            + (' A class with # has that number in the table above, counted '
               'in the order of names: its letters are not in the '
               "picture's font." if has_numbers(summary) else ''),
            picture(file_uri(files['confusion']), 'confusion matrix')))
    parts.append(section(
        'How far to trust a probability', describe_calibration(about),
        picture(file_uri(files['calibration']),
                'accuracy against confidence')))
    parts.append(section('What this run was', '',
                         definition_list(settings(about))))
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


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
