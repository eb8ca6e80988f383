"""Processes that the suite starts: their environment, and why one failed, in a line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .paths import ROOT

# What `git rev-parse --local-env-vars` prints: a hook's git sets them, and a git that inherits them
# works on the hook's repository and index, whatever folder it is started in.
_GIT = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    )
)
# Windows has no SIGHUP.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_LONGEST = 500  # characters of a reason


def environment(*without: str, imports: Path | None = ROOT) -> dict[str, str]:
    """This process's environment for a child, less git's local variables and those named `without`.

    The child imports from the checkout `imports` (None: from nowhere but its own path), also where
    `PYTHONSAFEPATH` keeps the folder that it is started in off its path.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name not in _GIT and name not in without
    }
    if imports is not None:
        paths = [str(imports), *filter(None, [inherited.get("PYTHONPATH")])]
        inherited["PYTHONPATH"] = os.pathsep.join(paths)
    return inherited


def git(folder: Path, *arguments: str, timeout: float | None = None) -> str:
    """What `git ARGUMENTS` prints in `folder`, stripped. Raises ValueError, in a line, if it fails."""
    try:
        ran = subprocess.run(
            # A hook of the user's is not run for what the suite does behind the scenes.
            ["git", "-c", f"core.hooksPath={os.devnull}", *arguments],
            cwd=folder,
            env=environment(),
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
        )
    except FileNotFoundError:
        raise ValueError(
            "git is not in PATH" if folder.is_dir() else f"there is no folder {folder}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"git cannot be run: {error}") from None
    if ran.returncode:
        raise ValueError(f"git {arguments[0]}: {reason(ran.stderr, status=ran.returncode)}")
    return ran.stdout.strip()


def run_whole(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Runs a command that starts others; returns its status and all that they print.

    Where this process is interrupted, all of them are ended, and none goes on without it.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a group of its own, which can be ended as one
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:
            with uninterrupted(), suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt this process as Ctrl-C does, unless they are ignored (`nohup`)."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    with _handled(_ENDING[1:], interrupt):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end neither this process nor the children that it starts meanwhile."""
    with _handled(_ENDING, signal.SIG_IGN):
        yield


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def reason(*said: str, status: int) -> str:
    """Why a child ended with `status`, by what it `said`: the line that says it, in one line.

    Of pytest that is the line after its usage, the first error of a collection, or its "ERROR"; of
    Python the last line of a traceback; of git the one that begins with "fatal". Without any of them
    it is the last line; without a word, the status or the signal.
    """
    lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
    for pattern, place in _TELLING:
        if found := [match for line in lines if (match := pattern.fullmatch(line))]:
            return _shortened(found[place]["why"])
    if lines:
        return _shortened(lines[-1])
    return f"killed by signal {-status}" if status < 0 else f"it ended with status {status}"


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


_FIRST, _LAST = 0, -1
_TELLING = [
    (re.compile(pattern), place)
    for pattern, place in (
        (r"\S+(?: \S+){0,3}: error: (?P<why>.+)", _FIRST),  # argparse, after its usage
        (r"ERROR: (?!usage:)(?P<why>.+)", _FIRST),
        (r"INTERNALERROR> (?P<why>(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*)", _LAST),
        (r"E +(?P<why>(?:\w+\.)*\w*(?:Error|Exception)\b.*)", _FIRST),  # of a collection
        (r"(?:fatal|error): (?P<why>.+)", _FIRST),  # git
        (r"(?P<why>(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt)(?:: .*)?)", _LAST),  # a traceback
    )
]
