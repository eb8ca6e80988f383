"""Lock files that all processes of a user on a machine share, and their holders.

They are outside any checkout, in the user's runtime folder, which no other user can write to.
(platformdirs finds that folder, too, but on a system without one, its fallback depends on TMPDIR: two
sessions could each hold all cores.)
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

_NAME = "minibatch-bench"


class LockError(OSError):
    """A lock cannot be held; the message says why, in one line."""


@dataclass(frozen=True)
class Holder:
    """The session holding a lock, as shown to those waiting for it."""

    process: int
    command: str

    def __str__(self) -> str:
        return f"process {self.process} ({self.command[:200]})"


def lock_folder() -> Path:
    """Returns the folder of this user's lock files. Raises LockError if others have access to it."""
    folder = _runtime_folder()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise LockError(f"{folder} cannot hold locks: {error.strerror}") from None
    _check(folder, found, stat.S_ISDIR, "folder")
    if found.st_mode & 0o077 and fcntl:
        raise LockError(
            f"{folder} cannot hold locks: its mode is {stat.S_IMODE(found.st_mode):04o}, which gives "
            "others access; expected 0700"
        )
    return folder


def _runtime_folder() -> Path:
    if fcntl is None:
        return Path(os.environ.get("LOCALAPPDATA", Path.home()), _NAME)
    user = os.geteuid()
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"):
        # After `su`, root may still have the previous user's variable.
        if os.path.isabs(base) and os.path.isdir(base) and os.stat(base).st_uid == user:
            return Path(base, _NAME)
    return Path(f"/tmp/{_NAME}-{user}")


@contextmanager
def lock(path: Path, holder: Holder, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock file `path`, and writes its holder into it: "PROCESS COMMAND".

    Waiters get it first come, first served, by the system's own queue; polling could keep one waiting
    for as long as others have trainings left. Raises Timeout if it is held and `wait` is false, and
    LockError if it is not a file of this user's.
    """
    if fcntl is None:
        with FileLock(path, timeout=-1 if wait else 0):
            yield
        return
    try:
        # Does not wait for a pipe, and follows no link.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(path, flags, 0o600)
    except OSError as error:
        why = "it is a link" if path.is_symlink() else error.strerror
        raise LockError(f"{path} cannot be locked: {why}") from None
    try:
        _check(path, os.fstat(file), stat.S_ISREG, "regular file")
        try:
            # Released when the file is closed or the process dies.
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Timeout(str(path)) from None
        except OSError as error:
            raise LockError(f"{path} cannot be locked: {error.strerror}") from None
        with suppress(OSError):  # if the disk is full, the lock is held without a name
            os.ftruncate(file, 0)  # removes the name that a killed holder left
            os.pwrite(file, os.fsencode(f"{holder.process} {holder.command}\n"), 0)
        try:
            yield
        finally:
            os.ftruncate(file, 0)
    finally:
        os.close(file)


def holders(folder: Path, names: list[str]) -> list[Holder]:
    """Returns the holders of these locks, each once."""
    found = []
    for name in names:
        with suppress(OSError, ValueError):
            number, _, command = os.fsdecode((folder / f"{name}.lock").read_bytes()).partition(" ")
            os.kill(int(number), 0)  # raises if it has ended
            found.append(Holder(int(number), command.strip()))
    return [*dict.fromkeys(found)]


def _check(path: Path, found: os.stat_result, is_kind: Callable[[int], bool], kind: str) -> None:
    """Raises LockError if `found`, the status of `path`, is of another kind or another user."""
    if not is_kind(found.st_mode):
        raise LockError(f"{path} cannot be used for locks: it is not a {kind}")
    if fcntl and found.st_uid != os.geteuid():
        raise LockError(f"{path} cannot be used for locks: it belongs to the user {found.st_uid}")
