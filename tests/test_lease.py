"""Leases keep trainings apart, pin them, and end with their processes."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from filelock import Timeout

from harness.hardware import lease, lock_file
from harness.hardware.lease import lease_cores, lease_gpu
from harness.hardware.lock_file import Holder, LockError
from model.environment import available_cores

needs_two_cores = pytest.mark.skipif(len(available_cores()) < 2, reason="needs two cores")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Separate locks, so that the test and the user's sessions do not wait for each other."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "minibatch-bench"


def holder(code: str) -> subprocess.Popen:
    """Starts a process that runs `code` with the leases imported, and waits until it prints "held"."""
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
    """Waits until the process, which holds no lease, waits for the turnstile or holds it."""
    while str(process.pid) not in Path("/proc/locks").read_text().split():
        assert process.poll() is None
        time.sleep(0.01)


HOLD_ALL = """
    with lease_cores(10**6):
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_a_lease_pins_and_sets_threads_and_restores_both(three_threads):
    cores = available_cores()
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
    assert len(seen[0]) == 1, "a thread that is already running is pinned, too"
    assert available_cores() == cores
    assert torch.get_num_threads() == 3


@needs_two_cores
def test_leases_of_some_cores_hold_different_ones():
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


def test_a_lease_of_held_cores_waits_until_they_are_free():
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


def test_a_killed_holder_delays_no_other():
    process = holder(HOLD_ALL)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = time.monotonic()
    with lease_cores(10**6):
        assert time.monotonic() - before < 5


def test_a_waiter_killed_in_the_turnstile_blocks_no_other():
    first = holder(HOLD_ALL)
    waiting = holder('print("held", flush=True)\n' + textwrap.dedent(HOLD_ALL))
    wait_until_it_queues(waiting)
    for process in (waiting, first):
        process.kill()
        process.wait()
    before = time.monotonic()
    with lease_cores(1):
        assert time.monotonic() - before < 5


def test_many_competing_processes_all_finish():
    """Each leases some or all cores repeatedly; a deadlock would outlast the timeout."""
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


def test_waiters_are_served_in_order(tmp_path):
    """Otherwise a session could by chance wait for as long as another one has rows left."""
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


def test_a_waiter_reports_the_resource_and_its_holder(monkeypatch):
    process = holder(HOLD_ALL)
    said = []
    waiting, ended = threading.Event(), threading.Event()

    def tell(line, by_others):
        said.append((line, by_others))
        (waiting if line else ended).set()
        process.kill()

    monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 0.05)
    with lease_cores(10**6, lease.Applicant(Holder(os.getpid(), "pytest bench/"), tell)):
        assert waiting.is_set()
        assert ended.is_set()
        held = [path.read_text() for path in lock_file.lock_folder().glob("core-*")]
        assert held == [f"{os.getpid()} pytest bench/\n"] * len(available_cores())
    process.wait()
    (first, by_others), last = said
    assert re.fullmatch(rf"waiting for .* cores?, held by process {process.pid} \(-c.*\)", first)
    assert by_others
    assert last == ("", False)
    assert not any(path.read_text() for path in lock_file.lock_folder().glob("core-*"))


def test_rows_waiting_for_each_other_report_no_other_session(monkeypatch):
    """They wait for each other in every session under `-n`."""
    session = Holder(os.getpid(), "pytest bench/ -n 2")
    said, ended = [], threading.Event()

    def hold():
        with lease.hold_cores(10**6, lease.Applicant(session)):
            held.set()
            ended.wait()

    def tell(*what):
        said.append(what)
        ended.set()

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 0.05)
    with lease.hold_cores(1, lease.Applicant(session, tell)):
        pass
    thread.join()
    (line, by_others), _ = said
    assert line.endswith(", held by other rows of this session")
    assert not by_others


def test_waiting_for_another_session_is_reported_on_stderr(capsys):
    lease.Applicant().tell("waiting", False)
    lease.Applicant().tell("waiting for them", True)
    assert capsys.readouterr() == ("", "waiting for them\n")


def test_a_holder_is_shown_with_200_characters_of_its_command():
    assert str(Holder(7, "x" * 201)) == f"process 7 ({'x' * 200})"


def test_holders_are_the_running_processes_named_in_locks(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name, process in (("a", os.getpid()), ("b", ended.pid), ("c", "none"), ("d", os.getpid())):
        (tmp_path / f"{name}.lock").write_text(f"{process} pytest bench/\n")
    found = lock_file.holders(tmp_path, ["a", "b", "c", "d", "none"])
    assert found == [Holder(os.getpid(), "pytest bench/")]


def test_a_lock_is_private_and_names_its_holder(tmp_path):
    path = tmp_path / "a.lock"
    with lock_file.lock(path, Holder(1, "before")):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("2 the name that a killed holder left")
    with lock_file.lock(path, Holder(3, "me")):
        assert path.read_text() == "3 me\n"
    assert path.read_text() == ""


def test_on_a_full_disk_a_lock_is_held_without_a_name(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    path = tmp_path / "a.lock"
    mine, yours = (
        lock_file.lock(path, Holder(1, "me")),
        lock_file.lock(path, Holder(2, "you"), wait=False),
    )
    with mine, pytest.raises(Timeout), yours:
        pass


def test_a_system_without_locks_is_reported(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_file.fcntl, "flock", none)
    lock = lock_file.lock(tmp_path / "a.lock", Holder(1, "me"))
    with pytest.raises(LockError, match=r"a\.lock cannot be locked: No locks available$"), lock:
        pass


def test_windows_uses_filelock(tmp_path, monkeypatch):
    """Simulated on other systems."""
    asked = []

    @contextmanager
    def lock(path, timeout):
        asked.append((path.name, timeout))
        yield
        asked.append("released")

    monkeypatch.setattr(lock_file, "fcntl", None)
    monkeypatch.setattr(lock_file, "FileLock", lock)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert lock_file.lock_folder() == tmp_path / "minibatch-bench"
    me = Holder(1, "me")
    with lock_file.lock(Path("a.lock"), me), lock_file.lock(Path("b.lock"), me, wait=False):
        pass
    assert asked == [("a.lock", -1), ("b.lock", 0), "released", "released"]


@pytest.mark.parametrize("mode", [0o701, 0o702, 0o704, 0o710])
def test_a_lock_folder_open_to_others_is_refused(folder, mode):
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(
        LockError, match=f"its mode is {mode:04o}, which gives others access; expected 0700"
    ):
        lock_file.lock_folder()


def test_a_lease_without_waiting_reports_nothing():
    with lease_cores(1, lease.Applicant(tell=lambda *_: pytest.fail("it reported a wait"))):
        pass


def test_waiting_for_the_turnstile_is_reported_in_the_same_way(monkeypatch, folder):
    """Another process waits already for the holder of the cores."""
    first = holder(HOLD_ALL)
    second = holder('print("held", flush=True)\n' + textwrap.dedent(HOLD_ALL))
    wait_until_it_queues(second)
    said = []

    def tell(line, by_others):
        said.append(line)
        for process in (second, first):
            process.kill()

    monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 0.05)
    with lease_cores(1, lease.Applicant(tell=tell)):
        pass
    assert f"held by process {first.pid} (" in said[0]
    for process in (first, second):
        process.wait()


def test_the_lock_folder_does_not_depend_on_tmpdir(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    found = set()
    for name in ("a", "b"):
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))
        monkeypatch.setattr("tempfile.tempdir", None)
        found.add(lock_file._runtime_folder())
    assert len(found) == 1


def test_the_runtime_folder_of_another_user_is_not_used(monkeypatch, tmp_path):
    """After `su`, the variable still names it."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert lock_file._runtime_folder() == Path("/tmp/minibatch-bench-54321")


def put(kind, path):
    """Puts something of that kind in the place of a folder or a lock."""
    if kind == "link":
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.touch()
    else:
        path.mkdir(mode=0o777)
        path.chmod(0o777)


@pytest.mark.parametrize("kind", ["link", "pipe", "file", "open to others", "another user's"])
def test_a_lock_folder_that_is_not_the_users_own_is_refused(folder, monkeypatch, kind):
    put(kind, folder)
    if kind == "another user's":
        folder.chmod(0o700)
        real = Path.lstat
        monkeypatch.setattr(Path, "lstat", lambda path: of_another_user(real(path)))
    with pytest.raises(LockError) as refused, lease_cores(1):
        pass
    (line,) = str(refused.value).splitlines()
    assert str(folder) in line
    assert not folder.with_name("elsewhere").exists()


def of_another_user(found):
    return os.stat_result([*found[:4], 54321, *found[5:]])


@pytest.mark.parametrize("name", ["turnstile.lock", f"core-{available_cores()[0]}.lock"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_something_else_in_the_place_of_a_lock_is_refused_without_waiting(folder, kind, name):
    put(kind, lock_file.lock_folder() / name)
    with pytest.raises(LockError) as refused, lease_cores(1):
        pass
    (line,) = str(refused.value).splitlines()
    assert str(folder / name) in line
    assert line.endswith({"link": "link", "pipe": "regular file", "folder": "directory"}[kind])
    assert not (folder / "elsewhere").exists()


def test_a_session_without_a_lock_folder_is_refused_before_anything_trains(suite):
    (suite.path / "runtime" / "minibatch-bench").touch()
    result = suite.run("-k", "lr0.5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *minibatch-bench cannot * lock*"])
    suite.run("-k", "lr0.5", "--timing", "shared").assert_outcomes(passed=2)


def test_each_training_leases_one_gpu(monkeypatch):
    """With two made-up GPUs, as the lease only needs their identities."""

    class Properties:
        def __init__(self, device):
            self.uuid = f"uuid-of-{device.index}"

    monkeypatch.setattr(torch.cuda, "get_device_properties", Properties)
    gpus = [torch.device("cuda", 0), torch.device("cuda", 1)]
    with lease_gpu(gpus) as first, lease_gpu(gpus) as second:
        assert {first.index, second.index} == {0, 1}
        monkeypatch.setattr(lease.time, "sleep", lambda _: pytest.exit("waits, as expected"))
        with pytest.raises(pytest.exit.Exception, match="waits"), lease_gpu(gpus):
            pass
    with lease_gpu(gpus[1:]) as again:
        assert again == gpus[1]
