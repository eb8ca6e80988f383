"""What this process spends its time on, as spans of phases such as "training" and "waiting"."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Span(NamedTuple):
    """A time in which the process was in one phase."""

    phase: str
    begun: float  # in seconds since 1970
    seconds: float  # wall-clock time
    cpu_seconds: float  # of all its threads


_spans: list[Span] = []
_open: list[str] = ["starting"]  # the phases that have not ended, the outermost first
# When the current span began: in seconds since 1970, by the clock, and by the CPU time so far. The first
# one began with the process, which is taken to have worked without a pause until this is imported.
_since = (time.time() - time.process_time(), time.perf_counter() - time.process_time(), 0.0)


@contextmanager
def phase(name: str, *, children: bool = False) -> Iterator[None]:
    """The block's time is in phase `name`, except that of other phases inside it.

    With `children`, so is the CPU time of the child processes that it waits for.

    Only the main thread's blocks count, as the phases of threads that run at the same time overlap.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _end_span()
    _open.append(name)
    before = _cpu_of_children()
    try:
        yield
    finally:
        _end_span(_cpu_of_children() - before if children else 0.0)
        _open.pop()


def spans() -> list[Span]:
    """Returns the spans of this process so far, which follow one another without gaps.

    The first phase is "starting".
    """
    _end_span()
    return [*_spans]


def seconds_in(name: str) -> float:
    """Returns the wall-clock seconds that this process has been in that phase."""
    return sum(span.seconds for span in spans() if span.phase == name)


def _cpu_of_children() -> float:
    """Returns the CPU seconds of all child processes that this process has waited for."""
    times = os.times()
    return times.children_user + times.children_system


def _end_span(cpu_of_children: float = 0.0) -> None:
    """Ends the current span; the next one is in the same phase unless the caller changes it."""
    global _since
    begun, clock_before, cpu_before = _since
    now, clock, cpu = time.time(), time.perf_counter(), time.process_time()  # the first may be set back
    seconds, cpu_seconds = clock - clock_before, cpu - cpu_before + cpu_of_children
    last = _spans[-1] if _spans else None
    if last and last.phase == _open[-1]:
        _spans[-1] = Span(last.phase, last.begun, last.seconds + seconds, last.cpu_seconds + cpu_seconds)
    else:
        _spans.append(Span(_open[-1], begun, seconds, cpu_seconds))
    _since = now, clock, cpu
