"""The session's side of progress: a thread that reads the trainings' files and displays them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ... import atomic_json, ownership
from . import FOLDER
from .lines import Lines
from .messages import MESSAGE, print_message
from .state import Display, State
from .uncaptured import uncapture_threads

_READ_SECONDS = 0.5  # between two readings
_WATCH = pytest.StashKey["ProgressWatch"]()


def watch(config: pytest.Config, report_dir: Path, epochs: Mapping[str, int]) -> None:
    """Displays progress until `unwatch`; `epochs` has the epochs of every row to train, by case.

    Without such rows, or with -q, only messages are displayed.
    """
    ownership.clear(report_dir / FOLDER)  # left by a killed session
    uncapture_threads(config)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    display = _display(reporter, epochs) if epochs and config.option.verbose >= 0 else None
    config.stash[_WATCH] = ProgressWatch(report_dir / FOLDER, display, partial(print_message, config))
    config.add_cleanup(config.stash[_WATCH].stop)  # for a session that crashes before `unwatch`


def unwatch(config: pytest.Config, report_dir: Path) -> None:
    """Ends the display, and removes the files."""
    if _WATCH in config.stash:
        config.stash[_WATCH].stop()
    ownership.clear(report_dir / FOLDER)


def _display(reporter: pytest.TerminalReporter, epochs: Mapping[str, int]) -> Display:
    """Returns bars in a terminal, if rich is installed to draw them; else lines."""
    if reporter.isatty and os.environ.get("TERM", "dumb") != "dumb":
        with suppress(ImportError):
            from .bars import Bars

            return Bars(reporter, epochs)
    return Lines(reporter, epochs)


class ProgressWatch:
    """A thread that reads the files of `folder`: messages to pass on, and states to display."""

    def __init__(self, folder: Path, display: Display | None, pass_on: Callable[[str], None]):
        self._folder = folder
        self._display = display
        self._pass_on = pass_on
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and the display, once; passes on the messages that are left."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            self._read()
            if self._display:
                self._display.stop()

    def _run(self) -> None:
        while not self._stopped.wait(_READ_SECONDS):
            states = self._read()
            if self._display:
                self._display.update(states)

    def _read(self) -> list[State]:
        """Passes on the messages and removes their files; returns the states."""
        states = []
        for path in sorted(filter(Path.is_file, self._folder.glob("*.json"))):
            with suppress(OSError, ValueError):  # the folder may be removed meanwhile
                content = atomic_json.read_json(path)
                if MESSAGE in content:
                    path.unlink()
                    self._pass_on(content[MESSAGE])
                else:
                    states.append(content)
        return states
