"""The session's side of progress: a thread that reads the trainings' files and displays them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from ... import atomic_json, ownership
from . import FOLDER
from .lines import Lines
from .state import Display

_READ_SECONDS = 0.5  # between two readings
_WATCH = pytest.StashKey["ProgressWatch"]()


def watch(config: pytest.Config, report_dir: Path, epochs: Mapping[str, int]) -> None:
    """Displays progress until `unwatch`; `epochs` has the epochs of every row to train, by case."""
    if config.option.verbose < 0 or not epochs:
        return
    ownership.clear(report_dir / FOLDER)  # left by a killed session
    reporter = config.pluginmanager.getplugin("terminalreporter")
    config.stash[_WATCH] = ProgressWatch(report_dir / FOLDER, _display(reporter, epochs))
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
    """A thread that reads the files of `folder` and passes them to `display`."""

    def __init__(self, folder: Path, display: Display):
        self._folder = folder
        self._display = display
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and the display, once."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            self._display.stop()

    def _run(self) -> None:
        while not self._stopped.wait(_READ_SECONDS):
            states = []
            for path in sorted(filter(Path.is_file, self._folder.glob("*.json"))):
                with suppress(OSError, ValueError):  # the folder may be removed meanwhile
                    states.append(atomic_json.read_json(path))
            self._display.update(states)
