"""pytest's terminal, for threads that print while a test runs.

pytest's capture redirects file descriptor 1 while a test runs, and with it what a thread prints, which
would end up in that test's captured output, or nowhere if it passes. A duplicate of the descriptor still
leads to the terminal.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any, TextIO

import pytest

_REDIRECTED = 1  # standard output


def uncapture_threads(config: pytest.Config) -> None:
    """From now on, what other threads write to pytest's terminal is not captured."""
    if config.option.capture != "fd":  # nothing redirects the descriptor
        return
    writer = config.get_terminal_writer()
    with suppress(OSError):  # a file in memory has no descriptor
        if writer._file.fileno() == _REDIRECTED:
            writer._file = Uncaptured(writer._file)


class Uncaptured:
    """Wraps a file of the terminal; other threads than the main one write to a duplicate of it."""

    def __init__(self, file: TextIO):
        self.file = file
        # It stays open as long as the process runs, as `file` does.
        duplicate = os.dup(file.fileno())
        self._duplicate = os.fdopen(duplicate, "w", encoding=file.encoding, errors=file.errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> int:
        """Writes to the terminal."""
        if threading.current_thread() is threading.main_thread():
            return self.file.write(text)
        written = self._duplicate.write(text)
        self._duplicate.flush()
        return written
