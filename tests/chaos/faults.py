"""The faults, each caused in a running session."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Fault = Callable[[int, Path], None]
"""Called with the session's process id and folder."""


def _signal(name: str, *, worker: bool) -> Fault:
    def fault(session: int, folder: Path) -> None:
        victim = random.choice(_children(session) or [session]) if worker else session
        with suppress(ProcessLookupError):
            os.kill(victim, getattr(signal, name))
            if name == "SIGSTOP":
                time.sleep(random.uniform(0.5, 3))
                os.kill(victim, signal.SIGCONT)

    return fault


def _children(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def _fill(session: int, folder: Path) -> None:
    """Fills the disk; use it only if `reports` is a separate, small one."""
    with suppress(OSError), (folder / "reports" / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _remove(session: int, folder: Path) -> None:
    shutil.rmtree((folder / "reports" / "latest").resolve(), ignore_errors=True)


def _set_back(session: int, folder: Path) -> None:
    (folder / "clock").touch()


DISK_IS_FULL = "the disk is full"
FAULTS: dict[str, Fault] = {
    **{
        f"{name}, {'a worker' if worker else 'the session'}": _signal(name, worker=worker)
        for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGSTOP")
        for worker in (False, True)
    },
    DISK_IS_FULL: _fill,
    "the report folder is removed": _remove,
    "the clock is set back a day": _set_back,
}


def mend(folder: Path) -> None:
    """Undoes a fault: frees the disk, and sets the clock right."""
    (folder / "reports" / "filler").unlink(missing_ok=True)
    (folder / "clock").unlink(missing_ok=True)
