"""Trials of mutants, each in a fork of a process that has already imported the slow libraries."""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

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


@dataclass(frozen=True)
class Trial:
    """The outcome of the tests."""

    killed: bool
    seconds: float
    output: str


class Copies:
    """Copies of the checkout, one for each trial that runs at the same time."""

    def __init__(self, folder: Path, count: int):
        _FORKS.set_forkserver_preload(_IMPORTED)
        self._free: Queue[Path] = Queue()
        for number in range(count):
            copy = folder / str(number)
            shutil.copytree(ROOT, copy, ignore=lambda path, _: _NOT_COPIED if Path(path) == ROOT else ())
            self._free.put(copy)

    def run(self, module: str, source: str, tests: Sequence[str], seconds: float) -> Trial:
        """Runs `tests` with `source` in place of `module`, for at most `seconds`."""
        copy = self._free.get()
        path, output = copy / module, copy / "output.txt"
        original = path.read_text()
        started = time.monotonic()
        try:
            path.write_text(source)
            process = _FORKS.Process(target=_run, args=(copy, [*tests], output, seconds))
            process.start()
            process.join(seconds)
            ended = process.exitcode
            if process.is_alive():
                os.killpg(process.pid, signal.SIGKILL)
                process.join()
            text = output.read_text(errors="replace") if output.exists() else ""
            return Trial(ended != 0, time.monotonic() - started, text)
        finally:
            path.write_text(original)
            self._free.put(copy)


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
    import pytest

    code = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-n", "0", *tests])
    sys.stdout.flush()
    os._exit(code)
