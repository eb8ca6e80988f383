"""The rows that this session selected, their outcomes, and whether it ran the whole suite.

A saved run records whether it did, so that a row missing from it is known to be gone.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

WHOLE = "whole"  # a key of a saved run, next to "benchmarks"

_BEST_TO_WORST = ("passed", "skipped", "failed")


@dataclass(frozen=True)
class Absence:
    """Why a row of a saved run was not timed in this session."""

    missing: bool
    """Whether the session selected it, so that it should have been timed."""
    reason: str


@dataclass
class SessionRows:
    """The rows that a session found and kept; xdist's workers send theirs to the controller."""

    collected: set[str] = field(default_factory=set)
    """The node ids of all rows in the session's paths."""
    kept: set[str] = field(default_factory=set)
    """The node ids of all tests that were not deselected."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """The outcome of each test: the worst of its phases."""

    def absence(self, config: pytest.Config, row: str) -> Absence:
        """Returns why this row was not timed."""
        if row in self.kept:
            outcome = self.outcomes.get(row)
            if outcome is None:
                return Absence(False, "the session ended first")
            if outcome == "passed" and config.option.resume:
                return Absence(False, "resumed")
            verb = {"skipped": "was skipped", "failed": "failed"}.get(
                outcome, "passed without a training"
            )
            return Absence(True, f"its test {verb}")
        if row in self.collected:
            divided = getattr(config.option, "shard", None)
            return Absence(False, "not in this shard" if divided else "deselected")
        if _selects(config, row):
            return Absence(True, "no such test was collected")
        return Absence(False, "not selected")

    def is_whole(self, config: pytest.Config, timed: Collection[str]) -> bool:
        """Returns whether every row of the suite was timed or skipped."""
        done = {*timed, *(case for case, outcome in self.outcomes.items() if outcome == "skipped")}
        folders = [config.rootpath / each for each in config.getini("testpaths")] or [config.rootpath]
        return (
            bool(self.collected)
            and self.collected <= self.kept
            and self.collected <= done
            and not config.getoption("lf", False)
            and all(
                any(not ids and _is_under(folder, path) for path, ids in _arguments(config))
                for folder in folders
            )
            and not any(_is_under(path, folder) for path in _ignored(config) for folder in folders)
            and not config.option.ignore_glob
        )


SESSION_ROWS = pytest.StashKey[SessionRows]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[SESSION_ROWS] = SessionRows()


def pytest_itemcollected(item: pytest.Item) -> None:
    if "benchmark" in getattr(item, "fixturenames", ()):
        item.config.stash[SESSION_ROWS].collected.add(item.nodeid)


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    selection = config.stash[SESSION_ROWS]
    selection.kept.update(item.nodeid for item in session.items)
    if hasattr(config, "workeroutput"):
        config.workeroutput["rows"] = sorted(selection.collected)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Iterable[str]) -> None:
    node.config.stash[SESSION_ROWS].kept.update(ids)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    output: dict[str, Any] = getattr(node, "workeroutput", {})  # a worker that crashed has none
    node.config.stash[SESSION_ROWS].collected.update(output.get("rows", ()))


class _Outcomes:
    """A plugin that records every test's outcome."""

    def __init__(self, selection: SessionRows):
        self._outcomes = selection.outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: Literal["passed", "failed", "skipped"] = report.outcome
        before = self._outcomes.get(report.nodeid, "passed")
        self._outcomes[report.nodeid] = max(before, outcome, key=_BEST_TO_WORST.index)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Outcomes(session.config.stash[SESSION_ROWS]))


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: Iterable[Any], output_json: dict[str, Any]
) -> None:
    timed = {each.fullname for each in benchmarks}
    output_json[WHOLE] = config.stash[SESSION_ROWS].is_whole(config, timed)


def _selects(config: pytest.Config, row: str) -> bool:
    """Returns whether this session's arguments would have selected a row that no longer exists."""
    module, _, name = row.partition("::")
    path = config.rootpath / module
    names_it = any(
        _is_under(path, argument)
        and (not ids or name == ids or name.startswith((f"{ids}[", f"{ids}::")))
        for argument, ids in _arguments(config)
    )
    if not names_it or config.getoption("lf", False) or config.option.markexpr:
        return False
    if any(_is_under(path, ignored) for ignored in _ignored(config)):
        return False
    # pytest makes globs absolute, from the current folder.
    if any(fnmatch.fnmatch(path, os.path.abspath(glob)) for glob in config.option.ignore_glob or ()):
        return False
    if any(row.startswith(prefix) for prefix in config.option.deselect or ()):
        return False
    return _keyword_matches(config.option.keyword, [*Path(module).parts, module, *name.split("::")])


def _keyword_matches(expression: str, names: Iterable[str]) -> bool:
    """Returns whether `-k EXPRESSION` selects a test with these names; False if that is unknown."""
    if not expression.strip():
        return True
    try:
        from _pytest.mark.expression import Expression

        lower = [name.lower() for name in names]
        return Expression.compile(expression).evaluate(
            lambda part, /, **_: any(part.lower() in name for name in lower)
        )
    except Exception:  # pytest's private parts may change
        return False


def _arguments(config: pytest.Config) -> list[tuple[Path, str]]:
    """Returns the session's path arguments, or their defaults, as a path and the node id within it."""
    parts = (argument.partition("::") for argument in config.args)
    return [(config.invocation_params.dir / path, ids) for path, _, ids in parts]


def _ignored(config: pytest.Config) -> list[Path]:
    return [config.invocation_params.dir / each for each in config.option.ignore or ()]


def _is_under(path: Path, folder: Path) -> bool:
    """Returns whether `path`, which need not exist, is `folder` or in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
