"""Runs command lines in forked children, and kills them where it is told to.

``python -m tests.faults.server`` imports everything once (seconds) and never
takes a gradient step itself, as autograd does not survive a fork; it reads a
job (JSON) a line from stdin, and answers each by a line. See :class:`Server`,
which tests use.
"""
import atexit
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, List, Optional

ROOT = Path(__file__).parents[2]
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DEAD = -signal.SIGKILL
HALF = 700  # bytes that are written of a file in whose writing a run dies


class Server:
    """The client's side of the process."""

    def __init__(self) -> None:
        env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='',
                   PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'tests.faults.server'], cwd=ROOT, env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, tool: str, *args: Any, log: Path, roots: List[Path],
            ranks: int = 1, env: Optional[dict] = None, **kill: Any) -> dict:
        """Run ``tools/<tool>.py`` to its end, or until it is killed.

        Args:
            tool: Name of the tool.
            *args: Its command line.
            log: Where the output goes; of rank r to ``<log>.r``.
            roots: Folders whose files are watched.
            ranks: Number of processes of one distributed run.
            env: Environment variables, besides this process's.
            **kill: Where to die; nothing: nowhere.
                ``step=k``: before the k-th optimiser step.
                ``event='rename'`` (or ``open``, ``remove``), ``name=REGEX``:
                before that happens to a file of this name; a file to open
                is empty then. ``half=REGEX``: when ``HALF`` bytes of this
                file are written. ``index=i``: before the i-th of all file
                events. ``delay=s``: after s seconds.
                ``rank=r``: which rank dies (0).

        Returns:
            ``codes``: exit codes of the ranks, negative for signals;
            ``seconds``: when each ended; ``events``: files that were opened
            for writing, renamed or removed, of a run of one rank.
        """
        job = dict(tool=tool, args=[str(arg) for arg in args], log=str(log),
                   roots=[str(root) for root in roots], ranks=ranks,
                   env=env or {}, kill=kill)
        self.process.stdin.write(json.dumps(job) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, 'the server has ended'
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:  # on a busy machine
            self.process.kill()
            self.process.wait()


class Watch:
    """An audit hook that sees what is done to files, and kills."""

    def __init__(self, roots: List[str], kill: dict) -> None:
        self.roots, self.kill, self.events = tuple(roots), kill, []

    def __call__(self, event: str, args: tuple) -> None:
        if event == 'open':
            path, _, flags = args
            kind = 'open' if isinstance(flags, int) and flags & WRITES else ''
        elif event in ('os.rename', 'os.remove'):
            kind = event[3:]
            path = args[1] if kind == 'rename' else args[0]
        else:
            return
        if not kind or isinstance(path, int):
            return
        path = os.fsdecode(path)
        if not path.startswith(self.roots):
            return
        name = os.path.basename(path)
        self.events.append([kind, name])
        kill = self.kill
        if kill.get('index') == len(self.events) or (
                kill.get('event') == kind
                and re.fullmatch(kill['name'], name)):
            if kind == 'open' and flags & os.O_TRUNC:
                Path(os.fspath(path)).touch()
                os.truncate(path, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == 'open' and flags & os.O_TRUNC and 'half' in kill and \
                re.fullmatch(kill['half'], name):
            # the kernel writes as many bytes, and kills at the next
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, HALF))


def kill_at_step(k: int) -> None:
    from torch.optim.optimizer import register_optimizer_step_pre_hook
    steps = []

    def count(*args: Any) -> None:
        steps.append(1)
        if len(steps) == k:
            os.kill(os.getpid(), signal.SIGKILL)

    register_optimizer_step_pre_hook(count)


def child(job: dict, rank: int, port: int, mains: dict, pipe: int) -> None:
    log = os.open(job['log'] + (f'.{rank}' if job['ranks'] > 1 else ''),
                  os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import torch
    torch.set_num_threads(1)  # threads do not survive a fork either
    os.environ.update(job['env'])
    if job['ranks'] > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank),
                          WORLD_SIZE=str(job['ranks']),
                          LOCAL_WORLD_SIZE=str(job['ranks']),
                          MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    kill = job['kill'] if rank == job['kill'].get('rank', 0) else {}
    watch, code = Watch(job['roots'], kill), 0
    sys.addaudithook(watch)
    if 'step' in kill:
        kill_at_step(kill['step'])
    try:
        mains[job['tool']](job['args'])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        traceback.print_exc()
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    if job['ranks'] == 1:
        os.write(pipe, json.dumps(watch.events).encode())
    else:
        atexit._run_exitfuncs()  # which leave the group
    os._exit(code)


def serve_job(job: dict, mains: dict) -> dict:
    import socket
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    read, write = os.pipe()
    start, children = time.monotonic(), []
    for rank in range(job['ranks']):
        pid = os.fork()
        if not pid:
            os.close(read)
            child(job, rank, port, mains, write)
        children.append(pid)
    os.close(write)
    if 'delay' in job['kill']:
        time.sleep(job['kill']['delay'])
        os.kill(children[0], signal.SIGKILL)  # not reaped: none other's id
    with os.fdopen(read) as pipe:
        events = json.loads(pipe.read() or '[]')
    codes, seconds = {}, {}
    while len(codes) < len(children):
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
        seconds[pid] = time.monotonic() - start
    return dict(codes=[codes[pid] for pid in children], events=events,
                seconds=[seconds[pid] for pid in children])


def main() -> None:
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what is printed is no answer
    # all that children would import
    import matplotlib.figure  # noqa: F401
    import mmpretrain.models  # noqa: F401
    import open_clip  # noqa: F401

    import mmcoop.datasets
    import mmcoop.engine
    import mmcoop.features
    import mmcoop.heads
    import mmcoop.models
    import mmcoop.report.page  # noqa: F401
    from mmcoop.protocol.execute import tool_main
    mains = {name: tool_main(ROOT / f'tools/{name}.py')
             for name in ('train', 'test', 'predict')}
    for line in sys.stdin:
        print(json.dumps(serve_job(json.loads(line), mains)), file=answers,
              flush=True)
    os._exit(0)  # Python's own end takes seconds


if __name__ == '__main__':
    main()
