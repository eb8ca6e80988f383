"""How far a comparison is: on one line in a terminal, on a line every half minute in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

from ..wording import counted, first_few, format_duration
from .decision import LOOKS

_LOG_SECONDS = 30  # between two lines of a log


class PassProgress:
    """The progress of one pass over `rows` rows, of which several may train at once."""

    def __init__(self, number: int, rows: int):
        self._number, self._rows, self._done = number, rows, 0
        self._training: list[str] = []
        self._begun = time.monotonic()
        self._printed = self._begun
        self._width = 0
        self._lock = threading.Lock()

    def begin(self, row: str) -> None:
        """Notes that a row trains now."""
        with self._lock:
            self._training.append(row)
            self._show()

    def finish(self, row: str) -> None:
        """Notes that a row has trained."""
        with self._lock:
            self._training.remove(row)
            self._done += 1
            self._show()

    def close(self) -> None:
        """Ends the line in a terminal."""
        if self._width:
            print(file=sys.stderr)

    def _show(self) -> None:
        now = time.monotonic()
        if sys.stderr.isatty():
            text = self._text(now).ljust(self._width)
            self._width = len(text)
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
        elif now >= self._printed + _LOG_SECONDS and self._done < self._rows:
            self._printed = now
            print(self._text(now), file=sys.stderr, flush=True)

    def _text(self, now: float) -> str:
        text = (
            f"Pass {self._number} (of up to {LOOKS[-1]}): {self._done} of {counted(self._rows, 'row')}"
        )
        if self._training:
            text += f", now {', '.join(self._training)}"
        if self._done:
            left = (now - self._begun) / self._done * (self._rows - self._done)
            text += f", {format_duration(left)} left in this pass"
        return text


def summary_of(number: int, trained: int, left: Sequence[str]) -> str:
    """Returns a line on what is decided after pass `number`, and which rows are left."""
    done = f"After pass {number}: {trained - len(left)} of {counted(trained, 'row')} decided"
    if not left:
        return f"{done}."
    if number == LOOKS[-1]:
        return f"{done}; inconclusive: {first_few(left)}."
    return f"{done}; up to {LOOKS[-1] - number} more of: {first_few(left)}."
