"""Progress in a log: a line every half minute."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from .state import Overall, State, format_state, short_name, unfinished

_LINE_SECONDS = 30  # between two lines


class Lines:
    """One line for all trainings together."""

    def __init__(self, reporter: pytest.TerminalReporter, epochs: Mapping[str, int]):
        self._reporter = reporter
        self._overall = Overall(epochs)
        self._next = time.monotonic() + _LINE_SECONDS

    def update(self, states: list[State]) -> None:
        """Writes a line if half a minute has passed since the last one."""
        if time.monotonic() < self._next:
            return
        self._next += _LINE_SECONDS
        parts = [f"{short_name(state['name'])} {format_state(state)}" for state in unfinished(states)]
        done, left = self._overall.progress(states)
        self._reporter.ensure_newline()
        parts.append(", ".join([f"all rows {done} of {self._overall.total} epochs", *left]))
        self._reporter.write_line("; ".join(parts))

    def stop(self) -> None:
        """Does nothing, as there is nothing to remove."""
