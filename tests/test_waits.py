"""What a session says while it waits for hardware, and of whom."""

import threading

import pytest

from harness.hardware import lease
from harness.hardware.lease import Applicant
from harness.hardware.lock_file import Holder

OURS = Holder(10, "pytest bench/")
OTHER, THIRD = Holder(20, "pytest a/"), Holder(30, "pytest b/")


@pytest.fixture
def wait(monkeypatch, tmp_path):
    """Waits for two cores with these holders until it is told so; returns what was told."""

    def wait(*found):
        told, at_once = [], threading.Event()

        def holders(folder, names):
            assert (folder, names) == (tmp_path, ["core-0", "core-1"])
            return [*found]

        def tell(line, by_others):
            told.append((line, by_others))
            at_once.set()

        monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 0)
        monkeypatch.setattr(lease, "holders", holders)
        with lease._reported("2 cores", ["core-0", "core-1"], tmp_path, Applicant(OURS, tell)):
            assert at_once.wait(60)
        return told

    return wait


@pytest.mark.parametrize(
    ("found", "held_by", "by_others"),
    [
        ([], "an unknown process", True),
        ([OURS], "other rows of this session", False),
        ([OURS, OURS], "other rows of this session", False),
        ([OTHER], str(OTHER), True),
        ([OTHER, OURS], f"{OTHER}; other rows of this session", True),
        ([OTHER, THIRD], f"{OTHER}; {THIRD}", True),
    ],
)
def test_who_holds_it(wait, found, held_by, by_others):
    assert wait(*found) == [(f"waiting for 2 cores, held by {held_by}", by_others), ("", False)]


def test_a_short_wait_is_not_worth_a_line(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 3600)
    with lease._reported("2 cores", [], tmp_path, Applicant(OURS, lambda *line: told.append(line))):
        pass
    assert told == []


def test_a_failed_wait_is_not_told_later(monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 3600)
    before = {*threading.enumerate()}
    try:
        with lease._reported("2 cores", [], tmp_path, Applicant(OURS)):
            (timer,) = {*threading.enumerate()} - before
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        timer.join(60)
    assert not timer.is_alive()
