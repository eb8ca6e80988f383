"""Progress while a session trains: told by whoever trains, in files; shown by the session.

A training tells of its epochs in a file of its own in the report folder, whichever process it
is in. The session's controlling process reads these files twice a second: in a terminal it draws
a bar for each training and one for all, elsewhere (a log, CI) it prints a line every half minute,
and with -q nothing.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from model.evaluate import Evaluation

from . import jsonfile
from .exercise import row_name
from .identity import short_digest

_FOLDER = "progress"
_TOLD_EVERY = 0.25  # seconds between two writes of a training, at least: epochs may take less
_READ_EVERY = 0.5
_LINE_EVERY = 30
_WATCH = pytest.StashKey["Watch"]()

State = Mapping[str, Any]  # what a training's file holds: name, epoch, epochs, loss, accuracy, seconds
AfterEpoch = Callable[[int, Evaluation, Evaluation], None]


@contextmanager
def telling(report_dir: Path, name: str, epochs: int) -> Iterator[AfterEpoch]:
    """What to call after each epoch of the training called `name`: with evaluations of both sets."""
    path = report_dir / _FOLDER / f"{short_digest(name)}.json"
    started = time.monotonic()
    last = -_TOLD_EVERY

    def after_epoch(epoch: int, on_train: Evaluation, on_test: Evaluation) -> None:
        nonlocal last
        seconds = time.monotonic() - started
        if seconds - last < _TOLD_EVERY and epoch < epochs:
            return
        last = seconds
        state = {
            "name": name,
            "epoch": epoch,
            "epochs": epochs,
            "loss": float(on_train.loss.mean()),
            "accuracy": float(on_test.accuracy.mean()),
            "seconds": seconds,
        }
        with suppress(OSError):  # a full disk ends the training when its record is written
            path.parent.mkdir(exist_ok=True)
            jsonfile.write(path, state)

    yield after_epoch


def watch(config: pytest.Config, report_dir: Path, epochs: Mapping[str, int]) -> None:
    """Shows progress until `unwatch`; `epochs` are those of every row that is to be trained."""
    if config.option.verbose < 0 or not epochs:
        return
    reporter = config.pluginmanager.getplugin("terminalreporter")
    config.stash[_WATCH] = Watch(report_dir / _FOLDER, _show(reporter, epochs))


def _show(reporter: pytest.TerminalReporter, epochs: Mapping[str, int]) -> Show:
    """Bars in a terminal, where rich is there to draw them; else lines."""
    if reporter.isatty and os.environ.get("TERM", "dumb") != "dumb":
        with suppress(ImportError):
            from .bars import Bars

            return Bars(reporter, epochs)
    return Lines(reporter, epochs)


def unwatch(config: pytest.Config, report_dir: Path) -> None:
    """Ends what `watch` began, and removes the files."""
    if _WATCH in config.stash:
        config.stash[_WATCH].stop()
    shutil.rmtree(report_dir / _FOLDER, ignore_errors=True)


class Show(Protocol):
    """A way to show progress."""

    def update(self, states: list[State]) -> None:
        """`states` are those of all trainings of this session, finished ones included."""

    def stop(self) -> None:
        """Nothing is shown any more."""


class Watch:
    """A thread that reads the files of `folder` and has `show` show them."""

    def __init__(self, folder: Path, show: Show):
        self._folder = folder
        self._show = show
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._show.stop()

    def _run(self) -> None:
        while not self._stopped.wait(_READ_EVERY):
            states = []
            for path in sorted(self._folder.glob("*.json")):
                with suppress(OSError, ValueError):  # the folder may be removed meanwhile
                    states.append(jsonfile.read(path))
            self._show.update(states)


class Lines:
    """A line every half minute."""

    def __init__(self, reporter: pytest.TerminalReporter, epochs: Mapping[str, int]):
        self._reporter = reporter
        self._whole = Whole(epochs)
        self._next = time.monotonic() + _LINE_EVERY

    def update(self, states: list[State]) -> None:
        if time.monotonic() < self._next:
            return
        self._next += _LINE_EVERY
        parts = [f"{short(state['name'])} {told(state)}" for state in under_way(states)]
        done, left = self._whole.progress(states)
        self._reporter.ensure_newline()
        parts.append(", ".join([f"all rows {done} of {self._whole.total} epochs", *left]))
        self._reporter.write_line("; ".join(parts))

    def stop(self) -> None:
        pass


class Whole:
    """How far all rows together are, counted in epochs."""

    def __init__(self, epochs: Mapping[str, int]):
        self.total = sum(epochs.values())
        self._rows = epochs.keys()
        self._started = time.monotonic()

    def progress(self, states: list[State]) -> tuple[int, list[str]]:
        """Epochs done, and how much time is left, if known, when the others take as long on average."""
        done = sum(state["epoch"] for state in states if state["name"] in self._rows)
        if not done:
            return 0, []
        seconds = time.monotonic() - self._started
        return done, [f"about {duration(seconds / done * (self.total - done))} left"]


def short(name: str) -> str:
    """A case's node id as a bar has room for it: its exercise and row."""
    number = Path(name.partition("::")[0]).stem.removeprefix("test_").partition("_")[0]
    return f"{number}. {row_name(name)}"


def under_way(states: list[State]) -> list[State]:
    """Those that are not finished."""
    return [state for state in states if state["epoch"] < state["epochs"]]


def told(state: State) -> str:
    """Its epoch, loss, accuracy and the time that is left, in words."""
    left = state["seconds"] / state["epoch"] * (state["epochs"] - state["epoch"])
    return (
        f"{state['epoch']} of {state['epochs']}, loss {float(state['loss']):.4f}, "
        f"test accuracy {float(state['accuracy']):.4f}, {duration(left)} left"
    )


def duration(seconds: float) -> str:
    """Seconds up to a minute and a half, then minutes, then hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
