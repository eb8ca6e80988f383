"""Sessions that end early: SIGTERM is as good as Ctrl-C, and no worker outlives its session."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

_LOOK = 0.5  # seconds between a worker's looks at whether its session is still there
_PATIENCE = 1  # seconds that workers have to end by themselves after Ctrl-C


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        threading.Thread(target=_outlive_nobody, args=(os.getppid(),), daemon=True).start()
    elif threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, _interrupt)

        def restore() -> None:
            signal.signal(signal.SIGTERM, before)

        config.add_cleanup(restore)


def pytest_keyboard_interrupt() -> None:
    """Has xdist end workers that are in mid-training at once: that training is lost either way."""
    try:
        from xdist.workermanage import NodeManager
    except ImportError:
        return
    NodeManager.EXIT_TIMEOUT = _PATIENCE


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt("SIGTERM")


def _outlive_nobody(parent: int) -> None:
    """Ends this worker when its session was killed: it would train on, and keep its lease."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)
