"""Determines, with pytest's own options, which rows to compare and with which settings."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.environment import available_cores

from ..exercise import Exercise, module_of, row_name
from ..hardware.machine import candidate_devices
from ..processes import reason
from ..session_settings import SESSION_STUDY, SETTINGS, Settings
from .turns import SelectedRow

_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception)\b")


class _Collected:
    """A pytest plugin that records the selected rows, or why none could be selected."""

    def __init__(self) -> None:
        self.exercises: dict[str, Exercise] = {}
        self.others = 0
        self.config: pytest.Config | None = None
        self.failed: str | None = None
        self.interrupted = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            lines = report.longreprtext.splitlines()
            errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
            # The lines of a SyntaxError start with its location.
            why = (
                next(filter(_ERROR.match, errors), None)
                or [*errors, reason(report.longreprtext, status=1)][0]
            )
            self.failed = f"{report.nodeid or 'pytest'} cannot be collected: {why}"

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if type(excinfo.value) is KeyboardInterrupt:
            self.interrupted = True
        elif self.failed is None:  # by pytest.exit or errors during collection
            self.failed = f"pytest was ended: {excinfo.value}"

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if self.failed is None:  # including sys.exit in a module
            self.failed = f"pytest was ended by {excinfo.typename}: {excinfo.value}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.exercises = {
            item.nodeid: item.module.EXERCISE
            for item in session.items
            if isinstance(item, pytest.Function) and "::test_training[" in item.nodeid
        }
        self.others = len(session.items) - len(self.exercises)
        self.config = session.config


@dataclass(frozen=True)
class Selection:
    """The selected rows and their settings."""

    rows: list[SelectedRow]
    settings: Settings
    root: Path
    """The checkout that they are in."""


def select(arguments: Sequence[str]) -> Selection:
    """Returns the rows that pytest selects with these arguments. Raises ValueError if there are none."""
    collected, output, errors = _Collected(), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = pytest.main([*arguments, "--collect-only", "-q"], plugins=[collected])
        except SystemExit as error:  # raised by a plugin or a conftest.py
            raise ValueError(f"pytest was ended by SystemExit: {error}") from None
    if collected.interrupted:
        raise KeyboardInterrupt
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        why = reason(errors.getvalue(), output.getvalue(), status=int(status))
        raise ValueError(collected.failed or why)
    given = f"with {shlex.join(arguments)}" if arguments else "without arguments"
    if collected.config is None:
        raise ValueError(f"pytest {given} collects nothing; expected arguments that select rows")
    if not collected.exercises:
        others = f", only tests that do not train ({collected.others})" if collected.others else ""
        raise ValueError(f"pytest {given} selects no row{others}; expected arguments that select rows")
    if SETTINGS not in collected.config.stash:
        raise ValueError(f"pytest {given} does not load the suite's plugin, which trains the rows")
    settings = collected.config.stash[SETTINGS]
    options = {
        "scale": settings.scale,
        "dataset": settings.dataset,
        "device": str(candidate_devices(settings.device)[0]),
        "engine": settings.engine,
        "replicates": len(settings.seeds),
        "data_root": str(settings.data_root),
        "cores": len(available_cores()),
    }
    study = collected.config.stash[SESSION_STUDY].study
    rows = [
        _row(case, {**options, "epochs": study.epochs(exercise, settings.scale)})
        for case, exercise in collected.exercises.items()
    ]
    return Selection(rows, settings, collected.config.rootpath)


def _row(case: str, options: dict[str, object]) -> SelectedRow:
    module = module_of(case).removesuffix(".py").replace("/", ".")
    return SelectedRow(case, module, row_name(case), options)
