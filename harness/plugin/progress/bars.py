"""Progress in a terminal: bars that rich draws below pytest's output."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from typing import Any, TextIO

import pytest
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Column, Table

from ...exercise import short_name
from .state import Overall, State, format_state, unfinished


class Bars:
    """A bar for each unfinished training and one for all rows, below pytest's output.

    As pytest may be in the middle of a line, the bars are drawn below the cursor, which then returns to
    its place. They are erased before pytest writes again.
    """

    def __init__(self, reporter: pytest.TerminalReporter, epochs: Mapping[str, int]):
        self._overall = Overall(epochs)
        self._writer = reporter._tw
        self._below = LinesBelowCursor(self._writer._file)
        self._writer._file = self._below

    def update(self, states: list[State]) -> None:
        """Draws the bars again."""
        table = Table.grid(Column(no_wrap=True), Column(ratio=1), Column(no_wrap=True), padding=(0, 1))
        for state in unfinished(states):
            bar = ProgressBar(total=state["epochs"], completed=state["epoch"])
            table.add_row(short_name(state["name"]), bar, format_state(state))
        done, left = self._overall.progress(states)
        bar = ProgressBar(total=self._overall.total, completed=done)
        table.add_row("all rows", bar, ", ".join([f"{done} of {self._overall.total} epochs", *left]))
        # One column narrower than the terminal, which would wrap a full line.
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
        """Erases the bars."""
        self._below.draw([])
        self._writer._file = self._below.file


class LinesBelowCursor:
    """Wraps a terminal's file: shows lines below the cursor until more is written."""

    # Control sequences of ECMA-48 and the VT100.
    _ERASE = "\x1b[J"  # from the cursor to the end of the screen
    _DOWN = "\x1bD"  # a line down in the same column; at the bottom the screen scrolls
    _UP = "\x1b[{}A"
    _SAVE, _RESTORE = "\x1b7", "\x1b8"  # the cursor's position

    def __init__(self, file: TextIO):
        self.file = file
        self._lock = threading.Lock()
        self._drawn = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> int:
        """Erases the lines below the cursor and writes `text`."""
        with self._lock:
            erase = self._ERASE if self._drawn else ""
            self._drawn = False
            return self.file.write(erase + text)

    def draw(self, lines: list[str]) -> None:
        """Replaces the lines shown; each must be shorter than the terminal's width."""
        lines = lines[: shutil.get_terminal_size().lines - 1]
        with self._lock:
            text = self._ERASE if self._drawn else ""
            if lines:
                text += self._DOWN * len(lines) + self._UP.format(len(lines)) + self._SAVE
                text += "".join(f"{self._DOWN}\r{line}" for line in lines) + self._RESTORE
            self._drawn = bool(lines)
            self.file.write(text)
            self.file.flush()
