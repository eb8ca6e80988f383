"""Adds up the phases of a session's processes; see `model.phases`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from model.phases import Span

from ..files.session_phases import PhasesFile, PhaseTime

_PARTS = 120  # of a session; a timeline of two minutes shows seconds


def phase_times(processes: Sequence[Sequence[Span]], cores: int) -> PhasesFile:
    """Returns the times of all phases, in the order in which they first began.

    `processes` are the spans of each process; the first process is there from the session's start to its
    end. A span's CPU time is spread evenly over it.
    """
    begun, seconds = processes[0][0].begun, sum(span.seconds for span in processes[0])
    length = seconds / _PARTS
    spans = sorted((span for process in processes for span in process), key=lambda span: span.begun)
    wall: dict[str, float] = {}
    cpu: dict[str, list[float]] = {}
    for span in spans:
        wall[span.phase] = wall.get(span.phase, 0) + span.seconds
        parts = cpu.setdefault(span.phase, [0.0] * _PARTS)
        for part, share in _shares(span, begun, length):
            parts[part] += share * span.cpu_seconds
    return PhasesFile(
        seconds=seconds,
        cores=cores,
        processes=len(processes),
        phases=[
            PhaseTime(phase=phase, seconds=wall[phase], cpu_seconds=[round(each, 4) for each in parts])
            for phase, parts in cpu.items()
        ],
    )


def _shares(span: Span, begun: float, length: float) -> list[tuple[int, float]]:
    """Returns the parts that the span is in, each with the share of the span that is in it."""
    first = (span.begun - begun) / length
    last = first + span.seconds / length
    parts = range(_part(first), _part(last) + 1)
    if len(parts) == 1:
        return [(parts[0], 1.0)]
    # What is outside of the session, by the clock's rounding, counts in its first or last part.
    ends = [-math.inf, *(float(part) for part in parts[1:]), math.inf]
    return [
        (part, (min(last, ends[at + 1]) - max(first, ends[at])) / (last - first))
        for at, part in enumerate(parts)
    ]


def _part(at: float) -> int:
    return min(max(0, math.floor(at)), _PARTS - 1)
