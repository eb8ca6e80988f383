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
from typing import Any, Protocol, TextIO

import pytest
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Column, Table

from model.evaluate import Evaluation

from . import jsonfile
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
    told = -_TOLD_EVERY

    def after_epoch(epoch: int, on_train: Evaluation, on_test: Evaluation) -> None:
        nonlocal told
        seconds = time.monotonic() - started
        if seconds - told < _TOLD_EVERY and epoch < epochs:
            return
        told = seconds
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
    terminal = reporter.isatty and os.environ.get("TERM", "dumb") != "dumb"
    show = Bars(reporter, epochs) if terminal else Lines(reporter, epochs)
    config.stash[_WATCH] = Watch(report_dir / _FOLDER, show)


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


class Bars:
    """Bars below what pytest prints: for each training that is under way, and for all rows.

    pytest may be in the middle of a line, so they are drawn below the cursor, which then goes
    back, and erased before pytest writes on.
    """

    def __init__(self, reporter: pytest.TerminalReporter, epochs: Mapping[str, int]):
        self._whole = Whole(epochs)
        self._writer = reporter._tw
        self._below = Below(self._writer._file)
        self._writer._file = self._below

    def update(self, states: list[State]) -> None:
        table = Table.grid(Column(no_wrap=True), Column(ratio=1), Column(no_wrap=True), padding=(0, 1))
        for state in _under_way(states):
            bar = ProgressBar(total=state["epochs"], completed=state["epoch"])
            table.add_row(_short(state["name"]), bar, _told(state))
        done, left = self._whole.progress(states)
        bar = ProgressBar(total=self._whole.total, completed=done)
        table.add_row("all rows", bar, ", ".join([f"{done} of {self._whole.total} epochs", *left]))
        # A column less than there is, as a full line would have the terminal begin another.
        console = Console(
            width=shutil.get_terminal_size().columns - 1,
            force_terminal=True,
            markup=False,
            highlight=False,
        )
        with console.capture() as captured:
            console.print(table)
        self._below.draw(captured.get().splitlines())

    def stop(self) -> None:
        self._below.draw([])
        self._writer._file = self._below.file


class Below:
    """A terminal's file that can show lines below what is written to it, until more is written."""

    # Control sequences of ECMA-48 and the VT100.
    _ERASE = "\x1b[J"  # from the cursor to the end of the screen
    _DOWN = "\x1bD"  # a line down in the same column; at the bottom the screen scrolls
    _UP = "\x1b[{}A"
    _SAVE, _RESTORE = "\x1b7", "\x1b8"  # where the cursor is

    def __init__(self, file: TextIO):
        self.file = file
        self._lock = threading.Lock()
        self._drawn = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> int:
        with self._lock:
            erase = self._ERASE if self._drawn else ""
            self._drawn = False
            return self.file.write(erase + text)

    def draw(self, lines: list[str]) -> None:
        """Shows `lines`, each shorter than the terminal is wide, in the place of earlier ones."""
        lines = lines[: shutil.get_terminal_size().lines - 1]
        with self._lock:
            text = self._ERASE if self._drawn else ""
            if lines:
                text += self._DOWN * len(lines) + self._UP.format(len(lines)) + self._SAVE
                text += "".join(f"{self._DOWN}\r{line}" for line in lines) + self._RESTORE
            self._drawn = bool(lines)
            self.file.write(text)
            self.file.flush()


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
        parts = [f"{_short(state['name'])} {_told(state)}" for state in _under_way(states)]
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


def _short(name: str) -> str:
    """A case's node id as a bar has room for it: its exercise and row."""
    module, _, test = name.partition("::")
    number = Path(module).stem.removeprefix("test_").partition("_")[0]
    return f"{number}. {test.partition('[')[2].removesuffix(']')}"


def _under_way(states: list[State]) -> list[State]:
    return [state for state in states if state["epoch"] < state["epochs"]]


def _told(state: State) -> str:
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
