"""Runs tests on a copy of the checkout, in forks of a process that has imported the slow libraries."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from .forked import AGAIN, LIBRARIES, FirstFailure, Forks, ModuleFile, taken
from .mutants import Mutant
from .order import Order, Trial
from .traced import Traces, Tracing
from .tracing import sitecustomize
from .tracing.sitecustomize import PACKAGES

ROOT = Path(__file__).parents[2]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(LIBRARIES)
_NOT_COPIED = {".git", ".venv", ".mutation", "data", ".benchmarks"}
_LONGEST_TRACE = 3600.0  # seconds


class Copy:
    """A copy of the checkout, in which one mutant at a time takes its module's place."""

    def __init__(self, folder: Path, root: Path = ROOT):
        self._folder, self._root = folder, folder / "checkout"
        shutil.copytree(
            root, self._root, ignore=lambda path, _: _NOT_COPIED if Path(path) == root else ()
        )
        # Python and pytest compile what they import once, for all mutants.
        self._start(["--collect-only", "tests"], None, compiling=True).join()

    def traces(self, tests: str) -> Traces:
        """Runs the tests of a file without a mutant; returns which lines they run."""
        result = self._folder / "traces"
        result.unlink(missing_ok=True)
        process = self._start([tests], Tracing(self._folder / "lines", result))
        _status(process, _LONGEST_TRACE)
        if not result.exists():
            raise RuntimeError(f"{tests} ended early: {self._output.read_text()[-2000:]}")
        return Traces.load(result)

    def trials(
        self, module: str, mutants: Sequence[Mutant], order: Order, imported: Collection[int]
    ) -> list[Trial]:
        """Returns what the tests of a module make of each of its mutants.

        `imported` are the lines of the module that run on import.
        """
        path, failure = self._root / module, self._folder / "failure"
        if not order.tests():  # without a name of a test, pytest would run all
            return [Trial(0)] * len(mutants)
        files = {test.name.partition("::")[0] for test in order.tests()}
        receiving, sending = _FORKS.Pipe(duplex=False)
        process = self._start(sorted(files), Forks(path, mutants, order, imported, failure, sending))
        sending.close()
        trials: list[Trial] = []
        with suppress(EOFError):  # it has ended
            while True:
                trials.append(Trial(*receiving.recv()))
                order.note(trials[-1])
        process.join()
        if len(trials) < len(mutants):
            raise RuntimeError(f"the tests of {module} ended early: {self._output.read_text()[-2000:]}")
        file = ModuleFile(path)
        for number, mutant in enumerate(mutants):
            if trials[number].status == AGAIN:
                tests = order.tests(first=mutant.uses)
                file.put(mutant.source)
                again = self._start([test.name for test in tests], FirstFailure(failure))
                trials[number] = Trial(_status(again, order.limit(tests)), taken(failure))
                file.restore()
                order.note(trials[number])
        return trials

    @property
    def _output(self) -> Path:
        return self._folder / "output"

    def _start(
        self, tests: Sequence[str], plugin: object | None, compiling: bool = False
    ) -> BaseProcess:
        process = _FORKS.Process(target=_run, args=(self._folder, [*tests], plugin, compiling))
        process.start()
        return process


def _status(process: BaseProcess, seconds: float) -> int | None:
    """Returns the exit status of a process, None after that time; ends its process group."""
    process.join(seconds)
    status = process.exitcode
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return status


def _run(folder: Path, tests: list[str], plugin: object | None, compiling: bool) -> None:
    os.setsid()
    root = folder / "checkout"
    os.chdir(root)
    with (folder / "output").open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    # The project is imported again, from the copy.
    sys.path = [str(root), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [*sys.modules]:
        if name.partition(".")[0] in (*PACKAGES, "tests") and not name.startswith("tests.mutation"):
            del sys.modules[name]
    # Pytest's plugin has another name than its folder, by which it would be found in the checkout.
    if (entry := root / "harness" / "entry").is_dir():
        for name, module in sys.modules.items():
            if name.startswith("__editable___minibatch_bench"):
                module.MAPPING = module.MAPPING | {"minibatch_bench": str(entry)}
    os.environ["OMP_WAIT_POLICY"] = "passive"
    sys.dont_write_bytecode = not compiling
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ.pop("PYTHONPATH", None)  # programs that a test starts find the copy, too
    if isinstance(plugin, Tracing):
        tracer = Path(sitecustomize.__file__).parent
        os.environ |= {"MUTATION_ROOT": str(root), "PYTHONPATH": str(tracer)}
    options = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-n", "0"]
    if not isinstance(plugin, Tracing):
        options.append("-x")
    code = pytest.main(
        [*options, f"--basetemp={folder / 'temporary'}", *tests], plugins=[plugin] if plugin else []
    )
    sys.stdout.flush()
    os._exit(code)
