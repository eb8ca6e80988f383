"""The durations of tests, without the time that each spent waiting."""

from types import SimpleNamespace

import pytest

from harness.timing import durations


@pytest.mark.parametrize(
    ("waited", "lasted", "duration"),
    [((0, 0), 5, 5), ((0, 3), 5, 2), ((7, 7), 5, 5), ((7, 9), 5, 3), ((7, 13), 5, 0)],
)
def test_time_spent_waiting_does_not_count(monkeypatch, waited, lasted, duration):
    """`waited`: how many seconds its process had waited in total, before the test and after it."""
    seconds = iter(waited)
    monkeypatch.setattr(durations, "seconds_in", lambda phase: next(seconds))
    item, report = SimpleNamespace(stash=pytest.Stash()), SimpleNamespace(duration=lasted)
    durations.pytest_runtest_call(item)
    assert made(item, "call", report).duration == duration


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_only_the_call_of_a_test_is_shortened(monkeypatch, when):
    monkeypatch.setattr(durations, "seconds_in", {"waiting": 3}.get)
    item = SimpleNamespace(stash=pytest.Stash())
    assert made(item, "call", SimpleNamespace(duration=5)).duration == 5  # it was skipped
    durations.pytest_runtest_call(item)
    monkeypatch.setattr(durations, "seconds_in", {"waiting": 4}.get)
    assert made(item, when, SimpleNamespace(duration=5)).duration == 5
    assert made(item, "call", SimpleNamespace(duration=5)).duration == 4


def made(item, when, report):
    """Returns the report as the hook leaves it."""
    hook = durations.pytest_runtest_makereport(item, SimpleNamespace(when=when))
    next(hook)
    with pytest.raises(StopIteration) as ended:
        hook.send(report)
    return ended.value.value
