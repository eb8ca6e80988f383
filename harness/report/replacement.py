"""Replaces files and folders together: either all of them or none."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path


def replace_all(staged: Sequence[tuple[Path, Path]]) -> None:
    """Moves new files and folders to their places, replacing earlier ones.

    Each pair is a new file or folder and its place, on the same file system. If one cannot be moved,
    those already moved are moved back, and the error is raised. Signals are held until all is done or
    undone.
    """
    earlier: dict[Path, Path] = {}
    undo: list[Callable[[], object]] = []
    try:
        for _, place in staged:
            if place.exists():
                earlier[place] = _spare(place)
        with _signals_held():
            try:
                for new, place in staged:
                    _move(new, place, earlier.get(place), undo)
            except BaseException:
                for each in reversed(undo):
                    each()
                raise
    except BaseException:
        # If moving back failed, too, a folder that is not empty is the only copy of the earlier one.
        for old in earlier.values():
            with suppress(OSError):
                old.rmdir() if old.is_dir() else old.unlink()
        raise
    for old in earlier.values():
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)


def stage(place: Path, text: str) -> Path:
    """Writes the text to a new file next to `place`, with the permissions of the file there."""
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        # mkstemp's files are readable only by their owner
        os.chmod(name, place.stat().st_mode & 0o777 if place.exists() else 0o644)
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _move(new: Path, place: Path, old: Path | None, undo: list[Callable[[], object]]) -> None:
    if old is not None and old.is_dir():
        place.rename(old)
        undo.append(partial(old.rename, place))
    if new.is_dir():
        new.rename(place)
        undo.append(partial(place.rename, new))
    else:
        new.replace(place)
        undo.append(partial(place.replace, new) if old is None else partial(old.replace, place))


def _spare(place: Path) -> Path:
    """Creates a copy of a file, or an empty folder to move a folder to, next to `place`."""
    if place.is_dir():
        return Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-"))
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    os.close(handle)
    try:
        shutil.copy2(place, name)
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Holds the signals that would end this process."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
