"""Progress in a log: a line every half minute."""

from __future__ import annotations

import time
from collections.abc import Mapping
from textwrap import wrap

import pytest

from ...exercise import short_name
from ...report.terminal import WIDTH
from .messages import print_line
from .state import Overall, State, format_state, unfinished

_LINE_SECONDS = 30  # between two lines


class Lines:
    """One text for all trainings together, wrapped to lines."""

    def __init__(self, reporter: pytest.TerminalReporter, epochs: Mapping[str, int]):
        self._reporter = reporter
        self._overall = Overall(epochs)
        self._next = time.monotonic() + _LINE_SECONDS

    def update(self, states: list[State]) -> None:
        """Prints all progress if half a minute has passed since the last time."""
        if time.monotonic() < self._next:
            return
        self._next += _LINE_SECONDS
        done, left = self._overall.progress(states)
        overall = ", ".join([f"all rows {done} of {self._overall.total} epochs", *left])
        trainings = [
            f"{short_name(state['name'])} {format_state(state)}" for state in unfinished(states)
        ]
        for line in wrap(
            "; ".join([overall, *trainings]), WIDTH, subsequent_indent="  ", break_on_hyphens=False
        ):
            print_line(self._reporter, line)

    def stop(self) -> None:
        """Does nothing, as there is nothing to remove."""
