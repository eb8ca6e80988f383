"""pytest-benchmark's timer: a clock that counts training alone.

The model's stopwatch measures a training, `advance` adds its seconds to this clock, and
pytest-benchmark reads the clock before and after.
"""

from __future__ import annotations

import pytest

_counted = 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Set before pytest-benchmark makes its session, not in pytest.ini, whose options are parsed before
    # this package can be imported.
    config.option.benchmark_timer = "harness.timing.timer.now"


def now() -> float:
    """Returns the training seconds counted so far in this process."""
    return _counted


def advance(training_seconds: float) -> None:
    """Advances the clock by the seconds that a training took."""
    global _counted
    _counted += training_seconds
