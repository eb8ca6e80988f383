"""Processes that the suite starts: their environment, and why one failed, in one line."""

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

# Listed by `git rev-parse --local-env-vars`. Git sets them for its hooks, and a git that inherits them
# works on the hook's repository and index, whichever folder it is started in.
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
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_MAX_REASON = 500  # characters


def environment(*without: str, imports: Path | None = ROOT) -> dict[str, str]:
    """Returns this process's environment for a child, without git's local variables and `without`.

    The child imports from the checkout `imports`, even if `PYTHONSAFEPATH` keeps its working folder off
    its path; with None, its path is not changed.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name not in _GIT and name not in without
    }
    if imports is not None:
        paths = [str(imports), *filter(None, [inherited.get("PYTHONPATH")])]
        inherited["PYTHONPATH"] = os.pathsep.join(paths)
    return inherited


def git(folder: Path, *arguments: str, timeout: float | None = None) -> str:
    """Returns the stripped output of `git ARGUMENTS` in `folder`.

    Raises ValueError, with one line, if it fails.
    """
    try:
        ran = subprocess.run(
            # The suite's own git commands do not run the user's hooks.
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
            "git is not in PATH" if folder.is_dir() else f"{folder} does not exist"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"git cannot be run: {error}") from None
    if ran.returncode:
        raise ValueError(f"git {arguments[0]}: {reason(ran.stderr, status=ran.returncode)}")
    return ran.stdout.strip()


def run_whole(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Runs a command that starts other processes; returns its exit status and their whole output.

    If this process is interrupted, all of them are killed.
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
        start_new_session=True,  # a process group that can be killed as a whole
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            with uninterrupted(), suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP interrupt this process like Ctrl-C, unless they are ignored (`nohup`)."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    with _handled(_SIGNALS[1:], interrupt):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Protects this process, and children that it starts meanwhile, from Ctrl-C, SIGTERM and SIGHUP."""
    with _handled(_SIGNALS, signal.SIG_IGN):
        yield


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def reason(*outputs: str, status: int) -> str:
    """Returns the line of a child's `outputs` that explains why it ended with `status`.

    For pytest, that is the line after its usage, the first collection error, or its "ERROR"; for Python,
    the last line of a traceback; for git, the line that begins with "fatal". If there is none, it is the
    last line; without any output, the status or the signal.
    """
    lines = [line.strip() for text in outputs for line in text.splitlines() if line.strip()]
    for pattern, place in _REASONS:
        if found := [match for line in lines if (match := pattern.fullmatch(line))]:
            return _shortened(found[place]["why"])
    if lines:
        return _shortened(lines[-1])
    return f"killed by signal {-status}" if status < 0 else f"it ended with status {status}"


def _shortened(line: str) -> str:
    return line if len(line) <= _MAX_REASON else f"{line[:_MAX_REASON]}…"


_FIRST, _LAST = 0, -1
_REASONS = [
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
