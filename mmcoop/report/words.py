"""The paper's Table 4: the words nearest to learned contexts."""
import json
from itertools import zip_longest
from pathlib import Path
from typing import List, Sequence

from ..files import replacing
from .names import backbone_title, dataset_title
from .table import Table


def words_table(folders: Sequence[Path]) -> Table:
    """Nearest word and distance of each context vector, a column per run.

    Args:
        folders: Work folders of finished training runs; words.json is
            written into each.
    """
    from mmengine.config import Config

    from ..checkpoints import find_last_checkpoint
    from ..protocol.read_prompt import read_prompt
    columns: List[List[str]] = []
    header, titles = ['#'], set()
    for folder in folders:
        result = json.loads((folder / 'result.json').read_text())
        # beside the result, wherever the folder is now
        config = folder / Path(result['config']).name
        report = read_prompt(Config.fromfile(config),
                             find_last_checkpoint(folder))
        with replacing(folder / 'words.json') as temporary:
            temporary.write_text(json.dumps(report, indent=1))
        titles.add(backbone_title(result['clip']))
        for context in report['contexts']:
            name = (f'{dataset_title(result["dataset"])}, '
                    f'{result["shots"]} shots, seed {result["seed"]}')
            header.append(f'{name}: {context["class_name"]}'
                          if context['class_name'] else name)
            columns.append([f'{near[0]["word"]} ({near[0]["distance"]:.4f})'
                            for near in context['vectors']])
    rows = [[str(number), *row] for number, row
            in enumerate(zip_longest(*columns, fillvalue=None), 1)]
    return Table(
        'words', f'Words nearest to the context, {", ".join(sorted(titles))}',
        header, rows, [
            'Euclidean distance to the token embeddings of the text tower '
            'that the context was learned for.',
            'A nearest word need not explain what was learned (so the paper).'
        ])
