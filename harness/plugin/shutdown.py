"""Sessions that end early: SIGTERM works like Ctrl-C, and no worker outlives its session."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

_CHECK_SECONDS = 0.5  # between a worker's checks that its session is alive
_EXIT_SECONDS = 1  # that workers have to exit by themselves after Ctrl-C


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        threading.Thread(target=_exit_with_session, args=(os.getppid(),), daemon=True).start()
    elif threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, _interrupt)

        def restore() -> None:
            signal.signal(signal.SIGTERM, before)

        config.add_cleanup(restore)


def pytest_keyboard_interrupt() -> None:
    """Makes xdist kill workers that are in the middle of a training, which is lost in any case."""
    try:
        from xdist.workermanage import NodeManager
    except ImportError:
        return
    NodeManager.EXIT_TIMEOUT = _EXIT_SECONDS


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt("SIGTERM")


def _exit_with_session(parent: int) -> None:
    """Exits this worker once its session was killed; it would go on training and keep its lease."""
    while os.getppid() == parent:
        time.sleep(_CHECK_SECONDS)
    os._exit(1)
