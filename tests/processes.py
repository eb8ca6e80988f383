"""Processes that tests start, and what they ask of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from execnet.gateway_base import Popen2IO

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pytest", "torch", "model.train", "model.engines.numba_loop.kernels"])


class ForkedWorker(Popen2IO):
    """Stands for execnet's `Popen2IOMaster`, which starts an xdist worker in a new interpreter.

    This one is a fork of a process that has imported PyTorch and Numba: a tenth of the CPU seconds.
    """

    def __init__(self, args: list[str], execmodel: object):
        stdin, to_worker = _FORKS.Pipe(duplex=False)
        from_worker, stdout = _FORKS.Pipe(duplex=False)
        self._worker = _FORKS.Process(
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
    """In the fork: `python -c code`, with pipes in the place of its standard streams."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(stdin.fileno(), 0)
    os.dup2(stdout.fileno(), 1)
    stdin.close()
    stdout.close()
    sys.stdin = os.fdopen(0, closefd=False)
    exec(code, {"__name__": "__main__"})


def wait_for_the_end_of(group: int) -> None:
    """Fails where a process of the process group is still there in half the time of `HANG`."""
    deadline = time.monotonic() + 60
    while alive := members(group):
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.05)


def members(group: int) -> list[str]:
    """The names of its processes; those that only wait to be reaped are none."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        if fields.split()[0] != "Z" and int(fields.split()[2]) == group:
            found.append(name)
    return found


def end(group: int) -> None:
    """Kills what is left of the process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
