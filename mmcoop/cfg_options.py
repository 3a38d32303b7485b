"""The flag --cfg-options: words become values, and these go into a config."""
import argparse
import ast
import copy
import re
from typing import TYPE_CHECKING, Any, Dict, Optional

from .errors import add_debug

if TYPE_CHECKING:
    from mmengine.config import Config

_WORDS = re.compile(r'[^\s,\[(]\s+[^\s,\])]')  # a space inside of an item
_DICT = re.compile(r'\{\s*[\w\'"]+\s*:|dict\(')  # no template, "{}: a photo"


class CfgOptions(argparse.Action):
    """mmengine's ``key=value`` pairs; :func:`parse_values` reads the values.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for pair in values:
            key, equals, value = pair.partition('=')
            if not equals:
                parser.error(f'{option_string} {pair}: write key=value, '
                             'without spaces, behind the config')
            options[key] = value
        setattr(namespace, self.dest, options)


def parse_values(options: Optional[Dict[str, str]]) -> Dict[str, Any]:
    """Values of ``--cfg-options`` as Python objects.

    mmengine takes spaces out of every value and splits it at commas, which
    would turn "a photo of a" into "aphotoofa"; here words keep their spaces.
    """
    return {key: _parse_value(key, value)
            for key, value in (options or {}).items()}


def _parse_value(key: str, value: str) -> Any:
    """Raises ValueError for what is neither a list nor words nor numbers.
    """
    from mmengine.config import DictAction
    if _DICT.match(value):
        raise ValueError(f'{key}={value:.80}: several settings at once are '
                         f'not read; set them one by one, {key}.name=value.')
    is_list = value[:1] in ('[', '(') and value[-1:] in (']', ')')
    if is_list:
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError,
                RecursionError):
            pass  # [a,b], without quotes
        if _WORDS.search(value):  # DictAction would join them
            raise ValueError(
                f'{key}={value}: in a list, words with spaces need quotation '
                f'marks of their own, {key}="[\'a b\', \'c\']".')
    elif any(character.isspace() for character in value):
        return value
    try:
        return DictAction._parse_iterable(value)
    except (AssertionError, ValueError, RecursionError):
        raise ValueError(f'{key}={value:.80}: brackets that open must '
                         'close.') from None


def add_cfg_options(parser: argparse.ArgumentParser, example: str) -> None:
    """The flag ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, default={},
        metavar='KEY=VALUE',
        help=f'override settings of the config, e.g. {example}; words with '
        'spaces in quotation marks, ctx_init="a photo of a"; a list as in '
        'Python, templates="[\'a {}.\', \'the {}.\']"')
    add_debug(parser)


def merge_options(cfg: 'Config', options: Dict[str, Any]) -> None:
    """Put ``--cfg-options`` into a config, and note them for results.

    Raises:
        ValueError: An option goes into a place that takes a variable whole,
            or that is not there.
    """
    for key, value in options.items():
        part: Any = cfg
        for i, name in enumerate(key.split('.')[:-1], start=1):
            part = part.get(name) if hasattr(part, 'get') else None
            if isinstance(part, str) and '${' in part:
                place = '.'.join(key.split('.')[:i])
                raise ValueError(
                    f'{key}: {place} takes {part} whole, so nothing inside it '
                    'can be set; set what the variable stands for '
                    '(configs/README.md).')
        inside = part.get(key.split('.')[-1]) if hasattr(part, 'get') else None
        if isinstance(inside, dict) and isinstance(value, str):
            raise ValueError(
                f'{key}={value:.80}: {key} holds several settings; set them '
                f'one by one, {key}.{next(iter(inside), "name")}=...')
    try:
        cfg.merge_from_dict(options)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        text = str(error.args[0]) if error.args else repr(error)
        raise ValueError(f'--cfg-options {_culprit(cfg, options)}: '
                         f'{text:.200}') from error
    cfg.overrides = options


def _culprit(cfg: 'Config', options: Dict[str, Any]) -> str:
    """The option that cannot be merged; all, if each can be alone."""
    for key, value in options.items():
        try:
            copy.deepcopy(cfg).merge_from_dict({key: value})
        except (LookupError, TypeError, ValueError, AttributeError):
            return key
    return ' '.join(options)
