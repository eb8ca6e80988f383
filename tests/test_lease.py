"""Leases keep trainings apart, pin them, and outlive nobody."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch

from harness.hardware import lease
from harness.hardware.lease import lease_cores, lease_gpu
from model.environment import available_cores

needs_two_cores = pytest.mark.skipif(len(available_cores()) < 2, reason="one core alone")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Locks of the test's own, so that it and a session on this machine leave each other alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield tmp_path
    monkeypatch.setattr("tempfile.tempdir", None)


def holder(code: str) -> subprocess.Popen:
    """A process that runs `code` with the leases at hand, and has said that it got so far."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from harness.hardware.lease import *\nimport time\n" + textwrap.dedent(code),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def wait_until_it_queues(process: subprocess.Popen) -> None:
    """Until the process, which holds no lease, waits for the turnstile or is in it."""
    while str(process.pid) not in Path("/proc/locks").read_text().split():
        assert process.poll() is None
        time.sleep(0.01)


HOLD_ALL = """
    with lease_cores(10**6):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_lease_pins_and_sets_threads_and_puts_both_back():
    cores, threads = available_cores(), torch.get_num_threads()
    started = threading.Event()
    ended = threading.Event()
    seen = []

    def other():
        started.set()
        ended.wait()
        seen.append(available_cores())

    thread = threading.Thread(target=other)
    thread.start()
    started.wait()
    with lease_cores(1):
        assert len(available_cores()) == 1
        assert torch.get_num_threads() == 1
        ended.set()
        thread.join()
    assert len(seen[0]) == 1, "a thread that ran already is pinned too"
    assert available_cores() == cores
    assert torch.get_num_threads() == threads


@needs_two_cores
def test_leases_of_some_cores_run_side_by_side_on_different_ones():
    process = holder(
        """
        with lease_cores(1):
            print("held", flush=True)
            print(*available_cores(), flush=True)
            time.sleep(60)
        """
    )
    theirs = int(process.stdout.readline())
    with lease_cores(1):
        assert available_cores() != [theirs]
    process.kill()
    process.wait()


def test_who_asks_for_held_cores_waits_until_they_are_free():
    process = holder(
        """
        with lease_cores(10**6):
            print("held", flush=True)
            time.sleep(1)
            print(time.monotonic(), flush=True)
        """
    )
    with lease_cores(1):
        got = time.monotonic()
    assert got >= float(process.stdout.readline())
    process.wait()


def test_a_killed_holder_delays_nobody():
    process = holder(HOLD_ALL)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = time.monotonic()
    with lease_cores(10**6):
        assert time.monotonic() - before < 5


def test_a_waiter_that_is_killed_in_the_turnstile_blocks_nobody():
    first = holder(HOLD_ALL)
    waiting = holder('print("held", flush=True)\n' + textwrap.dedent(HOLD_ALL))
    wait_until_it_queues(waiting)
    for process in (waiting, first):
        process.kill()
        process.wait()
    before = time.monotonic()
    with lease_cores(1):
        assert time.monotonic() - before < 5


def test_many_greedy_processes_all_get_through():
    """Each wants some or all cores, again and again; a deadlock would outlast the timeout."""
    code = """
        import random, os, sys
        from harness.hardware.lease import *
        random.seed(int(sys.argv[1]))
        for _ in range(15):
            with lease_cores(random.choice([1, 2, 10**6])):
                time.sleep(random.random() / 200)
    """
    code = "import time" + textwrap.dedent(code)
    processes = [subprocess.Popen([sys.executable, "-c", code, str(seed)]) for seed in range(4)]
    assert [process.wait(timeout=90) for process in processes] == [0] * 4


def test_who_has_waited_longer_comes_first(tmp_path):
    """Or chance could keep one session waiting for as long as another has rows left."""
    order = tmp_path / "order.txt"
    first = holder(HOLD_ALL)
    waiting = []
    for turn in range(6):
        waiting.append(
            holder(
                f"""
                print("held", flush=True)
                with lease_cores(10**6):
                    open({str(order)!r}, "a").write("{turn}")
                """
            )
        )
        wait_until_it_queues(waiting[-1])
    first.kill()
    for process in (first, *waiting):
        process.wait(30)
    assert order.read_text() == "012345"


def test_gpus_are_leased_one_to_a_training(monkeypatch):
    """Where there is no GPU, two are made up: the lease only asks for their identities."""

    class Properties:
        def __init__(self, device):
            self.uuid = f"uuid-of-{device.index}"

    monkeypatch.setattr(torch.cuda, "get_device_properties", Properties)
    gpus = [torch.device("cuda", 0), torch.device("cuda", 1)]
    with lease_gpu(gpus) as first, lease_gpu(gpus) as second:
        assert {first.index, second.index} == {0, 1}
        monkeypatch.setattr(lease.time, "sleep", lambda _: pytest.exit("waits, as it should"))
        with pytest.raises(pytest.exit.Exception, match="waits"), lease_gpu(gpus):
            pass
    with lease_gpu(gpus[1:]) as again:
        assert again == gpus[1]
