"""How long the fuzz tests try, and what they try.

``MMCOOP_NIGHTLY=1 python -m pytest tests/fuzz -s`` tries other examples each
time, and many more; a failure is printed with the example that shows it.
"""
import contextlib
import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Iterator

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

NIGHTLY = os.environ.get('MMCOOP_NIGHTLY') == '1'
# nothing is left in the folder
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / 'mmcoop-hypothesis')


def examples(ci: int, nightly: int) -> settings:
    """Settings of a test, by the number of its examples."""
    return settings(
        max_examples=nightly if NIGHTLY else ci,
        deadline=None,  # the machine may be busy
        derandomize=not NIGHTLY,
        database=None,
        suppress_health_check=list(HealthCheck))


_RUNS = ('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.fork',
         'subprocess.Popen', 'os.remove', 'os.rename', 'os.rmdir',
         'shutil.rmtree', 'socket.connect', 'ctypes.dlopen')
_TEMPORARY = os.path.join(tempfile.gettempdir(), tempfile.gettempprefix())
_watched = None


def _watch(event: str, args: tuple) -> None:
    if _watched is None:
        return
    writes = event == 'open' and isinstance(args[1], str) and set(
        args[1]) & set('wax+')
    # mmcoop.load gives open_clip its config in a temporary folder
    temporary = args and str(args[0]).startswith(_TEMPORARY) or \
        event in ('os.remove', 'os.rmdir') and args[1] != -1  # inside of it
    if (event in _RUNS or writes) and not temporary:
        _watched.append((event, args[:2]))


sys.addaudithook(_watch)  # none can be taken back


@contextlib.contextmanager
def nothing_runs() -> Iterator[None]:
    """Fail if a command is run, or a file written or removed."""
    global _watched
    _watched = []
    try:
        yield
    finally:
        found, _watched = _watched, None
    assert not found


@contextlib.contextmanager
def says(path: Any, *kinds: type) -> Iterator[None]:
    """Only these errors come, and their one sentence names the file."""
    try:
        with nothing_runs():
            yield
    except kinds as error:
        message = str(error)
        assert len(message) > len(str(path)) + 10, message
        assert str(path) in message, message
        assert 'weights_only' not in message, message


odd = [10**400, -1, '', '../../x', '/etc/x', 'fuzz_canary.Thing']
plain = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(),
    st.text(max_size=5), st.sampled_from(odd))
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=4), inner, max_size=3), max_leaves=6)


@st.composite
def edited(draw, value: Any) -> Any:
    """A nested value of which one part is another, or missing."""
    if isinstance(value, (dict, list)) and value and draw(
            st.integers(0, 5)):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(keys)))
        copy = value.copy()
        if draw(st.integers(0, 5)) == 0:
            del copy[key]
        else:
            copy[key] = draw(edited(value[key]))
        return copy
    return draw(anything)


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """Bytes with some flipped, cut off, repeated, replaced or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(['flip', 'cut', 'splice', 'put', 'zero']))
        if kind == 'flip' and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == 'cut':
            del data[place:]
        elif kind == 'splice':
            other = draw(st.integers(0, max(0, len(data) - 1)))
            data[place:place] = data[other:other + draw(st.integers(1, 200))]
        elif kind == 'put':
            data[place:place] = draw(st.binary(min_size=1, max_size=9))
        else:
            data[place:place + draw(st.integers(1, 20))] = bytes(9)
    return bytes(data)


@st.composite
def damaged_archive(draw, whole: bytes) -> bytes:
    """An archive of torch: its own bytes, or those of its pickle."""
    if draw(st.booleans()):
        return draw(damaged(whole))
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(
            packed, 'w') as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith('/data.pkl'):
                content = draw(damaged(content))
            after.writestr(name, content)
    return packed.getvalue()
