"""Durations of tests, in JUnit files and `--durations`, without the time that they wait.

A test that trains may wait minutes for its cores or its GPU, or for a worker that trains its row.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from model.phases import seconds_in

_BEFORE = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    item.stash[_BEFORE] = seconds_in("waiting")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and _BEFORE in item.stash:
        report.duration = max(0.0, report.duration - (seconds_in("waiting") - item.stash[_BEFORE]))
    return report
