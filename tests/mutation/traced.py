"""Which lines of the project each test runs, and for how long."""

from __future__ import annotations

import functools
import gc
import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .tracing import sitecustomize as tracer


@dataclass(frozen=True)
class TracedTest:
    """A test that passes without a mutant, and while it is traced."""

    name: str
    """Its node id."""
    seconds: float
    """With tracing, which can take several times as long."""
    lines: dict[str, frozenset[int]]
    """The lines that it runs, by module, also in processes that it starts, without those of imports."""


@dataclass
class Traces:
    """The tests of a file."""

    tests: list[TracedTest] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """The node ids of those that fail: they are not used."""
    imported: dict[str, set[int]] = field(default_factory=dict)
    """The lines, by module, that run while a module is imported, so before a fork can replace them."""

    def save(self, path: Path) -> None:
        tests = [[each.name, each.seconds, _lists(each.lines)] for each in self.tests]
        path.write_text(json.dumps([tests, self.failed, _lists(self.imported)]))

    @classmethod
    def load(cls, path: Path) -> Traces:
        tests, failed, imported = json.loads(path.read_text())
        return cls(
            [
                TracedTest(name, seconds, {module: frozenset(each) for module, each in lines.items()})
                for name, seconds, lines in tests
            ],
            failed,
            {module: set(lines) for module, lines in imported.items()},
        )


class Tracing:
    """A plugin of pytest that traces the session's tests, one by one.

    No test finds what another has left: higher fixtures are set up again, and caches are emptied.
    """

    def __init__(self, folder: Path, result: Path):
        """Writes traces into `folder`, and `Traces` to `result`."""
        self._folder, self._result = folder, result
        self._failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        self._folder.mkdir(exist_ok=True)
        os.environ["MUTATION_LINES"] = str(self._folder / "collection")
        tracer.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        traces = Traces()
        _add(_read(self._folder / "collection", imported=True), traces.imported)
        for number, item in enumerate(session.items):
            for each in gc.get_objects():
                # isinstance would make some objects of PyTorch warn.
                if type(each) is functools._lru_cache_wrapper and _is_ours(each.__module__):
                    each.cache_clear()
            path = self._folder / str(number)
            os.environ["MUTATION_LINES"] = str(path)
            tracer.forget()
            self._failed, started = False, time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            seconds = time.monotonic() - started
            _add(_read(path, imported=True), traces.imported)
            if self._failed:
                traces.failed.append(item.nodeid)
            else:
                lines = {name: frozenset(found) for name, found in _read(path, imported=False).items()}
                traces.tests.append(TracedTest(item.nodeid, seconds, lines))
            path.unlink(missing_ok=True)
        traces.save(self._result)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test that is skipped here detects nothing.
        self._failed = self._failed or not report.passed


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in (*tracer.PACKAGES, "tests")


def _read(path: Path, imported: bool) -> dict[str, set[int]]:
    """Returns the lines in a file, by module: those of imports, or the others."""
    found: dict[str, set[int]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, number = line.removeprefix("!").rpartition(":")
        if line.startswith("!") == imported:
            found.setdefault(name, set()).add(int(number))
    return found


def _lists(lines: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    return {module: sorted(each) for module, each in lines.items()}


def _add(found: dict[str, set[int]], to: dict[str, set[int]]) -> None:
    for name, lines in found.items():
        to.setdefault(name, set()).update(lines)
