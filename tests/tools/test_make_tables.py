"""tools/analysis_tools/make_tables.py as a person runs it."""
import subprocess
import sys

import pytest

from ..conftest import ROOT
from ..report.results import write_result

pytestmark = pytest.mark.slow


def tool(*args):
    return subprocess.run(
        [sys.executable, '-W', 'ignore',
         str(ROOT / 'tools/analysis_tools/make_tables.py'),
         *map(str, args)], cwd=ROOT, capture_output=True, text=True)


def test_all_that_there_is(tmp_path):
    runs, out = tmp_path / 'runs', tmp_path / 'out'
    write_result(runs / 'zero', method='zeroshot-own', shots=None,
                 metrics={'accuracy/top1': 40.})
    for seed, top1 in ((1, 68.), (2, 72.)):
        write_result(runs / f'seed{seed}', seed=seed,
                     metrics={'accuracy/top1': top1})
    done = tool(runs, '--out', out)
    assert done.returncode == 0, done.stderr
    assert '70.00 ± 2.00' in done.stdout
    assert 'EuroSAT, RN50: top-1 (%)' in done.stdout
    written = ['few-shot-RN50-eurosat.csv', 'few-shot-RN50.png',
               'few-shot.md', 'gain-RN50.png', 'leaderboard-RN50-eurosat.csv',
               'leaderboard.md', 'summary-RN50-16shot-eurosat.csv']
    assert sorted(path.name for path in out.iterdir()) == written
    for name in written:
        assert str(out / name) in done.stdout.splitlines()
    # the default place; tables that lie there are no results
    for _ in range(2):
        assert tool(runs, '--kinds', 'few-shot').returncode == 0
    assert (runs / 'tables/few-shot.md').read_text(encoding='utf-8') == \
        (out / 'few-shot.md').read_text(encoding='utf-8')
    none = tool(runs, '--kinds', 'domain')
    assert none.returncode == 1
    assert none.stderr.strip().endswith('but none for domain.')


def test_friendly_errors(tmp_path):
    for folder, says in ((tmp_path / 'nowhere', 'there is no folder'),
                         (tmp_path, 'no results in')):
        done = tool(folder)
        assert done.returncode == 1
        assert says in done.stderr and str(folder) in done.stderr
        assert 'Traceback' not in done.stderr
    (tmp_path / 'result.json').write_text('{')
    done = tool(tmp_path)
    assert f'{tmp_path}/result.json is no JSON' in done.stderr
    assert 'Traceback' not in done.stderr


def test_methods_of_another_folder(tmp_path):
    write_result(tmp_path / 'runs/a', method='whisper')
    folder = tmp_path / 'configs/whisperer'
    folder.mkdir(parents=True)
    (folder / 'config.py').write_text('')
    (folder / 'metafile.yml').write_text("""
Collections:
  - Name: Whisperer
Models:
  - {Name: whisper, In Collection: Whisperer, Title: Whisperer B,
     Config: config.py}
""")
    done = tool(tmp_path / 'runs', '--configs', tmp_path / 'configs')
    assert done.returncode == 0, done.stderr
    assert 'Whisperer B' in done.stdout
    done = tool(tmp_path / 'runs', '--configs', tmp_path / 'nowhere')
    assert done.returncode == 1
    assert done.stderr.startswith('there is no metafile.yml in')


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, '-X', 'importtime',
         str(ROOT / 'tools/analysis_tools/make_tables.py'), '--help'],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and '--configs' in done.stdout
    imported = {line.split('|')[-1].strip()
                for line in done.stderr.splitlines()}
    assert 'argparse' in imported
    assert not imported & {'torch', 'pandas', 'matplotlib', 'mmengine'}
