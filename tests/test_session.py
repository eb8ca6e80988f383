"""A session's report: its files, the rows that it lists as not run, and its folder."""

import pytest
import torch
from filelock import FileLock

from harness import ownership
from harness.files import sealed
from harness.files.summary import Summary
from model.environment import available_cores, device_name
from tests import reports


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "n2"])
def test_the_report(suite, workers):
    result = suite.run("--replicates", "2", *workers)
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "Exercise 1: fake (1 epoch; paper: Table 1, after 2 epochs)",
            "sgd-lr0.25 *0.9505 ± 0.0064 *0.500 *0.250 *100 *1 ± 0 *",
            "Engine: eager on cpu.",
        ]
    )
    summary = suite.summary()
    assert summary["schema"] == 3
    assert (summary["scale"], summary["dataset"], summary["timing"]) == ("quick", "mnist", "exclusive")
    assert summary["machine"].keys() >= {"device", "device_name", "cores", "torch", "cuda", "python"}
    assert [case["id"] for case in summary["cases"]] == [
        f"bench/test_{number}_fake.py::test_training[sgd-lr{rate}]"
        for number in (1, 2)
        for rate in (0.25, 0.5, 1.0)
    ]
    case = summary["cases"][0]
    assert case["experiment"] == {
        "optimizer": {"class": "SGD", "learning_rate": 0.25},
        "batch_size": 10,
        "epochs": 1,
        "order": "shuffled",
        "init": "default",
        "dataset": "mnist",
        "network": {"sizes": [784, 300, 100, 10], "activations": ["relu", "sigmoid"]},
        "schedule": None,
    }
    assert (case["seeds"], case["seconds"]) == ([0, 1], 0.25)
    assert case["test_accuracy"] == pytest.approx([0.95, 0.951])
    assert case["paper"] == {"test_accuracy": 0.5, "seconds": 100, "remark": ""}
    assert "| sgd-lr0.25 |" in (suite.report / "summary.md").read_text()
    record = suite.record("test_1_fake.sgd-lr0.25")
    assert record["test_accuracy"][0] == [0.1, 0.1]
    assert case["time_to_accuracy"]["0.95"] == {
        "epochs": [1, 1],
        "steps": [1, 1],
        "seconds": [0.25, 0.25],
    }
    written = sorted(path.name for path in suite.report.iterdir())
    assert written == [
        ".minibatch-bench",
        "claims",
        "curves.csv",
        "phases.json",
        "results.csv",
        "results.parquet",
        "runs",
        "summary.json",
        "summary.md",
    ]


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (("-k", "test_1 and lr0.5"), ["Did not run: sgd-lr0.25, sgd-lr1.0."]),
        (("-k", "lr0.5", "-n", "2"), ["Did not run: sgd-lr0.25, sgd-lr1.0."] * 2),
    ],
    ids=["one row", "n2"],
)
def test_rows_that_did_not_run_are_listed(suite, args, lines):
    suite.run(*args).stdout.fnmatch_lines(lines)


def test_no_report_is_touched_if_no_exercise_is_tested(suite):
    suite.run().assert_outcomes(passed=6)
    before = suite.summary()
    assert suite.run("-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert suite.run("--collect-only", "-n", "0").ret == pytest.ExitCode.OK
    assert suite.summary() == before
    assert len([*suite.report.parent.iterdir()]) == 2, "the run and the link to it"


def test_comparisons_train_missing_rows_and_no_row_twice(suite):
    suite.add(
        1,
        "import pathlib, harness.plugin.fixtures\n"
        "fake = harness.plugin.fixtures.train_model\n"
        "def counted(experiment, *args, **kwargs):\n"
        "    with open('trained.txt', 'a') as file:\n"
        "        file.write(f'{experiment.learning_rate}\\n')\n"
        "    return fake(experiment, *args, **kwargs)\n"
        "harness.plugin.fixtures.train_model = counted\n"
        "def test_comparison(trained):\n"
        "    assert trained('sgd-lr0.25').seconds < trained('sgd-lr1.0').seconds\n",
    )
    trained = suite.path / "trained.txt"
    suite.run("-k", "comparison").assert_outcomes(passed=1)
    assert sorted(trained.read_text().split()) == ["0.25", "1.0"]
    assert len(suite.cases()) == 2
    trained.unlink()
    suite.run("-n", "2", "-k", "test_1").assert_outcomes(passed=4)
    assert sorted(trained.read_text().split()) == ["0.25", "0.5", "1.0"]


def test_a_terminal_without_unicode_gets_tables_line_by_line(suite, monkeypatch):
    """In a separate process, as this one's output is pytest's."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = suite.run_apart("-k", "test_1", "--replicates", "2", "--timing", "shared")
    result.stdout.fnmatch_lines(
        ["sgd-lr0.25 *0.9505 +- 0.0064 *", "*-: not published, or not reached.*"]
    )
    assert "\\n" not in result.stdout.str()


def test_a_command_is_recorded_in_printable_characters(suite):
    suite.run("-k", "lr0.5", "-o", "junit_suite_name=\x1b[31m").assert_outcomes(passed=2)
    assert "\\x1b[31m" in sealed.read_model(suite.report / "summary.json", Summary).command


def test_shared_times_are_marked(suite):
    result = suite.run("--timing", "shared", "-k", "lr0.5")
    result.stdout.fnmatch_lines(["*SHARED*"])
    assert suite.summary()["timing"] == "shared"
    assert {case["timing"] for case in suite.summary()["cases"]} == {"shared"}


@pytest.mark.parametrize(
    ("args", "cores"),
    [
        (("-k", "test_1 and lr0.25"), 1),  # of single examples
        (("-k", "test_1 and lr0.25", "--replicates", "2"), 2),
        (("-k", "test_1 and lr0.5"), 10**6),
        (("-k", "test_1 and lr0.5", "--timing", "shared"), 0),
    ],
    ids=["online", "two replicates", "batches", "shared"],
)
def test_a_training_leases_the_cores_that_its_engine_uses(suite, args, cores):
    suite.add(
        1,
        """
from dataclasses import replace

sized = zip(EXERCISE.rows, (1, 100, 10), strict=True)
rows = [replace(row, settings={**row.settings, "batch_size": size}) for row, size in sized]
EXERCISE = replace(EXERCISE, rows=tuple(rows))

import harness.plugin.fixtures
from filelock import FileLock, Timeout
from harness.hardware.lock_file import lock_folder

fake = harness.plugin.fixtures.train_model

def looking(*args, **kwargs):
    leased = 0
    for path in lock_folder().glob("core-*.lock"):
        try:
            FileLock(path, timeout=0).acquire().lock.release()
        except Timeout:
            leased += 1
    with open("leased.txt", "a") as file:
        file.write(f"{leased} ")
    return fake(*args, **kwargs)

harness.plugin.fixtures.train_model = looking
""",
    )
    suite.run("--device", "cpu", "--engine", "numba", *args).assert_outcomes(passed=1)
    expected = min(cores, len(available_cores()))
    assert (suite.path / "leased.txt").read_text() == f"{expected} "


def test_a_folder_that_is_not_a_report_is_refused(suite):
    (suite.path / "mine").mkdir()
    (suite.path / "mine" / "thesis.txt").write_text("irreplaceable")
    result = suite.run("--report-dir", "mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --report-dir is *mine, but * contains other files; expected a new or empty folder*"]
    )
    assert (suite.path / "mine" / "thesis.txt").exists()


def test_a_folder_in_use_by_another_session_is_refused(suite):
    theirs = suite.path / "theirs"
    ownership.make(theirs)
    (theirs / "locks").mkdir()
    with FileLock(theirs / "locks" / "session.lock"):
        result = suite.run("-n", "2", "--report-dir", "theirs")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --report-dir is *theirs, which another session is writing to; name another folder"]
    )
    assert (theirs / "locks" / "session.lock").exists()


def test_invalid_data_stop_the_session_before_anything_trains(suite):
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\n    from model.data.download import DataError"
        + "\n    def missing(*_):\n        raise DataError('the file is not what it should be')"
        + "\n    harness.plugin.session.prepare = missing\n"
    )
    for workers in ("0", "2"):
        result = suite.run("-n", workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: the file is not what it should be"])
        assert not suite.report.exists()


def test_an_engine_that_cannot_run_a_row_fails_it_in_one_line(suite):
    result = suite.run("--engine", "cuda-graph", "--device", "cpu", "-k", "test_1 and lr0.5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*FAILURES*",
            "*",
            "engine cuda-graph cannot run this experiment: it runs on a GPU, not on cpu",
            "*===*",
        ],
        consecutive=True,
    )


def test_a_worker_killed_while_training_loses_only_its_case_and_delays_no_other(suite):
    suite.add(
        1,
        "import signal, harness.plugin.fixtures\n"
        "fake = harness.plugin.fixtures.train_model\n"
        "def killed(experiment, *args, **kwargs):\n"
        "    if experiment.learning_rate == 0.5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)  # it holds the lease of its cores now\n"
        "    return fake(experiment, *args, **kwargs)\n"
        "harness.plugin.fixtures.train_model = killed\n",
    )
    result = suite.run("-n", "2", "-k", "test_1")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*crashed while running*sgd-lr0.5*", "Did not run: sgd-lr0.5."])
    assert [case.partition("lr")[2] for case in suite.cases()] == ["0.25]", "1.0]"]


def test_a_worker_that_replaces_a_killed_one_continues_with_its_rows(suite):
    """Its collection does not stop the session, although a test has failed already."""
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
import pathlib, time

def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.name != "test_crash")

def pytest_collection_finish(session):
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") not in ("gw0", "gw1"):
        pathlib.Path("replaced").touch()
"""
    )
    suite.add(
        1,
        """
import pathlib, time, harness.plugin.fixtures
fake = harness.plugin.fixtures.train_model

def waiting(*args, **kwargs):
    for _ in range(600):
        if pathlib.Path("replaced").exists():
            break
        time.sleep(0.1)
    time.sleep(0.3)  # time for the controller to react
    return fake(*args, **kwargs)

harness.plugin.fixtures.train_model = waiting

def test_crash():
    os._exit(1)
""",
    )
    result = suite.run("-n", "2", "--timing", "shared", "-k", "test_1")
    result.assert_outcomes(passed=3, failed=1)
    assert (suite.path / "replaced").exists()
    assert len(suite.cases()) == 3


@pytest.mark.parametrize(("machine", "shown"), [(None, True), ("another CPU", False)])
def test_the_duration_of_a_run_is_predicted_before_it_starts(suite, machine, shown):
    """3 rows of 12,000 steps of two replicates, of which one takes 100 microseconds: 7.2 s."""
    speed = reports.speed()
    speed["machine"]["device_name"] = machine or device_name(torch.device("cpu"))
    row = {**speed["rows"][0], "engine": "numba", "us_per_step": 100.0}
    speed["rows"] = [{**row, "batch_size": size} for size in (10, 1)]
    ownership.make(suite.report)
    sealed.write_content(suite.report / "speed.json", speed)
    result = suite.run("-k", "test_1", "--device", "cpu", "--replicates", "2", "--scale", "paper")
    line = "3 rows to train, predicted from speed.json to take about 7 s, plus evaluation"
    assert (line in result.outlines) == shown
    assert (suite.report / "speed.json").exists()
