"""Ctrl-C and SIGTERM during a training: the session ends soon, reports its finished rows, cleans up."""

import os
import signal
import time
from types import SimpleNamespace

import pytest

from harness.plugin import shutdown
from tests.processes import wait_for_the_end_of


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["Ctrl-C", "SIGTERM"],  # a terminal sends Ctrl-C to the workers as well
)
def test_an_interrupted_session(suite, number, whole_group, workers):
    suite.hang()
    session = suite.start("-k", "test_1", "-n", workers, "--timing", "shared")
    # All other rows that can finish do so: without workers, the last row follows the one that hangs.
    suite.wait_until_it_hangs(others=1 if workers == "0" else 2)
    finished = {record["id"] for record in suite.records()}
    (os.killpg if whole_group else os.kill)(session.pid, number)
    # In half of the time for which the training would hang.
    assert session.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
    wait_for_the_end_of(session.pid)
    output = (suite.path / "output.txt").read_text()
    assert "Traceback" not in output
    assert "Did not run: " in output
    assert {case["id"] for case in suite.summary()["cases"]} == finished
    assert not (suite.report / "locks").exists()
    suite.go()
    suite.run("-k", "test_1", "-n", workers, "--timing", "shared", "--resume").assert_outcomes(passed=3)


def test_a_busy_worker_ends_with_its_session(monkeypatch):
    """The kernel ends it, as its threads may be waiting for a core or for the interpreter's lock."""
    monkeypatch.setattr(shutdown.threading.Thread, "start", lambda thread: None)
    reading, writing = os.pipe()
    session = os.fork()
    if not session:
        if not os.fork():
            shutdown._exit_with_session()
            os.write(writing, b"ready")
        signal.pause()
    os.close(writing)
    assert os.read(reading, 5) == b"ready"
    os.kill(session, signal.SIGKILL)
    os.waitpid(session, 0)
    assert os.read(reading, 1) == b""  # no process has the other end any more
    os.close(reading)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_interrupts_except_under_nohup(ignored):
    cleanups = []
    config = SimpleNamespace(add_cleanup=cleanups.append)
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        shutdown.pytest_configure(config)
        handler = signal.getsignal(signal.SIGTERM)
        assert isinstance(handler, shutdown.Stopping)
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else handler)
        while cleanups:
            cleanups.pop()()
        assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@pytest.mark.parametrize("place", ["sessionfinish", "terminal_summary"])
def test_an_interrupt_after_the_tests_is_reported_in_one_line(suite, place):
    conftest = suite.path / "conftest.py"
    conftest.write_text(conftest.read_text() + f"\ndef pytest_{place}():\n    raise KeyboardInterrupt\n")
    result = suite.run("-k", "test_1")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["interrupted while the report was written or shown; continue with --resume"]
    )
    assert len(suite.records()) == 3


def test_only_the_first_of_several_signals_interrupts(monkeypatch):
    """Pressing Ctrl-C three times must not cost the tables; later signals count, in case it hangs."""
    now = [100.0]
    monkeypatch.setattr(shutdown.time, "monotonic", lambda: now[0])
    stopping = shutdown.Stopping()
    with pytest.raises(KeyboardInterrupt):
        stopping(signal.SIGINT, None)
    for later in (0, 0.5, 10):
        now[0] = 100.0 + later
        stopping(signal.SIGINT, None)
    now[0] = 110.1
    with pytest.raises(KeyboardInterrupt):
        stopping(signal.SIGTERM, None)


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_three_interrupts_within_half_a_second(suite, workers):
    suite.hang()
    session = suite.start("-k", "test_1", "-n", workers, "--timing", "shared")
    suite.wait_until_it_hangs(others=1 if workers == "0" else 2)
    for _ in range(3):
        os.killpg(session.pid, signal.SIGINT)
        time.sleep(0.15)
    assert session.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
    output = (suite.path / "output.txt").read_text()
    assert "Traceback" not in output
    assert "Did not run: " in output
