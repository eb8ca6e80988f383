"""Checks, before anything else, whether another interpreter can be a side of a comparison."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from model.values import one_line

from ..paths import expanded
from ..processes import environment, reason

_LEAST = (3, 11)
# The packages that every side imports with the exercises and `model`, before an engine is chosen.
_NEEDED = ("numpy", "torch", "pytest", "filelock")
_SECONDS = 300  # PyTorch's first import from a slow disk takes a minute
# Must run in any version of Python. The mark distinguishes its answer from other output.
_MARK = "minibatch-bench:"
_PROBE = f"""
import sys
found = []
if sys.version_info >= {_LEAST!r}:
    for name in {_NEEDED!r}:
        try:
            __import__(name)
        except BaseException:
            kind, error = sys.exc_info()[:2]
            found.append([name, kind.__name__ + ": " + (str(error).splitlines() or [""])[0]])
            break
import json
sys.stdout.write("\\n{_MARK}" + json.dumps([list(sys.version_info[:2]), found]) + "\\n")
"""


def checked_interpreter(given: Path, folder: Path) -> Path:
    """Returns the interpreter's absolute path. Raises ValueError if it cannot be a side."""
    try:
        # Links are not resolved: a virtual environment's link determines which packages it has.
        python = Path(os.path.abspath(expanded(given)))
    except ValueError as error:
        raise ValueError(f"--base-python is {error}") from None
    what = f"--base-python is {str(given)!r}"
    expected = "expected the path of a Python interpreter"
    try:
        if not os.path.lexists(python):
            raise ValueError(f"{what}, and there is no file {python}; {expected}")
        if not python.exists():
            raise ValueError(f"{what}, which is a broken link; {expected}")
        if python.is_dir():
            raise ValueError(f"{what}, which is a folder; {expected}")
        if not python.is_file():
            raise ValueError(f"{what}, which is not a regular file; {expected}")
    except OSError as error:
        raise ValueError(f"{what}, which cannot be read: {error.strerror}") from None
    if not os.access(python, os.X_OK):
        raise ValueError(f"{what}, which is not executable; {expected}")
    version, lacks = _ask(python, folder, what)
    if version < _LEAST:
        least = ".".join(map(str, _LEAST))
        raise ValueError(f"{what}, which is Python {version[0]}.{version[1]}; expected {least} or newer")
    if lacks:
        (name, why), *_ = lacks
        raise ValueError(f"{what}, which cannot import {name}: {why}")
    return python


def _ask(python: Path, folder: Path, what: str) -> tuple[tuple[int, int], list[tuple[str, str]]]:
    """Returns its version, and the packages that it cannot import, with their errors."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            ran = subprocess.run(
                [python, "-c", _PROBE],
                cwd=folder,
                env=environment(imports=folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
            )
        except OSError as error:
            raise ValueError(f"{what}, which cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise ValueError(f"{what}, which does not answer within {_SECONDS} s") from None
        output.seek(0)
        text = output.read(2**20)
    for line in text.splitlines():
        if line.startswith(_MARK):
            version, lacks = json.loads(line.removeprefix(_MARK))
            return (version[0], version[1]), lacks
    why = reason(text, status=ran.returncode) if text.strip() or ran.returncode else "it prints nothing"
    if ran.returncode < 0:
        why = f"killed by signal {-ran.returncode}"
    raise ValueError(f"{what}, which does not run Python code: {one_line(why)}")
