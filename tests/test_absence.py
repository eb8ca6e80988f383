"""What a gate must not pass without a word: rows that are gone, other versions, files that cannot be."""

import json
import os
from xml.etree import ElementTree

import pytest

GATE = ("--benchmark-compare", "--accuracy-compare-fail", "1")
GONE = """
EXERCISE = Exercise(**{**vars(EXERCISE), "rows": EXERCISE.rows[1:]})

@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
"""


@pytest.fixture
def saved(suite):
    suite.run("--benchmark-autosave", "-p", "no:randomly").assert_outcomes(passed=6)
    return suite


def saved_runs(suite):
    return sorted((suite.path / ".benchmarks").rglob("*.json"))


def answer(suite):
    return json.loads((suite.report / "gate.json").read_text())


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_a_row_that_is_gone_fails_the_gate(saved, workers):
    saved.add(1, GONE)
    result = saved.run(*GATE, "-n", workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: failed*", "*sgd-lr0.25*: missing: 0001_* has this row, *"])
    assert [failure["verdict"] for failure in answer(saved)["failures"]] == ["missing"]


def test_an_exercise_that_is_gone_fails_the_gate(saved):
    saved.module(2).rename(saved.path / "old.py")
    result = saved.run(*GATE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [failure["verdict"] for failure in answer(saved)["failures"]] == ["missing"] * 3


def test_a_row_that_is_skipped_fails_the_gate(saved):
    saved.add(1, "pytestmark = pytest.mark.skip(reason='no GPU')")
    result = saved.run(*GATE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*: missing: *its test was skipped"])


@pytest.mark.parametrize(
    "args",
    [("-k", "lr0.5"), ("--deselect", "bench/test_1_fake.py"), ("--ignore", "bench/test_2_fake.py")],
    ids=["-k", "--deselect", "--ignore"],
)
@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_rows_that_were_left_out_are_a_note(saved, args, workers):
    result = saved.run(*GATE, *args, "-n", workers)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*gate: passed*", "In 0001_* but not timed now (*"])


def test_a_gate_that_fails_is_a_failure_for_junit(saved):
    saved.add(1, GONE)
    saved.run(*GATE, "--junitxml=junit.xml")
    (tests,) = ElementTree.parse(saved.path / "junit.xml").iter("testsuite")
    assert tests.get("failures") == "1"
    failed = [case for case in tests.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["gate"]
    assert "sgd-lr0.25" in failed[0].find("failure").text


def test_runs_of_another_pytorch_are_said(saved):
    (path,) = saved_runs(saved)
    content = json.loads(path.read_text())
    content["machine_info"]["suite"]["torch"] = "2.1.0"
    path.write_text(json.dumps(content))
    result = saved.run(*GATE)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["Compared with runs of PyTorch 2.1.0; this run has *"])
    assert answer(saved)["versions"]["torch"]["saved"] == "2.1.0"


@pytest.mark.parametrize("info", [None, [], {"suite": 1}, {"suite": {"torch": 3}}])
def test_a_machine_that_says_nothing_is_no_error(saved, info):
    (path,) = saved_runs(saved)
    content = json.loads(path.read_text())
    content["machine_info"] = info
    path.write_text(json.dumps(content))
    assert saved.run(*GATE).ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "name", ["0099", "../x", "a/b/c", "nowhere", "bench/", "bench/test_1_fake.py", "["]
)
@pytest.mark.parametrize("gate", [(), ("--accuracy-compare-fail", "1")], ids=["no gate", "gate"])
def test_a_saved_run_that_there_is_not_is_refused(saved, name, gate):
    reports = len([*saved.report.parent.iterdir()])
    result = saved._pytester.runpytest_inprocess(f"--benchmark-compare={name}", *gate)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert line.startswith(f"ERROR: --benchmark-compare is {name!r}, which matches no saved run in ")
    assert ("put the path first" in line) == name.startswith("bench")
    assert len([*saved.report.parent.iterdir()]) == reports


def test_saved_runs_elsewhere_of_another_machine_are_compared(suite, tmp_path_factory):
    """As in every CI: the storage is outside the checkout, and the kernel is another release."""
    folder = tmp_path_factory.mktemp("storage")
    storage = f"--benchmark-storage=file://{folder}"
    suite.run("--benchmark-autosave", storage)
    (path,) = folder.rglob("0001_*.json")
    content = json.loads(path.read_text())
    content["machine_info"]["release"] = "1.2.3"
    path.write_text(json.dumps(content))
    result = suite.run(storage, *GATE)
    assert result.ret == pytest.ExitCode.OK
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    "option",
    [
        "--benchmark-json=/nope/x.json",
        "--benchmark-json=.",
        "--benchmark-histogram=/dev/null/x",
        "--junitxml=/dev/null/x.xml",
        "--benchmark-save=a/b",
        "--benchmark-storage=elasticsearch+http://localhost/x",
        "--benchmark-storage=pytest.ini",
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_trains(suite, option):
    result = suite.run(option, "--benchmark-autosave")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert option.partition("=")[0] in result.stderr.str()
    assert not suite.report.exists()


def test_home_folders_of_pytest_benchmarks_options(suite, monkeypatch):
    (suite.path / "home").mkdir()
    monkeypatch.setenv("HOME", str(suite.path / "home"))
    suite.run(
        "-k", "lr0.5", "--benchmark-json=~/x.json", "--benchmark-autosave", "--benchmark-storage=~/s"
    )
    assert {"x.json", "s"} <= {*os.listdir(suite.path / "home")}
    assert not (suite.path / "~").exists()
