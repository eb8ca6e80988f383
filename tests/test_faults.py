"""Faults, real ones if possible: the message is clear, and finished rows are kept."""

import hashlib
import os
import subprocess
import time

import pytest

from model.data import download
from model.data.download import FILES
from tests.processes import end


@pytest.fixture
def small_disk(suite):
    """A file system of 256 KiB for the suite's reports."""
    suite.report.parent.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", suite.report.parent], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield suite.report.parent
    subprocess.run(["umount", suite.report.parent], check=True)


def in_training(suite, code):
    """Runs `code` when exercise 1's training at 0.5 begins, until `suite.go()` is called."""
    suite.add(
        1,
        "import pathlib, shutil, time, torch, harness.plugin.fixtures\n"
        "fake = harness.plugin.fixtures.train_model\n"
        "def faulty(experiment, *args, **kwargs):\n"
        "    if experiment.learning_rate == 0.5 and not pathlib.Path('go').exists():\n"
        f"        {code}\n"
        "    return fake(experiment, *args, **kwargs)\n"
        "harness.plugin.fixtures.train_model = faulty\n",
    )


def ids(suite):
    return [record["id"].partition("lr")[2].rstrip("]") for record in suite.records()]


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_a_full_disk(suite, small_disk, workers):
    """Records written before are complete, and once there is room, --resume trains the other rows."""
    filler = small_disk / "filler"
    in_training(suite, f"os.system('head -c 1m /dev/zero > {filler} 2> /dev/null')")
    result = suite.run("-n", workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*.json could not be written: No space left on device"])
    result.stdout.fnmatch_lines(
        ["*The summary could not be written: *No space left*; continue with --resume."]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    kept = ids(suite)
    assert "0.5" not in kept[:3]
    filler.unlink()
    suite.go()
    suite.run("-n", workers, "--resume").assert_outcomes(passed=6)
    assert [case["resumed"] for case in suite.summary()["cases"]].count(True) == len(kept)


def test_a_read_only_report_folder_stops_the_session_before_anything_trains(suite, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    folder = line.removeprefix("ERROR: --report-dir is ").partition(",")[0]
    assert [line] == [f"ERROR: --report-dir is {folder}, which cannot be written: Read-only file system"]


@pytest.mark.parametrize(
    ("workers", "before", "kept"), [("0", 1, ["0.5", "1.0"]), ("2", 2, ["0.5"])], ids=["serial", "n2"]
)
def test_a_report_folder_that_is_removed_during_the_run(suite, workers, before, kept):
    """One row removes it after the others have finished; this is reported once."""
    finished = "len(list(pathlib.Path('reports/latest/locks').glob('test_1*.first.lock')))"
    removed = "shutil.rmtree(os.path.realpath('reports/latest'))"
    in_training(suite, f"while {finished} < {before}:\n            time.sleep(0.01)\n        {removed}")
    result = suite.run("-k", "test_1", "-n", workers, "--timing", "shared")
    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(
        ["*reports/* was removed while this session ran; its records so far are lost*"]
    )
    assert ids(suite) == kept
    assert [case["id"] for case in suite.summary()["cases"]] == [
        record["id"] for record in suite.records()
    ]
    suite.go()
    suite.run("-k", "test_1", "--timing", "shared", "--resume").assert_outcomes(passed=3)
    assert len(suite.cases()) == 3


def test_two_runs_at_once_in_one_checkout(suite):
    suite.hang()
    first = suite.start("-k", "test_1")
    try:
        suite.wait_until_it_hangs(others=1)
        ours = suite.report.resolve()
        second = suite.run("-k", "test_1", "--report-dir", str(ours), "--resume")
        assert second.ret == pytest.ExitCode.USAGE_ERROR
        second.stderr.fnmatch_lines(["ERROR: --report-dir is *, which another session is writing to;*"])
        third = suite.run("-k", "test_1 and lr0.25", "--timing", "shared")
        third.assert_outcomes(passed=1)
        assert suite.report.resolve() != ours
        assert len([*(ours / "runs").iterdir()]) == 1
    finally:
        end(first.pid)
        first.wait()


def test_a_data_file_truncated_between_two_runs(suite, monkeypatch):
    digests = {}
    raw = suite.path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name).write_bytes(name.encode() * 100)
        digests[name] = hashlib.md5((raw / name).read_bytes()).hexdigest()
    monkeypatch.setitem(download._UNPACKED_MD5, "mnist", digests)
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "    from model.data import mnist\n"
        "    harness.plugin.session.prepare = mnist.prepare\n"
    )
    suite.run("-k", "test_1").assert_outcomes(passed=3)
    before = suite.records()
    os.truncate(raw / FILES[0], 17)
    for args in ((), ("--resume", "-n", "2")):
        result = suite.run(*args)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {raw / FILES[0]} has the wrong digest: its MD5 is *"])
        assert suite.records() == before


def test_a_gpu_without_memory(suite):
    """Simulated with the error that PyTorch raises."""
    message = "CUDA out of memory. Tried to allocate 2 GiB.\\nSee the documentation"
    in_training(suite, f"raise torch.OutOfMemoryError('{message}')")
    result = suite.run("-k", "test_1")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["CUDA out of memory. Tried to allocate 2 GiB; reduce --replicates"])
    assert ids(suite) == ["0.25", "1.0"]


def test_a_clock_that_is_set_back(suite, monkeypatch):
    monkeypatch.setattr(time, "time", time.time)  # restored afterwards
    in_training(suite, "now = time.time; time.time = lambda: now() - 86400")
    suite.run("-k", "test_1").assert_outcomes(passed=3)
    assert [case["seconds"] for case in suite.summary()["cases"]] == [0.25, 0.5, 1.0]
    suite.run("-k", "test_1", "--resume").assert_outcomes(passed=3)
    assert all(case["resumed"] for case in suite.summary()["cases"])


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_another_plugins_error_at_the_end_costs_no_tables(suite, workers):
    """For example, if it cannot write its file."""
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef pytest_sessionfinish():\n    raise OSError('no room for it')\n"
    )
    result = suite.run("-k", "lr0.5", "-n", workers)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["Error at the end of the session: OSError: no room for it", "sgd-lr0.5 *"]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert len(suite.cases()) == 2
