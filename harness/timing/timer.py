"""The clock that pytest-benchmark is given: it counts training alone.

The model's own stopwatch measures a training; what it measured is then counted here, and
pytest-benchmark reads this clock before and after.
"""

from __future__ import annotations

import pytest

_counted = 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Set here, before pytest-benchmark makes its session, and not in pytest.ini: options in
    # there are parsed before this package can be imported.
    config.option.benchmark_timer = "harness.timing.timer.now"


def now() -> float:
    """Training seconds counted so far in this process."""
    return _counted


def advance(training_seconds: float) -> None:
    """Moves the clock on by the seconds that a training took."""
    global _counted
    _counted += training_seconds
