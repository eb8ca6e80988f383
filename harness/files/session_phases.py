"""`phases.json`: what a session's processes spent their time on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from .types import FinitePositive, Model, Positive, Seconds, Text


class PhaseTime(Model):
    """The time of all processes in one phase."""

    phase: Text
    seconds: Seconds
    """Wall-clock time, added up over processes."""
    cpu_seconds: Annotated[list[Seconds], Field(min_length=1, max_length=1000)]
    """CPU time in each of the session's parts, which are equally long."""


def _equally_long(phases: list[PhaseTime]) -> list[PhaseTime]:
    if len({len(each.cpu_seconds) for each in phases}) > 1:
        raise ValueError("phases have different numbers of parts")
    return phases


class PhasesFile(Model):
    """A session from the start of its first process to the time when the file was written."""

    seconds: FinitePositive
    cores: Positive
    processes: Positive
    phases: Annotated[list[PhaseTime], Field(min_length=1, max_length=20), AfterValidator(_equally_long)]
