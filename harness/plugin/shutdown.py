"""Sessions that end early: SIGTERM and SIGHUP work like Ctrl-C, and no worker outlives its session."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator

import pytest

_CHECK_SECONDS = 0.5  # between a worker's checks that its session is alive
_END_SECONDS = 10  # for a session to write its report, during which it ignores more signals
_EXIT_SECONDS = 1  # for workers to exit by themselves after Ctrl-C
_PR_SET_PDEATHSIG = 1  # of prctl(2)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        _exit_with_session()
    elif threading.current_thread() is threading.main_thread():
        stopping = Stopping()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # A signal that is ignored, as under `nohup`, stays ignored.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                config.add_cleanup(_handle(number, stopping))


class Stopping:
    """Interrupts the session at the first signal, and ignores further ones for a few seconds.

    Pressing Ctrl-C again while the session writes its report would cost the tables. After these seconds,
    signals interrupt the session again, in case it hangs.
    """

    def __init__(self) -> None:
        self._first = -math.inf

    def __call__(self, number: int, frame: object) -> None:
        """The signals' handler."""
        if time.monotonic() - self._first > _END_SECONDS:
            self._first = time.monotonic()
            raise KeyboardInterrupt(signal.Signals(number).name)


def _handle(number: int, handler: Callable[[int, object], None]) -> Callable[[], None]:
    """Sets the signal's handler; returns a function that restores the previous one."""
    before = signal.signal(number, handler)

    def restore() -> None:
        signal.signal(number, before)

    return restore


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Reports an interrupt after the tests in one line; pytest would show a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        session.exitstatus = pytest.ExitCode.INTERRUPTED
        session.config.get_terminal_writer().line(
            "\ninterrupted while the report was written or shown; continue with --resume"
        )


def pytest_keyboard_interrupt() -> None:
    """Makes xdist kill workers in the middle of a training, which is lost in any case."""
    try:
        from xdist.workermanage import NodeManager
    except ImportError:
        return
    NodeManager.EXIT_TIMEOUT = _EXIT_SECONDS


def _exit_with_session() -> None:
    """Ends this worker when its session is killed; it would go on training and keep its lease.

    On Linux the kernel does so at once; elsewhere, or if the session has already ended, a thread does.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_CHECK_SECONDS)
    os._exit(1)
