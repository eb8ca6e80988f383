"""What tests ask of the processes that they started."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def wait_for_the_end_of(group: int) -> None:
    """Fails where a process of the process group is still there after some seconds."""
    deadline = time.monotonic() + 10
    while alive := members(group):
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.05)


def members(group: int) -> list[str]:
    """The names of its processes; those that only wait to be reaped are none."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        if fields.split()[0] != "Z" and int(fields.split()[2]) == group:
            found.append(name)
    return found


def end(group: int) -> None:
    """Kills what is left of the process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
