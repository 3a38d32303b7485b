"""Places in a config: data sets in data sets, plain values, what was said."""
from typing import Any, Callable, Iterator, Optional

from mmengine.config import Config


def is_few_shot(dataset: dict) -> bool:
    return is_a(dataset, 'FewShotDataset')


def is_a(part: dict, name: str) -> bool:
    kind = part.get('type', '')
    kind = kind if isinstance(kind, str) else kind.__name__
    return kind.split('.')[-1] == name


def said(cfg: Config, *variables: str) -> bool:
    """Whether the command line says one of them."""
    return bool(set(cfg.get('overrides') or {}) & set(variables))


def datasets_in(*loaders: Optional[dict]) -> Iterator[dict]:
    """Data set configs of loaders, wrapped ones included."""
    stack = list(loaders)
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if 'type' in part:
                yield part
            stack += [part.get(key) for key in ('dataset', 'val_of')]
            stack += part.get('datasets') or []


def replace_values(part: Any, new: Callable[[Any, Any], Any]) -> None:
    """Replace plain values in nested dicts and lists, in place."""
    items = part.items() if isinstance(part, dict) else \
        enumerate(part) if isinstance(part, list) else ()
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            replace_values(value, new)
        elif isinstance(value, int) and not isinstance(value, bool):
            part[key] = new(key, value)
