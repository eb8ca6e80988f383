"""Processes that tests start, and helpers to watch them."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path

import execnet.gateway_io
import pytest
from execnet.gateway_base import Popen2IO

# The installed distributions with pytest plugins. Every session would search all distributions for
# them, which takes much of a miniature session's time. Hypothesis's would make it warn in the tests that
# follow in this process.
PLUGINS = [
    distribution
    for distribution in importlib.metadata.distributions()
    if distribution.name != "hypothesis"
    and any(entry_point.group == "pytest11" for entry_point in distribution.entry_points)
]

_FORKS = multiprocessing.get_context("forkserver")
# The modules that a session imports, except pytest plugins, whose assertions pytest rewrites on import.
_FORKS.set_forkserver_preload(
    [
        "pytest",
        "torch",
        "ray",
        "tests.data",
        "tests.processes",
        "model.train",
        "numba.np.arrayobj",
        "harness.gates.slowdown",
        "harness.engine_speeds.forecast",
        "harness.hardware.lease",
        "harness.report.tables",
        "harness.results.store",
        "harness.results.summarise",
    ]
)


def forks() -> BaseContext:
    """Returns the context of the process that forks come from, which the first call starts."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        # Its socket is in the usual temporary folder: in a test's folder, the path would be too long.
        monkeypatch.delenv("TMPDIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", None)
        forkserver.ensure_running()
    return _FORKS


class Session:
    """`pytest ARGS` in a folder, in the background, in a separate process group.

    Its workers are its children, as in a new interpreter, but all of them are forks of a process that
    has imported PyTorch and Numba.
    """

    def __init__(self, args: Sequence[str], folder: Path, output: Path | str):
        """Starts the session, which writes to `output`, a file or a terminal."""
        self._process = forks().Process(
            target=_session, args=([*args], folder, output, dict(os.environ))
        )
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Returns its exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits for its end; returns its exit status, None after `timeout` seconds."""
        self._process.join(timeout)
        return self._process.exitcode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def _session(args: list[str], folder: Path, output: Path | str, environment: dict[str, str]) -> None:
    os.setsid()
    # Ctrl-C works there, even if these tests run in the background of a shell.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _enter(folder, environment)
    opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(opened, stream)
    os.close(opened)
    encoding = environment.get("PYTHONIOENCODING")
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", 1, encoding, closefd=False) for stream in (1, 2))
    ForkedWorker.context = staticmethod(lambda: multiprocessing.get_context("fork"))
    execnet.gateway_io.Popen2IOMaster = ForkedWorker
    sys.exit(pytest.main(args))


def _enter(folder: Path | str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = True
    importlib.metadata.distributions = lambda: PLUGINS


class ForkedWorker(Popen2IO):
    """Replaces execnet's `Popen2IOMaster`, which starts an xdist worker in a new interpreter.

    This one forks a process that has imported PyTorch and Numba, which takes a tenth of the CPU time.
    """

    context = staticmethod(forks)

    def __init__(self, args: list[str], execmodel: object):
        context = self.context()
        stdin, to_worker = context.Pipe(duplex=False)
        from_worker, stdout = context.Pipe(duplex=False)
        self._worker = context.Process(
            target=_work, args=(args[-1], stdin, stdout, os.getcwd(), dict(os.environ))
        )
        self._worker.start()
        stdin.close()
        stdout.close()
        writing = os.fdopen(os.dup(to_worker.fileno()), "wb")
        reading = os.fdopen(os.dup(from_worker.fileno()), "rb")
        super().__init__(writing, reading, execmodel)

    def wait(self) -> int | None:
        self._worker.join()
        return self._worker.exitcode

    def kill(self) -> None:
        self._worker.kill()


def _work(code: str, stdin, stdout, folder: str, environment: dict[str, str]) -> None:
    """Runs `python -c code` in the fork, with pipes as its standard streams."""
    _enter(folder, environment)
    os.dup2(stdin.fileno(), 0)
    os.dup2(stdout.fileno(), 1)
    os.closerange(3, 256)  # other workers' pipes
    sys.stdin = os.fdopen(0, closefd=False)
    exec(code, {"__name__": "__main__"})


def wait_for_the_end_of(group: int) -> None:
    """Waits for the end of a process group; fails after half of the time that `HANG` takes."""
    deadline = time.monotonic() + 60
    while alive := members(group):
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.05)


def members(group: int) -> list[str]:
    """Returns the names of a group's processes, without zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has just ended
            continue
        if fields.split()[0] != "Z" and int(fields.split()[2]) == group:
            found.append(name)
    return found


def end(group: int) -> None:
    """Kills the remaining processes of a group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
