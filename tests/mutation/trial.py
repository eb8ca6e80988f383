"""Trials of mutants, each in a fork of a process that has already imported the slow libraries."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import pytest

ROOT = Path(__file__).parents[2]

_FORKS = multiprocessing.get_context("forkserver")
# Libraries only: the project itself is imported from the copy that holds the mutant.
_IMPORTED = [
    "pytest",
    "torch",
    "numba",
    "scipy.stats",
    "scipy.optimize",
    "pydantic",
    "altair",
    "vl_convert",
]
_NOT_COPIED = {".git", ".venv", "data", ".benchmarks"}


class Killers:
    """The tests that have detected a module's mutants; the latest are likely to detect the next."""

    _MOST = 8

    def __init__(self) -> None:
        self._tests: dict[str, None] = {}  # in order; the latest is the last

    def first(self) -> list[str]:
        """Returns the node ids of the tests to run before all others, the latest first."""
        return [*reversed(self._tests)][: self._MOST]

    def add(self, output: str) -> None:
        """Adds the test that failed, from the summary of pytest's output."""
        if found := re.search(
            r"^(?:FAILED|ERROR) (tests/\S+?::\w+(?:\[.*?\])?)(?: - .*)?$", output, re.MULTILINE
        ):
            self._tests.pop(found[1], None)
            self._tests[found[1]] = None


@dataclass(frozen=True)
class Trial:
    """The outcome of the tests."""

    status: int | None
    """The exit status of pytest, or None if it took too long."""
    seconds: float
    output: str

    @property
    def killed(self) -> bool:
        return self.status != 0


class Copies:
    """Copies of the checkout, one for each trial that runs at the same time."""

    def __init__(self, folder: Path, count: int):
        _FORKS.set_forkserver_preload(_IMPORTED)
        self._free: Queue[Path] = Queue()
        for number in range(count):
            copy = folder / str(number)
            shutil.copytree(ROOT, copy, ignore=lambda path, _: _NOT_COPIED if Path(path) == ROOT else ())
            self._free.put(copy)

    def run(
        self, module: str, source: str, tests: Sequence[str], killers: Killers, seconds: float
    ) -> Trial:
        """Runs `killers`, then `tests`, with `source` in place of `module`, each for up to `seconds`."""
        copy = self._free.get()
        path = copy / module
        original = path.read_text()
        try:
            path.write_text(source)
            # A mutant may have changed a killer's node id: then pytest runs none, which detects nothing.
            if first := killers.first():
                trial = _tried(copy, first, seconds)
                if trial.status in (pytest.ExitCode.TESTS_FAILED, None):
                    return trial
            trial = _tried(copy, tests, seconds)
            if trial.killed:
                killers.add(trial.output)
            return trial
        finally:
            path.write_text(original)
            self._free.put(copy)


def _tried(copy: Path, tests: Sequence[str], seconds: float) -> Trial:
    output = copy / "output.txt"
    started = time.monotonic()
    process = _FORKS.Process(target=_run, args=(copy, [*tests], output, seconds))
    process.start()
    process.join(seconds)
    status = process.exitcode
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    text = output.read_text(errors="replace") if output.exists() else ""
    return Trial(status, time.monotonic() - started, text)


def _run(copy: Path, tests: list[str], output: Path, seconds: float) -> None:
    os.setsid()
    # Ends a mutant that loops, even if the session that started it is gone.
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
    os.chdir(copy)
    with output.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    # The project is imported again, from the copy.
    sys.path = [str(copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("bench", "examples", "harness", "model", "tests"):
            del sys.modules[name]
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_WAIT_POLICY": "passive"}
    code = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-n", "0", *tests])
    sys.stdout.flush()
    os._exit(code)
