"""Whether a Ray cluster answers at an address, found out in a process that can be given up on.

Ray's own client waits for two minutes, and then exits.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import suppress

from model.values import one_line

from ..processes import environment

_CONNECT_SECONDS = 5
ANSWER_SECONDS = 12
_MODE = "RAY_AUTH_MODE"
_SILENT = "does not answer; check the address, and `ray status` there"


class ClusterError(ValueError):
    """The cluster cannot be used; the message is one line."""


def reach(address: str) -> None:
    """Raises ClusterError unless a cluster answers at `address`: "auto" or HOST:PORT.

    If the cluster asks for a token, lets Ray use this user's; `ray start` asks for one by default.
    """
    if address != "auto" and not _can_connect(address):
        raise ClusterError(f"{address!r} {_SILENT}")
    output = _health(address)
    if "AuthenticationError" in output and _MODE not in os.environ:
        os.environ[_MODE] = "token"
        output = _health(address)
    if not output:
        return
    if "AuthenticationError" in output:
        why = "asks for another token; copy ~/.ray/auth_token from its head node"
    elif "Could not find any running Ray instance" in output:
        why = "finds no cluster on this machine; start one with `ray start --head`, or name HOST:PORT"
    elif "Timed out" in output or "ConnectionError" in output or "Failed to connect" in output:
        why = _SILENT
    else:
        why = f"cannot be used: {one_line(output.strip().splitlines()[-1])[:300]}"
    raise ClusterError(f"{address!r} {why}")


def _can_connect(address: str) -> bool:
    """Returns whether a process listens at HOST:PORT, which need not be Ray's.

    Raises ClusterError if `address` has another form.
    """
    found = re.fullmatch(r"([^:/\s]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", address)
    if not found or int(found[2]) > 65535:
        raise ClusterError(f"{address!r} is not an address; expected auto or HOST:PORT")
    with (
        suppress(OSError, UnicodeError),
        socket.create_connection((found[1].strip("[]"), int(found[2])), _CONNECT_SECONDS),
    ):
        return True
    return False


def _health(address: str) -> str:
    """Returns nothing if the cluster is healthy; otherwise the output of Ray's check."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    try:
        ran = subprocess.run(
            command + ([] if address == "auto" else ["--address", address]),
            env=environment(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ANSWER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "Timed out"
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr + f"\nstatus {ran.returncode}"
