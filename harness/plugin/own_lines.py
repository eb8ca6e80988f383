"""Messages on stderr while tests run: each on a line of its own, not after pytest's dots."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TextIO

_AT_ONCE = 0.2  # seconds between two lines within which no dot is expected


class OwnLines:
    """A stream that writes to another one, and begins a new line there before its own.

    Other processes may write dots to the same terminal at any time, and this one cannot know. Only lines
    that follow each other at once have no line break between them.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._last = -_AT_ONCE
        self._within_line = False

    def write(self, text: str) -> int:
        if text and not self._within_line and time.monotonic() - self._last > _AT_ONCE:
            self._stream.write("\n")
        if text:
            self._within_line = not text.endswith("\n")
            self._last = time.monotonic()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def messages_on_own_lines() -> Iterator[None]:
    """Passes what is printed on stderr through `OwnLines`."""
    before = sys.stderr
    sys.stderr = OwnLines(before)
    try:
        yield
    finally:
        sys.stderr = before
