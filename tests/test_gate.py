"""The gates in a session: one answer, failed by worse, never green over nothing."""

import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import harness.gates.plugin
from harness.gates.answer import ACCEPT
from harness.gates.baselines import read
from harness.gates.retraining import RetrainingError, retrain
from harness.settings import Settings

ACCURACY = ("--benchmark-compare", "--accuracy-compare-fail=1")
GATES = (*ACCURACY, "--benchmark-compare-fail=median:15%")
TIME = "--time-compare-fail=10"
ROW = "bench/test_1_fake.py::test_training[sgd-lr0.25]"
SETTINGS = Settings(
    scale="paper",
    device="cpu",
    engine="auto",
    seeds=(0, 1),
    dataset="mnist",
    data_root=Path("data"),
    timing="exclusive",
    report_dir=Path("report"),
    resume=False,
)


def files(suite):
    return sorted((suite.path / ".benchmarks").rglob("*.json"))


def change(suite, edit):
    """Edits every case of all saved runs."""
    for path in files(suite):
        content = json.loads(path.read_text())
        for benchmark in content["benchmarks"]:
            edit(benchmark)
        path.write_text(json.dumps(content))


def scale(benchmark, factor):
    """Makes the case take `factor` times as long."""
    for name in ("min", "max", "mean", "median", "total"):
        benchmark["stats"][name] *= factor
    benchmark["extra_info"]["seconds"] *= factor


def faster_before(benchmark, factor=3.0):
    if benchmark["fullname"] == ROW:
        scale(benchmark, 1 / factor)


@pytest.fixture(scope="session")
def trained_once():
    """What the first test that asks for a saved run finds in it, by path."""
    return {}


@pytest.fixture
def saved(suite, trained_once):
    if not trained_once:
        suite.run("--benchmark-autosave").assert_outcomes(passed=6)
        trained_once.update({path.relative_to(suite.path): path.read_text() for path in files(suite)})
    for path, content in trained_once.items():
        (suite.path / path).parent.mkdir(parents=True, exist_ok=True)
        (suite.path / path).write_text(content)
    return suite


@pytest.fixture
def saved_six(saved):
    """Six saved runs, each a little faster or slower than the last."""
    (path,) = files(saved)
    text = path.read_text()
    for number in range(1, 7):
        content = json.loads(text)
        for index, benchmark in enumerate(content["benchmarks"]):
            scale(benchmark, 1 + 0.001 * math.sin(number + index**2))
        path.with_name(f"{number:04}_base.json").write_text(json.dumps(content))
    path.unlink()
    return saved


@pytest.fixture
def trained_again(saved_six, monkeypatch):
    """Which rows were trained again, in each round; they take as long as in the saved runs now."""
    rounds = []
    cases = read(files(saved_six)[0]).cases

    def again(names, **_):
        rounds.append(sorted(names))
        return {name: cases[name] for name in names}

    monkeypatch.setattr(harness.gates.plugin, "retrain", again)
    return rounds


def disturb(suite):
    """Makes one row of every second saved run take twice as long."""
    for path in files(suite)[::2]:
        content = json.loads(path.read_text())
        scale(content["benchmarks"][0], 2)
        path.write_text(json.dumps(content))


def answer(suite):
    return json.loads((suite.report / "gate.json").read_text())


def test_a_run_holds_against_its_own_baseline(saved):
    for spread in ("0", "2"):
        result = saved.run(*GATES, "-n", spread)
        result.assert_outcomes(passed=6)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*gate: passed*", "Learning: 6 rows against *: 6 identical."])
    assert answer(saved)["holds"]
    assert len(answer(saved)["passed"]) == 12


def test_a_baseline_three_times_as_fast_fails_it_in_one_block(saved):
    change(saved, partial(scale, factor=1 / 3))
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*gate: failed*", f"{ROW.replace('[', '[[]')}: median 0.25 s an epoch, 0.0833 s in *", ACCEPT]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "Performance has regressed" not in result.stdout.str() + result.stderr.str()


def test_a_baseline_two_points_better_fails_it(saved):
    def better(benchmark):
        info = benchmark["extra_info"]
        info["test_accuracy"] = [accuracy + 0.02 for accuracy in info["test_accuracy"]]

    change(saved, better)
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED, "one seed says nothing about noise"
    result.stdout.fnmatch_lines(
        [
            "*gate: failed*",
            "no row could be decided: 6 rows compared with *, all inconclusive",
            "inconclusive: one seed cannot distinguish a drop of 1 point from noise*",
        ]
    )
    result = saved.run(*GATES, "--fail-bare-falls")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*gate: failed*",
            "*sgd-lr0.25*: learns worse: test accuracy 0.9700, now 0.9500 (2.00 points lower, one*",
        ]
    )


def test_several_seeds_that_all_fell_fail_it(suite, monkeypatch):
    monkeypatch.setenv("FAKE_BETTER", "0.02")
    suite.run("--benchmark-autosave", "--replicates=3").assert_outcomes(passed=6)
    monkeypatch.delenv("FAKE_BETTER")
    result = suite.run(*ACCURACY, "--replicates=3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*2.00 points lower, mean of 3 seeds*"])
    assert [each["verdict"] for each in answer(suite)["failures"]] == ["learns worse"] * 6


def one_row_noisy(benchmark):
    """Each seed of one row is changed a little, some up, some down."""
    if benchmark["fullname"] == ROW:
        benchmark["extra_info"]["test_accuracy"] = [0.96, 0.94, 0.97]


def test_too_few_seeds_say_what_it_takes(suite, monkeypatch):
    suite.run("--benchmark-autosave", "--replicates=3").assert_outcomes(passed=6)
    change(suite, one_row_noisy)
    result = suite.run(*ACCURACY, "--replicates=3")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "*gate: inconclusive*",
            "inconclusive: 3 seeds may have missed a drop of 1 point; *: *sgd-lr0.25* (about *)",
            "Learning: 6 rows against *: 1 inconclusive, 5 identical.",
        ]
    )
    assert answer(suite)["inconclusive"]
    result = suite.run(*ACCURACY, "--replicates=3", "--fail-underpowered", "--benchmark-autosave")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: failed (inconclusive)*", "This run was not saved."])


def test_a_run_that_fails_is_not_saved(saved):
    change(saved, partial(scale, factor=1 / 3))
    result = saved.run(*GATES, "--benchmark-autosave")
    result.stdout.fnmatch_lines(["This run was not saved."])
    assert len(files(saved)) == 1
    assert saved.run(*ACCURACY, "--benchmark-autosave").ret == pytest.ExitCode.OK
    assert len(files(saved)) == 2


def test_a_failing_test_stays_what_failed(saved):
    saved.add(1, "def test_other():\n    assert False")
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: passed*"])


class TestTime:
    """--time-compare-fail, against all saved runs."""

    def test_unchanged_code_passes_and_trains_nothing_again(self, saved_six, trained_again):
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(
            [
                "*gate: passed*",
                "Times: 6 rows against 6 saved runs. A slowdown of 5 % in the median row *",
            ]
        )
        assert trained_again == []

    def test_a_slower_row_is_trained_again_before_it_fails(self, saved_six, trained_again):
        change(saved_six, faster_before)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert len(trained_again) == 3
        assert ROW in trained_again[0]
        assert len(trained_again[0]) == 6
        result.stdout.fnmatch_lines(
            [
                f"{ROW.replace('[', '[[]')}: slower by 200 %* than in 6 saved runs, trained 4 times",
                ACCEPT,
            ]
        )
        (failure,) = answer(saved_six)["failures"]
        assert failure["figures"]["percent"] == pytest.approx(200, abs=2)

    def test_a_row_that_was_slow_once_is_let_go(self, saved_six, trained_again):
        saved_six.add(1, SLOW_ONCE)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*gate: passed*"])
        assert len(trained_again) == 1, "it was not slower then"

    def test_all_rows_slower_fail_as_one(self, saved_six, trained_again, monkeypatch):
        monkeypatch.setenv("FAKE_SLOWER", "1.5")
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["All rows together are slower by 50 %*", ACCEPT])
        assert [failure["case"] for failure in answer(saved_six)["failures"]] == [None]

    def test_what_it_cannot_see_is_said(self, saved_six, trained_again):
        """Saved runs in which one row takes twice as long every second time."""
        disturb(saved_six)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(
            [
                "*gate: inconclusive*",
                "inconclusive: may have missed a slowdown of 10 %; *: *(* %)*",
                "Smaller slowdowns can be detected with more saved runs*",
            ]
        )
        assert saved_six.run(TIME, "--fail-underpowered").ret == pytest.ExitCode.TESTS_FAILED

    def test_four_saved_runs_are_too_few(self, saved_six):
        for path in files(saved_six)[:2]:
            path.unlink()
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [
                "ERROR: --time-compare-fail needs at least 5 saved runs, found 4 with scale quick, *; "
                "save them first with --benchmark-autosave and without the gate"
            ]
        )
        assert not saved_six.report.exists()

    @pytest.mark.parametrize(
        "args", [("--replicates=2",), ("--scale=paper",), ("--timing=shared",)], ids=" ".join
    )
    def test_saved_runs_of_other_settings_are_too_few(self, saved_six, args):
        result = saved_six.run(TIME, *args)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *found 0 with *, of 6 that count; save*"])

    def test_runs_before_an_accepted_one_no_longer_count(self, saved_six):
        path = files(saved_six)[-1]
        path.rename(path.with_name("0006_accepted.json"))
        saved_six.run(TIME).stderr.fnmatch_lines(["ERROR: *needs at least 5 saved runs, found 1 with *"])

    def test_an_acceptance_is_of_the_rows_that_the_run_has(self, saved_six, trained_again):
        """And those that had 5 runs at the time are still judged."""
        path = files(saved_six)[-1]
        content = json.loads(path.read_text())
        content["benchmarks"] = [each for each in content["benchmarks"] if each["fullname"] == ROW]
        path.write_text(json.dumps(content))
        path.rename(path.with_name("0006_accepted.json"))
        slow = "bench/test_2_fake.py::test_training[sgd-lr0.5]"
        change(saved_six, lambda each: scale(each, 0.5) if each["fullname"] == slow else None)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "bench/test_2_fake.py::*lr0.5*: slower by 1?? %*",
                f"inconclusive: too few saved runs *: {ROW.replace('[', '[[]')} (1)",
            ]
        )

    @pytest.mark.parametrize("name", ["not_accepted", "un_accepted", "Accepted", "accepted_2"])
    def test_no_other_name_accepts(self, saved_six, trained_again, name):
        path = files(saved_six)[-1]
        path.rename(path.with_name(f"0006_{name}.json"))
        saved_six.run(TIME).stdout.fnmatch_lines(["Times: 6 rows against 6 saved runs.*"])

    def test_inconclusive_runs_are_no_baselines(self, saved_six, trained_again):
        for path in files(saved_six)[:2]:
            path.rename(path.with_name(f"{path.stem}_inconclusive.json"))
        saved_six.run(TIME).stderr.fnmatch_lines(["ERROR: *needs at least 5 saved runs, found 4 with *"])

    def test_what_says_so_in_the_block_makes_it_one(self, saved_six, trained_again):
        disturb(saved_six)
        result = saved_six.run(TIME, "--benchmark-save=it's mine")
        assert result.ret == pytest.ExitCode.OK
        path = files(saved_six)[-1]
        assert path.name == "0007_it's mine_inconclusive.json"
        (command,) = [
            line.partition("says so: ")[2] for line in result.outlines if "says so: mv" in line
        ]
        subprocess.run(command, shell=True, check=True)
        assert files(saved_six)[-1] == path.with_name("0007_it's mine.json")
        saved_six.run(TIME).stdout.fnmatch_lines(["Times: 6 rows against 7 saved runs.*"])

    def test_an_inconclusive_run_saved_as_accepted_is(self, saved_six, trained_again):
        disturb(saved_six)
        result = saved_six.run(TIME, "--benchmark-save=accepted")
        result.stdout.fnmatch_lines(["*gate: inconclusive*"])
        result.stdout.no_fnmatch_line("*no baseline*")
        assert files(saved_six)[-1].name == "0007_accepted.json"

    def test_a_run_that_passes_is_saved_as_ever(self, saved_six, trained_again):
        saved_six.run(TIME, "--benchmark-save=mine").stdout.fnmatch_lines(["*gate: passed*"])
        assert files(saved_six)[-1].name == "0007_mine.json"

    @pytest.mark.parametrize("name", ["engine", "device_name", "cores"])
    def test_saved_runs_of_another_kind_are_left_out(self, saved_six, name):
        change(
            saved_six, lambda each: each["extra_info"].update({name: 99 if name == "cores" else "other"})
        )
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*gate: failed*", "nothing was compared: it takes 5 saved runs*"])

    def test_a_suspect_that_cannot_be_trained_again_says_so(self, saved_six, monkeypatch):
        def fail(*_, **__):
            raise RetrainingError("no space left")

        monkeypatch.setattr(harness.gates.plugin, "retrain", fail)
        change(saved_six, faster_before)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["Suspect rows could not be trained again: no space left"])

    def test_a_row_is_trained_again_in_a_process_of_its_own(self, suite, monkeypatch):
        monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
        found = retrain([ROW], SETTINGS, suite.path)
        assert list(found) == [ROW]
        assert found[ROW].stats.rounds == 2
        assert found[ROW].extra_info.seeds == [0, 1]
        assert not suite.report.exists()

    def test_what_ends_without_a_saved_file_says_why(self, suite, monkeypatch):
        python = suite.path / "python"
        python.write_text("#!/bin/sh\necho 1 failed\necho ERROR >&2\necho 'no match' >&2\nexit 4\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        with pytest.raises(RetrainingError, match=r"^no match$"):
            retrain([ROW], SETTINGS, suite.path)


SLOW_ONCE = """
import harness.plugin.fixtures
fake = harness.plugin.fixtures.train_model

def slow(experiment, *args, **kwargs):
    training = fake(experiment, *args, **kwargs)
    if experiment.learning_rate == 0.25:
        training.epoch_seconds[:] *= 2
    return training

harness.plugin.fixtures.train_model = slow
"""


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (GATES, "no saved run that counts in *.benchmarks; make one with*"),
        ((TIME,), "needs at least 5 saved runs, found 0 with *.benchmarks; save them*"),
    ],
    ids=["named", "all"],
)
def test_an_empty_storage_fails_it(suite, gates, said):
    result = suite.run(*gates, "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{said}"])
    assert not suite.report.exists()


def test_an_empty_storage_without_a_gate_is_allowed(suite):
    assert suite.run("--benchmark-compare").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--timing", "shared"), "has timing exclusive, this run has shared"),
        (("--scale", "paper"), "has scale quick, this run has paper"),
        (("--dataset", "kmnist"), "has dataset mnist, this run has kmnist"),
    ],
    ids=["timing", "scale", "dataset"],
)
def test_a_baseline_of_another_kind_is_refused(saved, args, said):
    result = saved.run(*GATES, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{said}"])


def test_a_baseline_of_another_engine_fails_it(saved):
    change(saved, lambda benchmark: benchmark["extra_info"].update(engine="steam"))
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be compared with *: engine steam there, eager here*"])


def test_another_model_of_cpu_matters_to_times_alone(saved):
    change(saved, lambda benchmark: benchmark["extra_info"].update(device_name="other"))
    assert saved.run(*ACCURACY).ret == pytest.ExitCode.OK
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be compared with *: device_name other there, * here*"])


def test_other_seeds_cannot_be_compared(saved):
    change(saved, lambda benchmark: benchmark["extra_info"].update(seeds=[7]))
    result = saved.run(*ACCURACY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be compared with *: no seed in common*"])


def test_a_baseline_with_some_of_the_cases_gates_these_and_lists_the_others(suite):
    suite.run("--benchmark-autosave", "-k", "test_1").assert_outcomes(passed=3)
    result = suite.run(*ACCURACY, "-n", "2")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["Not in 0001_*, so not compared: *test_2_fake*sgd-lr0.25*", "Learning: 3 rows against *"]
    )


@pytest.mark.parametrize(
    "option",
    ["--collect-only", "--setup-only", "--setup-plan", "--benchmark-disable", "--benchmark-skip"],
)
@pytest.mark.parametrize("gates", [GATES, (TIME,)], ids=["named", "all"])
def test_a_gate_over_what_trains_nothing_is_refused(saved, gates, option):
    result = saved.run(*gates, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *-fail* cannot judge a run that *: leave out --*"])


def test_a_gate_over_rows_that_all_are_skipped_fails(saved):
    for number in (1, 2):
        saved.add(number, "pytestmark = pytest.mark.skip")
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: failed*", "nothing was compared*"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--fail-bare-falls",), "--fail-bare-falls needs --accuracy-compare-fail"),
        (("--fail-bare-falls", TIME), "--fail-bare-falls needs --accuracy-compare-fail"),
        (("--fail-underpowered",), "--fail-underpowered needs --time-compare-fail or *"),
        (
            ("--fail-underpowered", "--benchmark-compare", "--benchmark-compare-fail=min:5%"),
            "--fail-underpowered needs --time-compare-fail or --accuracy-compare-fail",
        ),
    ],
)
def test_an_option_without_its_gate_is_refused(suite, args, said):
    result = suite.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])


class TestGitHub:
    """Under GitHub Actions the same answer is annotations and the job's summary."""

    @pytest.fixture
    def summary(self, suite, monkeypatch):
        path = suite.path / "summary.md"
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
        return path

    def test_a_failure(self, saved, summary):
        change(saved, faster_before)
        result = saved.run(*GATES)
        result.stdout.fnmatch_lines(
            [f"::error title=Minibatch bench%2C slower::{ROW.replace('[', '[[]')}: median 0.25 s*"]
        )
        text = summary.read_text()
        assert text.startswith("## Gate: failed\n")
        assert f"| {ROW} | slower | median 0.25 s" in text
        assert f"- {ACCEPT}" in text

    def test_what_it_could_not_tell(self, saved, summary):
        def worse(benchmark):
            if benchmark["fullname"] == ROW:
                benchmark["extra_info"]["test_accuracy"] = [0.5]

        change(saved, worse)
        result = saved.run(*ACCURACY)
        result.stdout.fnmatch_lines(["::warning title=Minibatch bench%2C inconclusive::one seed *"])
        assert "::error" not in result.stdout.str()
        assert summary.read_text().startswith("## Gate: inconclusive\n")

    def test_percent_signs_are_escaped_in_annotations(self, saved_six, trained_again, summary):
        change(saved_six, faster_before)
        result = saved_six.run(TIME)
        result.stdout.fnmatch_lines(["::error *: slower by 200 %25 (95 %25 interval *"])
        assert "slower by 200 % (95 % interval" in summary.read_text()


@pytest.mark.parametrize(
    "gates", [ACCURACY, (TIME,), ("--benchmark-compare",)], ids=["named", "all", "none"]
)
def test_a_damaged_saved_run_is_refused_by_name(suite, gates):
    folder = suite.path / ".benchmarks" / "Linux-CPython-3.11-64bit"
    folder.mkdir(parents=True)
    (folder / "0001_base.json").write_text('{"benchmarks": [{"fullname": ')
    result = suite.run(*gates)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the saved run *0001_base.json cannot be read: *"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert not suite.report.exists()
