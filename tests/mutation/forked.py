"""Plugins of pytest that try mutants in forks of a session that has collected its tests."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import astuple
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from .mutants import Mutant
from .order import Order, Trial
from .patch import changed_functions, functions_of, replaced

AGAIN = 99
"""The status of a mutant that has to be tried where its module is imported again."""

# Libraries only: the project itself is imported from the copy that holds the mutant.
LIBRARIES = [
    "pytest",
    "torch",
    "numba",
    "numba.np.arrayobj",
    "scipy.stats",
    "scipy.optimize",
    "pydantic",
    "altair",
    "vl_convert",
]


class FirstFailure:
    """Writes the node id of the test that fails to a file."""

    def __init__(self, path: Path):
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._path.write_text(report.nodeid)


class Forks:
    """Runs the tests of each mutant in a fork, with the mutant's functions in place of the module's.

    The file holds the mutant as well, for processes that a test starts.
    """

    def __init__(
        self,
        path: Path,
        mutants: Sequence[Mutant],
        order: Order,
        imported: Collection[int],
        failure: Path,
        results: Connection,
    ):
        """Sends the values of a `Trial` to `results` for each mutant of the module at `path`.

        The status is `AGAIN` if the mutant changes what happens on import, of which `imported` are the
        lines. `failure` is the path for `FirstFailure`.
        """
        self._path, self._mutants, self._order, self._results = path, mutants, order, results
        self._imported, self._failure = frozenset(imported), failure

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        items = {item.nodeid: item for item in session.items}
        file = ModuleFile(self._path)
        source = self._path.read_text()
        code = compile(source, self._path, "exec", dont_inherit=True)
        functions = functions_of(str(self._path))
        helper = _start_helper() if "tests.processes" in sys.modules else None
        gc.freeze()  # a fork that collects garbage would copy all of this process
        for mutant in self._mutants:
            tests = self._order.tests(mutant.lines)
            new = compile(mutant.source, self._path, "exec", dont_inherit=True)
            changed = changed_functions(code, new)
            if "import njit" in source or changed is None or mutant.lines & self._imported:
                trial = Trial(AGAIN)
            elif not tests:
                trial = Trial(0)
            else:
                file.put(mutant.source)
                if not (pid := os.fork()):
                    os.setsid()
                    if functions and not replaced(functions, changed):
                        os._exit(AGAIN)
                    session.config.pluginmanager.register(FirstFailure(self._failure))
                    session.items[:] = [items[test.name] for test in tests]
                    return None  # pytest goes on with its own loop
                trial = Trial(_status(pid, self._order.limit(tests)), taken(self._failure))
                file.restore()
                if helper:
                    _kill_children(helper)
            self._order.note(trial)
            self._results.send(astuple(trial))
        return True


def taken(failure: Path) -> str | None:
    """Returns what `FirstFailure` has written, if anything, and removes it."""
    if not failure.exists():
        return None
    name = failure.read_text()
    failure.unlink()
    return name


class ModuleFile:
    """The file of a module, in which mutants are put."""

    def __init__(self, path: Path):
        self._path, self._source = path, path.read_bytes()
        self._changed = path.stat().st_mtime_ns

    def put(self, source: str) -> None:
        """Writes a mutant, with a time of change that no compiled file has."""
        self._path.write_text(source)
        os.utime(self._path, (1, 1))

    def restore(self) -> None:
        """Writes the module as it was, so that its compiled file is used again."""
        self._path.write_bytes(self._source)
        os.utime(self._path, ns=(self._changed, self._changed))


def _status(pid: int, seconds: float) -> int | None:
    """Returns the exit status of a child, None after that time; ends its process group."""
    watched = os.pidfd_open(pid)
    in_time, _, _ = select.select([watched], [], [], seconds)
    os.close(watched)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) if in_time else None


def _start_helper() -> psutil.Process:
    """Starts the process that tests fork sessions from; returns it.

    It is the same for all mutants, so it imports only libraries.
    """
    processes = sys.modules["tests.processes"]
    processes._FORKS.set_forkserver_preload(LIBRARIES)
    processes.forks()
    server = forkserver._forkserver
    # A fork is not its parent, and could not find out whether it runs.
    server.ensure_running = lambda: None
    return psutil.Process(server._forkserver_pid)


def _kill_children(process: psutil.Process) -> None:
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
