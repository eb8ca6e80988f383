"""The state of a training, as stored in its progress file, and its wording."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from ...wording import format_duration

State = Mapping[str, Any]
"""The content of a progress file: name, epochs, epoch; then loss, accuracy, seconds or, before the first
epoch, the line that says what it waits for."""


class Display(Protocol):
    """A way to show progress."""

    def update(self, states: list[State]) -> None:
        """Shows `states`, those of all trainings of this session, including finished ones."""

    def stop(self) -> None:
        """Removes the display."""


class Overall:
    """The progress of all rows together, counted in epochs."""

    def __init__(self, epochs: Mapping[str, int]):
        self.total = sum(epochs.values())
        self._rows = epochs.keys()
        self._started = time.monotonic()

    def progress(self, states: list[State]) -> tuple[int, list[str]]:
        """Returns the epochs done and, once there is one, an estimate such as ["about 3 min left"]."""
        done = sum(state["epoch"] for state in states if state["name"] in self._rows)
        if not done:
            return 0, []
        seconds = time.monotonic() - self._started
        return done, [f"about {format_duration(seconds / done * (self.total - done))} left"]


def unfinished(states: list[State]) -> list[State]:
    """Returns the states of the trainings that have epochs left."""
    return [state for state in states if state["epoch"] < state["epochs"]]


def format_state(state: State) -> str:
    """Returns the epoch, loss, accuracy and time left, in words; or what the training waits for."""
    if not state["epoch"]:
        return str(state["waiting"] or "starting")
    left = state["seconds"] / state["epoch"] * (state["epochs"] - state["epoch"])
    return (
        f"{state['epoch']} of {state['epochs']}, loss {float(state['loss']):.4f}, "
        f"test accuracy {float(state['accuracy']):.4f}, {format_duration(left)} left"
    )
