"""Children that start others: their output, their group, and what becomes of them at Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest

from harness import processes
from harness.processes import as_ctrl_c, git, reason, run_whole, uninterrupted

CHILD = r"""
import os, sys
os.write(1, b"out\n")
os.write(2, b"err \xff\n")
print(os.getcwd(), sorted(os.environ), os.getpgid(0) == os.getpid(), repr(sys.stdin.read()))
sys.exit(3)
"""


def test_a_child_gets_its_folder_and_environment_and_nothing_to_read(tmp_path):
    status, output = run_whole([sys.executable, "-c", CHILD], tmp_path, {"LC_ALL": "C.UTF-8"})
    assert status == 3
    assert output.splitlines() == ["out", "err �", f"{tmp_path} ['LC_ALL'] True ''"]


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Makes `run_whole` be interrupted once its child has started another; returns how to run them."""

    def communicate(self):
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt("here")

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    script = "sleep 100 & echo $! > pid; mv pid started; wait"
    return lambda: run_whole(["sh", "-c", script], tmp_path, {**os.environ})


def test_an_interrupt_kills_the_whole_group(tmp_path, interrupted):
    with pytest.raises(KeyboardInterrupt, match="here"):
        interrupted()
    pid = int((tmp_path / "started").read_text())
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(10)


def test_a_second_interrupt_does_not_stop_the_killing(interrupted, monkeypatch):
    kill, handlers = os.killpg, []

    def killpg(*given):
        handlers.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
        kill(*given)
        raise ProcessLookupError  # it may have ended by itself

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(os, "killpg", killpg)
    with pytest.raises(KeyboardInterrupt, match="here"):
        interrupted()
    assert handlers == [signal.SIG_IGN, signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def handlers():
    """Python's own handlers, and those of now again afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    yield lambda: [signal.getsignal(number) for number in numbers]
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_is_like_ctrl_c(handlers):
    before = handlers()
    with as_ctrl_c():
        sigint, _, sighup = handlers()
        assert [sigint, sighup] == [before[0], before[2]], "Ctrl-C is one, and ignored ones stay ignored"
        with pytest.raises(KeyboardInterrupt, match=r"^SIGTERM$"):
            signal.raise_signal(signal.SIGTERM)
    assert handlers() == before


def test_nothing_interrupts(handlers):
    before = handlers()
    with uninterrupted():
        assert handlers() == [signal.SIG_IGN] * 3
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
    assert handlers() == before


def test_handlers_come_back_after_an_error(handlers):
    before = handlers()
    for protected in (as_ctrl_c, uninterrupted):
        with suppress(ZeroDivisionError), protected():
            raise ZeroDivisionError
        assert handlers() == before


def test_other_threads_leave_the_handlers_alone(handlers):
    found = []

    def protect():
        with as_ctrl_c(), uninterrupted():
            found.extend(handlers())

    before = handlers()
    thread = threading.Thread(target=protect)
    thread.start()
    thread.join()
    assert found == before


def test_gits_output_is_returned_without_the_last_line_break(tmp_path):
    assert git(tmp_path, "--version").startswith("git version")
    assert git(tmp_path, "config", "--get", "core.hooksPath") == os.devnull


@pytest.mark.parametrize(
    ("status", "line"),
    [(0, "it ended with status 0"), (1, "it ended with status 1"), (-9, "killed by signal 9")],
)
def test_without_output_the_status_is_the_reason(status, line):
    assert reason("", " \n", status=status) == line


def test_a_long_reason_is_shortened():
    assert reason("x" * 500, status=1) == "x" * 500
    assert reason("x" * 501, status=1) == "x" * 500 + "…"
    assert processes._MAX_REASON == 500
