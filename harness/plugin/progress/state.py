"""The state of a training as its progress file holds it, and how it reads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ...exercise import row_name

State = Mapping[str, Any]
"""What a progress file holds: name, epochs, epoch; then loss, accuracy, seconds, or before the first
epoch what it waits for, if it does."""


class Display(Protocol):
    """A way to show progress."""

    def update(self, states: list[State]) -> None:
        """Shows `states`: those of all trainings of this session, finished ones included."""

    def stop(self) -> None:
        """Shows nothing any more."""


class Overall:
    """The progress of all rows together, counted in epochs."""

    def __init__(self, epochs: Mapping[str, int]):
        self.total = sum(epochs.values())
        self._rows = epochs.keys()
        self._started = time.monotonic()

    def progress(self, states: list[State]) -> tuple[int, list[str]]:
        """Epochs done, and an estimate of the time left once there is one: ["about 3 min left"]."""
        done = sum(state["epoch"] for state in states if state["name"] in self._rows)
        if not done:
            return 0, []
        seconds = time.monotonic() - self._started
        return done, [f"about {format_duration(seconds / done * (self.total - done))} left"]


def unfinished(states: list[State]) -> list[State]:
    """The states of trainings that have epochs left."""
    return [state for state in states if state["epoch"] < state["epochs"]]


def short_name(case: str) -> str:
    """A case's node id, short enough for a bar: its exercise and row."""
    number = Path(case.partition("::")[0]).stem.removeprefix("test_").partition("_")[0]
    return f"{number}. {row_name(case)}"


def format_state(state: State) -> str:
    """Epoch, loss, accuracy and time left, in words; or what it waits for."""
    if not state["epoch"]:
        return str(state["waiting"] or "begins")
    left = state["seconds"] / state["epoch"] * (state["epochs"] - state["epoch"])
    return (
        f"{state['epoch']} of {state['epochs']}, loss {float(state['loss']):.4f}, "
        f"test accuracy {float(state['accuracy']):.4f}, {format_duration(left)} left"
    )


def format_duration(seconds: float) -> str:
    """Seconds up to a minute and a half, then minutes, then hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
