"""Which rows to compare, and with which settings: pytest says, by its own options."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.environment import available_cores

from ..exercise import row_name
from ..hardware.machine import candidate_devices
from ..settings import SETTINGS, Settings
from .turns import Row


class _Collected:
    """A plugin of pytest that keeps what was selected."""

    def __init__(self) -> None:
        self.cases: list[str] = []
        self.config: pytest.Config | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases = [item.nodeid for item in session.items if "::test_training[" in item.nodeid]
        self.config = session.config


@dataclass(frozen=True)
class Selection:
    """Rows, and what they are trained with."""

    rows: list[Row]
    settings: Settings
    root: Path
    """The checkout that they are in."""


def select(arguments: Sequence[str]) -> Selection:
    """The rows that pytest selects with these arguments. ValueError, in a line, where there are none."""
    collected, said, complained = _Collected(), io.StringIO(), io.StringIO()
    own = ["--collect-only", "-q", "-p", "no:cacheprovider", "-n0"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        status = pytest.main([*arguments, *own], plugins=[collected])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        lines = [line for line in (complained.getvalue() + said.getvalue()).splitlines() if line.strip()]
        raise ValueError(lines[0] if lines else f"pytest ended with status {status}")
    if not collected.cases or collected.config is None:
        raise ValueError(f"pytest selects no row with {' '.join(arguments) or 'no arguments'}")
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
    return Selection(
        [_row(case, options) for case in collected.cases], settings, collected.config.rootpath
    )


def _row(case: str, options: dict[str, object]) -> Row:
    module = case.partition("::")[0].removesuffix(".py").replace("/", ".")
    return Row(case, module, row_name(case), options)
