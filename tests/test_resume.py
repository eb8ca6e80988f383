"""--resume keeps the finished rows of an interrupted session, and trains the others."""

import json

import pytest

from harness import ownership
from harness.exercise import Published
from harness.files.record import TrainingRecord
from harness.results.records import to_record
from harness.results.report_folder import ReportFolder
from harness.results.store import Store
from model.environment import code_digest
from model.experiment import Experiment
from model.optimizers import SGD
from tests.data import made_up_training
from tests.processes import wait_for_the_end_of
from tests.reports import RUN


@pytest.fixture
def killed(suite):
    """A suite whose session was killed in the middle of exercise 1."""
    suite.hang()
    session = suite.start("-k", "test_1", "--benchmark-autosave")
    suite.wait_until_it_hangs(others=1)
    session.kill()
    session.wait()
    suite.go()
    assert suite.trained() == ["0.25", "0.5"]
    return suite


def test_after_a_kill_only_missing_rows_are_trained(killed):
    (before,) = killed.records()
    assert before["id"] == "bench/test_1_fake.py::test_training[sgd-lr0.25]"
    result = killed.run("-k", "test_1", "--resume", "--benchmark-json=saved.json")
    result.assert_outcomes(passed=3)
    assert killed.trained() == ["0.5", "1.0"]
    result.stdout.fnmatch_lines(
        [
            "sgd-lr0.25 [*] *0.250 *",
            "sgd-lr0.5 *0.500 *",
            "*[*]: trained and timed in an earlier session of*",
        ]
    )
    assert [case["resumed"] for case in killed.summary()["cases"]] == [True, False, False]
    assert killed.record("test_1_fake.sgd-lr0.25") == before
    saved = json.loads((killed.path / "saved.json").read_text())["benchmarks"]
    assert [case["param"] for case in saved] == ["sgd-lr0.5", "sgd-lr1.0"]


def test_a_killed_session_leaves_no_worker_and_no_lease(suite):
    suite.hang()
    # Shared, as on a single core the training that hangs might be the first.
    session = suite.start("-k", "test_1", "-n", "2", "--timing", "shared")
    suite.wait_until_it_hangs(others=1)
    session.kill()
    session.wait()
    wait_for_the_end_of(session.pid)
    suite.go()
    suite.trained()
    missing = {0.25, 0.5, 1.0} - {
        record["experiment"]["optimizer"]["learning_rate"] for record in suite.records()
    }
    assert 0.5 in missing
    again = suite.run("-k", "test_1", "-n", "2", "--timing", "shared", "--resume")
    again.assert_outcomes(passed=3)
    assert suite.trained() == sorted(map(str, missing))


def test_resumed_rows_are_not_gated(killed):
    killed.run("--benchmark-save=base", "--report-dir", "base").assert_outcomes(passed=6)
    gate = ("--resume", "--benchmark-compare", "--accuracy-compare-fail", "1")
    result = killed.run("-k", "test_1", *gate)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*gate: passed*",
            "Learning: 2 rows compared with 0001_base: 2 identical.",
            "In 0001_base but not timed in this run (resumed): *sgd-lr0.25*",
        ]
    )
    result = killed.run("-k", "test_1", *gate)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["nothing was compared*"])


def test_without_resume_everything_is_trained_again(killed):
    before = killed.report.resolve()
    killed.run("-k", "test_1").assert_outcomes(passed=3)
    assert killed.trained() == ["0.25", "0.5", "1.0"]
    assert killed.report.resolve() != before
    assert len(list((before / "runs").iterdir())) == 1


def test_with_nothing_to_resume_everything_is_trained(suite):
    suite.run("-k", "test_1", "--resume").assert_outcomes(passed=3)
    assert not any(case["resumed"] for case in suite.summary()["cases"])


def contents(suite):
    files = (path for path in suite.report.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("args", "difference"),
    [
        (("--scale", "paper"), "scale is quick there, paper here"),
        (("--replicates", "2", "-n", "2"), "replicates is 1 there, 2 here"),
    ],
)
def test_another_run_is_refused_with_its_difference(killed, args, difference):
    before = contents(killed)
    result = killed.run("--resume", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert line == (
        f"ERROR: --resume: the run in {killed.report.resolve()} differs: {difference}; start a new run "
        "without --resume"
    )
    assert (killed.trained(), contents(killed)) == ([], before)


def test_records_of_other_code_are_refused(suite):
    """The exercises' own code counts, too."""
    suite.run("-k", "lr0.25").assert_outcomes(passed=2)
    suite.add(1, "# another version")
    result = suite.run("--resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --resume: the run in * differs: code is * there, * here; *"])


def record(folder, run=RUN):
    """Writes a case's record to the report `folder`; returns its file."""
    training = made_up_training(Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1), seeds=(0,))
    key = {"run": run, "experiment": training.experiment.to_dict()}
    made = to_record(training, threads=1, left_out={}, published=Published())
    ownership.make(folder)
    store = Store(folder)
    store.create()
    store.get_or_make(TrainingRecord, "bench/test_1_x.py::test_training[row]", key, lambda: made)
    (path,) = (folder / "runs").iterdir()
    return path


def refusal(folder, run=RUN):
    with pytest.raises(pytest.UsageError) as error:
        ReportFolder(folder, fingerprint=run, resume=True)
    (line,) = str(error.value).splitlines()
    return line


OTHERS = {
    "scale": "paper",
    "replicates": 2,
    "engine": "eager",
    "timing": "shared",
    "device": "cuda",
    "device_name": "another",
    "torch": "2.14.0",
    "code": "ab",
}


@pytest.mark.parametrize("name", RUN)
def test_a_difference_is_named(tmp_path, name):
    folder = tmp_path / "report"
    record(folder)
    here = {**RUN, name: OTHERS.get(name, "kmnist")}
    message = f"the run in {folder} differs: {name} is {RUN[name]} there, {here[name]} here;"
    assert message in refusal(folder, here)


def test_a_record_has_the_whole_fingerprint(killed):
    assert killed.records()[0]["run"].keys() == RUN.keys()


def test_records_of_two_runs_do_not_collide(tmp_path):
    assert record(tmp_path / "a").name != record(tmp_path / "b", {**RUN, "code": "ab"}).name


def test_the_code_digest_depends_on_the_sources(tmp_path):
    source = tmp_path / "x.py"
    source.write_text("1")
    versions = [code_digest([tmp_path])]
    source.write_text("2")
    versions.append(code_digest([tmp_path]))
    source.rename(tmp_path / "y.py")
    versions.append(code_digest([tmp_path]))
    (tmp_path / "kernel.cu").write_text("")
    versions.append(code_digest([tmp_path]))
    (tmp_path / "notes.txt").write_text("not code")
    assert len({*versions}) == 4
    assert code_digest([tmp_path]) == versions[-1]


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_resumed_rows_stay_in_the_tables_even_if_their_exercise_is_not_selected(suite, workers):
    suite.run().assert_outcomes(passed=6)
    suite.run("--resume", "-k", "test_1 and lr0.5", "-n", workers).assert_outcomes(passed=1)
    assert len(suite.cases()) == 6
