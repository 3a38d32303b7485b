"""Doors to the tools: python -m mmcoop TOOL [arguments].

TOOL is the name of a tool (below), or the path of a script of another project,
which is run with mmcoop known to mmengine and mmpretrain:

    python -m mmcoop train coop/coop_demo.py --work-dir work_dirs/demo
    python -m mmcoop path/to/mmpretrain/tools/train.py theirs.py

`python -m mmcoop TOOL --help` says what a tool takes. Configs are named by
their paths, or as they lie in the package: coop/coop_demo.py.
"""
import argparse
import ast
import importlib.util
import sys
from pathlib import Path
from typing import Dict, List, Optional

from .methods import configs_folder


def find_tools() -> Dict[str, Path]:
    """The command lines of the tools folder, by their names."""
    folder = configs_folder().parent / 'tools'
    return {path.stem.replace('_', '-'): path
            for pattern in ('*.py', '*_tools/*.py', '*_converters/*.py')
            for path in sorted(folder.glob(pattern))}


def describe(tools: Dict[str, Path]) -> str:
    """A line for each tool: the first of its docstring."""
    lines = []
    for name, path in tools.items():
        text = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
        first = text.partition('\n')[0].partition(': python')[0]
        lines.append(f'  {name:<22} {first.rstrip(".:")}')
    return '\n'.join(lines)


def main(argv: Optional[List[str]] = None) -> None:
    tools = find_tools()
    parser = argparse.ArgumentParser(
        prog='python -m mmcoop',
        description=f'{__doc__}\nTOOL:\n{describe(tools)}',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tool', metavar='TOOL', help='its name or path')
    parser.add_argument('arguments', metavar='...', nargs=argparse.REMAINDER,
                        help='arguments of the tool')
    args = parser.parse_args(argv)
    path = tools.get(args.tool.replace('_', '-'), Path(args.tool))
    if path.suffix != '.py' or not path.is_file():
        parser.error(f'there is no tool {args.tool}: choose from '
                     f'{", ".join(tools)}, or give the path of a script')
    own = path in tools.values()
    # argparse takes the name in "usage:" from it, which runpy would change
    sys.argv = [f'python -m mmcoop {args.tool}' if own else str(path),
                *args.arguments]
    sys.path.insert(0, str(path.parent))  # as python does for a script
    spec = importlib.util.spec_from_file_location('__main__', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['__main__'] = module
    spec.loader.exec_module(module)


if __name__ == '__main__':
    main()
