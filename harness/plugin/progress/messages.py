"""Messages while a session runs ("compiling ...", "waiting for ..."), each on a line of its own.

Only the session's controlling process knows whether pytest is in the middle of a line, and where bars
are drawn. So a worker writes its messages to the folder of progress files, from which the controlling
process prints them. Every message is printed once a session.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ... import atomic_json
from ...report.tables import encodable
from ...session_settings import SETTINGS
from . import FOLDER

MESSAGE = "message"
"""The key of a message in its file, which the files of trainings lack."""

_PRINTED = pytest.StashKey[set[str]]()


def print_message(config: pytest.Config, line: str) -> None:
    """Prints the message, or passes it to the controlling process."""
    if hasattr(config, "workerinput"):
        _pass_on(config.stash[SETTINGS].report_dir / FOLDER, line)
        return
    printed = config.stash.setdefault(_PRINTED, set())
    if line not in printed:
        printed.add(line)
        print_line(config.pluginmanager.getplugin("terminalreporter"), line)


def print_line(reporter: pytest.TerminalReporter, line: str) -> None:
    """Prints the line below pytest's current one, which continues on the next."""
    writer = reporter.config.get_terminal_writer()
    if reporter.verbosity > 0:
        reporter.ensure_newline()  # and prints the test's name again before its outcome
    start = "\n" if writer.width_of_current_line else ""
    # In one piece, as another thread may write as well.
    encoding = getattr(writer._file, "encoding", None) or "utf-8"
    writer.write(f"{start}{encodable(line, encoding)}\n", flush=True)


class Messages(io.TextIOBase):
    """A text file whose lines are messages, in place of standard error."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, lines):
            print_message(self._config, line)
        return len(text)


def _pass_on(folder: Path, line: str) -> None:
    with suppress(OSError):  # then there is no place for the training's record either
        folder.mkdir(exist_ok=True)
        name = f"{time.time_ns()}-{os.getpid()}.json"  # sorted by time
        atomic_json.write_json(folder / name, {MESSAGE: line})
