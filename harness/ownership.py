"""Folders that the suite owns. It never moves, replaces or deletes others.

A report folder carries a mark, and contains only files that the suite writes. All other files belong to
the user and stay where they are.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from model.atomic_file import write_text

from .paths import BENCHMARK, FIGURES, PHASES, SPEED, SPEED_SO_FAR, TIMES

MARK = ".minibatch-bench"
_TEXT = "A report folder of Minibatch bench, which moves and deletes folders with this file in them.\n"

_COMPARED = ("ab.json", "ab.md", "ab.svg", "bisect.json", "noise.json")
_FILES = (
    MARK,
    "summary.json",
    "summary.md",
    "results.csv",
    "results.parquet",
    "curves.csv",
    "report.html",
    "resumed.json",
    FIGURES,
    PHASES,
    "gate.json",
    BENCHMARK,
    *_COMPARED,
    SPEED,
    SPEED_SO_FAR,
    TIMES,
)
_FOLDERS = {
    "runs": ".json",
    "claims": ".json",
    "locks": ".lock",
    "progress": ".json",
    "figures": ".svg",
    "weights": ".safetensors",
}  # with the suffix of their files


class ForeignFilesError(OSError):
    """A folder contains something that the suite did not write; the message names it, in one line."""


def make(folder: Path) -> None:
    """Creates a report folder, or marks an empty one. Raises ForeignFilesError if it has other files."""
    if owns(folder):
        return
    if folder.exists() and any(folder.iterdir()):
        raise ForeignFilesError(
            f"{folder} contains other files; expected a new or empty folder, or an earlier report "
            f"(which has a file {MARK})"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(_TEXT)


def make_or_share(folder: Path) -> None:
    """Creates a report folder to add a file to; a folder with the user's files is left unmarked."""
    with suppress(ForeignFilesError):
        make(folder)


def has_run(folder: Path) -> bool:
    """Returns whether a report folder has a record, a claim or a summary of a run."""
    finished = (path for name in ("runs", "claims") for path in (folder / name).glob("*.json"))
    return (folder / "summary.json").exists() or any(finished)


def remove_if_unused(folder: Path) -> None:
    """Deletes a folder that a session created, if no result was added to it."""
    with suppress(OSError):
        names = {path.name for path in folder.iterdir()}
        no_files = all(not any((folder / name).iterdir()) for name in names & {*_FOLDERS})
        if owns(folder) and no_files and names <= {MARK, SPEED, TIMES, *_FOLDERS}:
            remove(folder)


def make_again(folder: Path) -> None:
    """Creates the report folder of a running session again, if it was removed."""
    if not owns(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if foreign_file(folder) is None:
            write_text(folder / MARK, _TEXT)


def owns(folder: Path) -> bool:
    """Returns whether the folder carries the mark."""
    try:
        # Reading a pipe would block.
        return (folder / MARK).is_file() and (folder / MARK).read_text() == _TEXT
    except (OSError, UnicodeDecodeError):
        return False


def remove(folder: Path) -> None:
    """Deletes an owned folder. Raises ForeignFilesError if it is not owned or has other files."""
    if folder.is_symlink() or not owns(folder):
        raise ForeignFilesError(f"{folder} is not a report of this suite; move it away")
    if found := foreign_file(folder):
        raise ForeignFilesError(
            f"{folder} contains {found.relative_to(folder)}, which is not part of a report; move it away"
        )
    shutil.rmtree(folder)


def clear(folder: Path) -> None:
    """Deletes a report's folder of locks or progress, but keeps files that the suite did not write."""
    with suppress(OSError):  # it is missing, or in use
        if not folder.is_symlink():
            for path in folder.iterdir():
                if _is_regular(path, _FOLDERS[folder.name]):
                    path.unlink()
            folder.rmdir()


def foreign_file(folder: Path) -> Path | None:
    """Returns the first file in a report folder that the suite did not write, or None."""
    for path in sorted(folder.iterdir()):
        name = _without_temporary(path.name)
        if path.is_symlink() or name not in (*_FILES, *_FOLDERS) or path.is_dir() != (name in _FOLDERS):
            return path
        if path.is_dir() and (found := first_without(_FOLDERS[name], path)):
            return found
    return None


def first_without(suffix: str, folder: Path) -> Path | None:
    """Returns the first entry of `folder` that is not a regular file with that suffix, or None."""
    return next((path for path in sorted(folder.iterdir()) if not _is_regular(path, suffix)), None)


def _is_regular(path: Path, suffix: str) -> bool:
    return path.is_file() and not path.is_symlink() and _without_temporary(path.name).endswith(suffix)


def _without_temporary(name: str) -> str:
    """Returns the final name of a temporary file that a killed process left; others unchanged."""
    found = re.fullmatch(r"\.(.+)-[a-z0-9_]{8}", name)
    return found[1] if found else name
