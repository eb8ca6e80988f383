"""Counts the seconds that this process waits for locks, so that tests' durations can exclude them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_waited = 0.0


@contextmanager
def waiting() -> Iterator[None]:
    """Counts the time that the block takes as waiting."""
    global _waited
    started = time.perf_counter()
    try:
        yield
    finally:
        _waited += time.perf_counter() - started


def seconds_waited() -> float:
    """Returns the seconds counted so far."""
    return _waited
