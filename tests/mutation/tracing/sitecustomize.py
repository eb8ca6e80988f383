"""Notes which lines of the project a process runs, if `start` is called or `MUTATION_LINES` is set.

Python imports a module of this name in each new interpreter whose path has it, so the processes that a
test starts are traced too; forks are traced as their parent is. Each line is appended once to the file
that `MUTATION_LINES` names, as "harness/stats.py:12", with a "!" before it if a module was being
imported. `MUTATION_ROOT` is the checkout.
"""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType
from typing import Any

PACKAGES = ("bench", "examples", "harness", "model")

_names: dict[str, str | None] = {}
_seen: set[str] = set()
_importing = 0


def start() -> None:
    """Starts to trace this thread, and those that it starts."""
    threading.settrace(_call)
    sys.settrace(_call)


def forget() -> None:
    """From here on, each line is noted again."""
    _seen.clear()


def _call(frame: FrameType, event: str, arg: object) -> Any:
    global _importing
    code = frame.f_code
    if code.co_filename not in _names:
        _names[code.co_filename] = _name(code.co_filename)
    if _names[code.co_filename] is None:
        return None
    if _is_import(frame):
        _importing += 1
    return _line


def _line(frame: FrameType, event: str, arg: object) -> Any:
    global _importing
    code = frame.f_code
    if event == "line":
        line = f"{'!' if _importing else ''}{_names[code.co_filename]}:{frame.f_lineno}"
        if line not in _seen:
            _seen.add(line)
            _append(line)
    elif event == "return" and _is_import(frame):
        _importing -= 1
    return _line


def _is_import(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__"


def _name(path: str) -> str | None:
    """Returns the path from the root of a file of the project, None for any other."""
    root = os.environ.get("MUTATION_ROOT", "") + os.sep
    name = path.removeprefix(root)
    return name if path.startswith(root) and name.partition(os.sep)[0] in PACKAGES else None


def _append(line: str) -> None:
    if path := os.environ.get("MUTATION_LINES"):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{line}\n".encode())
        os.close(file)


if "MUTATION_LINES" in os.environ:
    start()
