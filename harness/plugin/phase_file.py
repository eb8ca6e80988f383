"""Writes `phases.json`: what the session's processes spent their time on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from model.environment import available_cores
from model.phases import Span, phase, spans

from ..files import sealed
from ..paths import PHASES
from ..session_settings import KEPT_RUN, SETTINGS
from ..timing.phase_times import phase_times
from .session import has_report

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_WORKERS = pytest.StashKey[list[list[Span]]]()  # the spans of those that have ended


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_WORKERS] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    with phase("running tests"):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["spans"] = [tuple(span) for span in _own_spans()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    output: dict[str, Any] = getattr(node, "workeroutput", {})  # a worker that crashed has none
    if found := output.get("spans"):
        node.config.stash[_WORKERS].append([Span(*each) for each in found])


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(config: pytest.Config) -> None:
    _write(config)  # for the page, which is drawn next


def pytest_unconfigure(config: pytest.Config) -> None:
    _write(config)  # once more, with the drawing of the page


def _write(config: pytest.Config) -> None:
    """Writes the file, unless the session trained nothing itself or its report cannot be written."""
    if not has_report(config) or config.stash[SETTINGS].cluster or KEPT_RUN in config.stash:
        return
    found = phase_times([_own_spans(), *config.stash[_WORKERS]], len(available_cores()))
    try:
        sealed.write_content(config.stash[SETTINGS].report_dir / PHASES, found.model_dump())
    except sealed.FileError:
        return  # `session` has reported it


def _own_spans() -> list[Span]:
    """Returns this process's spans, the first from the start of the process if psutil can tell that."""
    first, *others = spans()
    with suppress(ImportError):
        from psutil import Process

        begun = min(first.begun, Process().create_time())
        first = first._replace(begun=begun, seconds=first.seconds + first.begun - begun)
    return [first, *others]
