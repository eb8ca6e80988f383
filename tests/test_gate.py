"""The gates in a session: one result, which fails for a regression and never passes over nothing."""

import json
import math
import platform
import subprocess
import sys
from functools import partial
from xml.etree import ElementTree

import pytest
import torch

import harness.gates.plugin
from harness.compare.github import tell_github
from harness.gates.baselines import read_saved_run
from harness.gates.gate_result import ACCEPT
from harness.gates.retraining import RetrainingError, retrain
from tests.made_up_runs import SETTINGS

ACCURACY = ("--benchmark-compare", "--accuracy-compare-fail=1")
GATES = (*ACCURACY, "--benchmark-compare-fail=median:15%")
TIME = "--time-compare-fail=10"
NOT_SAVED = "This run was not saved, because it failed the gate."
ROW = "bench/test_1_fake.py::test_training[sgd-lr0.25]"


def change(suite, edit):
    """Edits every case in all saved runs."""
    for path in suite.saved_runs():
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


@pytest.fixture
def saved(suite, saved_run):
    """A suite with one saved run."""
    path, text = saved_run
    (suite.path / path).parent.mkdir(parents=True)
    (suite.path / path).write_text(text)
    return suite


@pytest.fixture
def saved_six(saved):
    """Six saved runs, each a little faster or slower than the last."""
    (path,) = saved.saved_runs()
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
    """The rows trained again, by round; their retrainings take as long as in the saved runs."""
    rounds = []
    cases = read_saved_run(saved_six.saved_runs()[0]).cases

    def again(names, **_):
        rounds.append(sorted(names))
        return {name: cases[name] for name in names}

    monkeypatch.setattr(harness.gates.plugin, "retrain", again)
    return rounds


def disturb(suite):
    """Makes one row of every second saved run take twice as long."""
    for path in suite.saved_runs()[::2]:
        content = json.loads(path.read_text())
        scale(content["benchmarks"][0], 2)
        path.write_text(json.dumps(content))


def gate_json(suite):
    return json.loads((suite.report / "gate.json").read_text())


def test_a_run_passes_against_its_own_baseline(saved):
    for spread in ("0", "2"):
        result = saved.run(*GATES, "-n", spread)
        result.assert_outcomes(passed=6)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*gate: passed*", "Learning: 6 rows compared with *: 6 identical."])
    assert gate_json(saved)["holds"]
    assert len(gate_json(saved)["passed"]) == 12


def test_a_baseline_three_times_as_fast_fails_in_one_block(saved):
    change(saved, partial(scale, factor=1 / 3))
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*gate: failed*",
            f"{ROW.replace('[', '[[]')}: median 0.25 s per epoch, compared with 0.0833 s in *",
            ACCEPT,
        ]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "Performance has regressed" not in result.stdout.str() + result.stderr.str()


def test_a_baseline_two_points_better_fails(saved):
    def better(benchmark):
        info = benchmark["extra_info"]
        info["test_accuracy"] = [accuracy + 0.02 for accuracy in info["test_accuracy"]]

    change(saved, better)
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED, "the noise of one seed is unknown"
    result.stdout.fnmatch_lines(
        [
            "*gate: failed*",
            "no row could be decided: 6 rows compared with *, all inconclusive",
            "inconclusive: one seed cannot distinguish a 1-point drop in accuracy from noise*",
        ]
    )
    result = saved.run(*GATES, "--fail-bare-falls")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*gate: failed*",
            "*sgd-lr0.25*: test accuracy dropped by 2.00 points, from 0.9700 in * to 0.9500 (one seed)",
        ]
    )


def test_a_drop_under_several_seeds_fails(suite, monkeypatch):
    monkeypatch.setenv("FAKE_BETTER", "0.02")
    suite.run("--benchmark-autosave", "--replicates=3").assert_outcomes(passed=6)
    monkeypatch.delenv("FAKE_BETTER")
    result = suite.run(*ACCURACY, "--replicates=3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*dropped by 2.00 points, *(mean of 3 seeds*"])
    assert [each["verdict"] for each in gate_json(suite)["failures"]] == ["learns worse"] * 6


def one_row_noisy(benchmark):
    """Changes each seed's accuracy of one row a little, some up, some down."""
    if benchmark["fullname"] == ROW:
        benchmark["extra_info"]["test_accuracy"] = [0.96, 0.94, 0.97]


def test_too_few_seeds_report_how_many_are_needed(suite, monkeypatch):
    suite.run("--benchmark-autosave", "--replicates=3").assert_outcomes(passed=6)
    change(suite, one_row_noisy)
    result = suite.run(*ACCURACY, "--replicates=3")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "*gate: inconclusive*",
            "inconclusive: 3 seeds cannot reliably detect a 1-point drop *: *sgd-lr0.25* (about *)",
            "Learning: 6 rows compared with *: 1 inconclusive, 5 identical.",
        ]
    )
    assert gate_json(suite)["inconclusive"]
    result = suite.run(*ACCURACY, "--replicates=3", "--fail-underpowered", "--benchmark-autosave")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: failed (inconclusive)*", NOT_SAVED])


def test_a_run_that_fails_is_not_saved(saved):
    change(saved, partial(scale, factor=1 / 3))
    result = saved.run(*GATES, "--benchmark-autosave")
    result.stdout.fnmatch_lines([NOT_SAVED])
    assert len(saved.saved_runs()) == 1
    assert saved.run(*ACCURACY, "--benchmark-autosave").ret == pytest.ExitCode.OK
    assert len(saved.saved_runs()) == 2


def test_a_failing_test_does_not_fail_the_gate(saved):
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
                "Times: 6 rows compared with 6 saved runs. Smallest detectable slowdown: 5 % in *",
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
                f"{ROW.replace('[', '[[]')}: 200 % slower than in 6 saved runs *, trained 4 times",
                ACCEPT,
            ]
        )
        (failure,) = gate_json(saved_six)["failures"]
        assert failure["figures"]["percent"] == pytest.approx(200, abs=2)

    def test_a_row_that_was_slow_only_once_passes(self, saved_six, trained_again):
        saved_six.add(1, SLOW_ONCE)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*gate: passed*"])
        assert len(trained_again) == 1, "the retraining was not slower"

    def test_all_rows_slower_fail_as_one(self, saved_six, trained_again, monkeypatch):
        monkeypatch.setenv("FAKE_SLOWER", "1.5")
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["all rows together are 50 % slower *", ACCEPT])
        assert [failure["case"] for failure in gate_json(saved_six)["failures"]] == [None]

    def test_an_undetectable_slowdown_is_reported(self, saved_six, trained_again):
        """One row takes twice as long in every second saved run."""
        disturb(saved_six)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(
            [
                "*gate: inconclusive*",
                "inconclusive: slowdowns of 10 % may go undetected; *: *(* %)*",
                "To detect smaller slowdowns, save more runs*",
            ]
        )
        assert saved_six.run(TIME, "--fail-underpowered").ret == pytest.ExitCode.TESTS_FAILED

    def test_four_saved_runs_are_too_few(self, saved_six):
        for path in saved_six.saved_runs()[:2]:
            path.unlink()
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [
                "ERROR: --time-compare-fail needs at least 5 saved runs, found 4 with scale quick, *; "
                "save more first, with --benchmark-autosave and without the gate"
            ]
        )
        assert not saved_six.report.exists()

    @pytest.mark.parametrize(
        "args", [("--replicates=2",), ("--scale=paper",), ("--timing=shared",)], ids=" ".join
    )
    def test_saved_runs_of_other_settings_are_too_few(self, saved_six, args):
        result = saved_six.run(TIME, *args)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *found 0 (of 6 baselines) with *; save more*"])

    def test_runs_before_an_accepted_one_are_ignored(self, saved_six):
        path = saved_six.saved_runs()[-1]
        path.rename(path.with_name("0006_accepted.json"))
        saved_six.run(TIME).stderr.fnmatch_lines(["ERROR: *needs at least 5 saved runs, found 1 (of 6*"])

    def test_an_accepted_run_affects_only_the_rows_that_it_has(self, saved_six, trained_again):
        """The other rows are still judged by the earlier runs."""
        path = saved_six.saved_runs()[-1]
        content = json.loads(path.read_text())
        content["benchmarks"] = [each for each in content["benchmarks"] if each["fullname"] == ROW]
        path.write_text(json.dumps(content))
        path.rename(path.with_name("0006_accepted.json"))
        other = ROW.replace("1_fake", "2_fake")
        change(saved_six, lambda each: scale(each, 0.5) if each["fullname"] == other else None)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                f"{other.replace('[', '[[]')}: 100 % slower *",
                f"inconclusive: fewer than 5 comparable saved runs; *: {ROW.replace('[', '[[]')} (1)",
            ]
        )

    @pytest.mark.parametrize("name", ["not_accepted", "un_accepted", "Accepted", "accepted_2"])
    def test_no_other_name_accepts(self, saved_six, trained_again, name):
        path = saved_six.saved_runs()[-1]
        path.rename(path.with_name(f"0006_{name}.json"))
        saved_six.run(TIME).stdout.fnmatch_lines(["Times: 6 rows compared with 6 saved runs.*"])

    def test_inconclusive_runs_are_not_baselines(self, saved_six, trained_again):
        for path in saved_six.saved_runs()[:2]:
            path.rename(path.with_name(f"{path.stem}_inconclusive.json"))
        saved_six.run(TIME).stderr.fnmatch_lines(["ERROR: *needs at least 5 saved runs, found 4 with *"])

    def test_the_command_in_the_block_makes_an_inconclusive_run_a_baseline(
        self, saved_six, trained_again
    ):
        disturb(saved_six)
        result = saved_six.run(TIME, "--benchmark-save=it's mine")
        assert result.ret == pytest.ExitCode.OK
        path = saved_six.saved_runs()[-1]
        assert path.name == "0007_it's mine_inconclusive.json"
        (command,) = [
            line.partition("To make it one: ")[2] for line in result.outlines if " one: mv " in line
        ]
        subprocess.run(command, shell=True, check=True)
        assert saved_six.saved_runs()[-1] == path.with_name("0007_it's mine.json")
        saved_six.run(TIME).stdout.fnmatch_lines(["Times: 6 rows compared with 7 saved runs.*"])

    def test_an_inconclusive_run_can_be_saved_as_accepted(self, saved_six, trained_again):
        disturb(saved_six)
        result = saved_six.run(TIME, "--benchmark-save=accepted")
        result.stdout.fnmatch_lines(["*gate: inconclusive*"])
        result.stdout.no_fnmatch_line("*not a baseline*")
        assert saved_six.saved_runs()[-1].name == "0007_accepted.json"

    def test_a_run_that_passes_is_saved_under_its_name(self, saved_six, trained_again):
        saved_six.run(TIME, "--benchmark-save=mine").stdout.fnmatch_lines(["*gate: passed*"])
        assert saved_six.saved_runs()[-1].name == "0007_mine.json"

    @pytest.mark.parametrize("name", ["engine", "device_name", "cores"])
    def test_saved_runs_with_other_hardware_or_engine_are_left_out(self, saved_six, name):
        change(
            saved_six, lambda each: each["extra_info"].update({name: 99 if name == "cores" else "other"})
        )
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            ["*gate: failed*", "nothing was compared: a row needs 5 saved runs*"]
        )

    def test_a_suspect_that_cannot_be_trained_again_is_reported(self, saved_six, monkeypatch):
        def fail(*_, **__):
            raise RetrainingError("no space left")

        monkeypatch.setattr(harness.gates.plugin, "retrain", fail)
        change(saved_six, faster_before)
        result = saved_six.run(TIME)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["Rows that look slower could not be trained again: no space left"])

    def test_a_row_is_trained_again_in_a_separate_process(self, suite, monkeypatch):
        """Neither a git hook's variables nor PYTEST_ADDOPTS affect it."""
        monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
        monkeypatch.setenv("GIT_DIR", str(suite.path / "nowhere"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(suite.path / "index"))
        suite.add(1, "assert not {'GIT_DIR', 'GIT_INDEX_FILE'} & {*os.environ}")
        found = retrain([ROW], SETTINGS, suite.path)
        assert list(found) == [ROW]
        assert found[ROW].stats.rounds == 2
        assert found[ROW].extra_info.seeds == [0, 1]
        assert not suite.report.exists()

    def test_a_retraining_that_saves_nothing_is_explained(self, suite, monkeypatch):
        python = suite.path / "python"
        monkeypatch.setattr(sys, "executable", str(python))
        with pytest.raises(RetrainingError, match=r"^no process could be started: No such file"):
            retrain([ROW], SETTINGS, suite.path)
        for script, why in (
            ("echo 1 failed; echo 'usage: x' >&2; echo 'ERROR: no such option' >&2", "no such option"),
            ("echo 1 failed; kill -9 $$", "killed by signal 9"),
            ("exit 4", "it ended with status 4"),
        ):
            python.write_text(f"#!/bin/sh\n{script}\n")
            python.chmod(0o755)
            with pytest.raises(RetrainingError, match=f"^{why}$"):
                retrain([ROW], SETTINGS, suite.path)

    def test_a_row_that_fails_when_trained_again_is_explained(self, suite):
        suite.add(1, FAILS)
        with pytest.raises(RetrainingError, match=r"OSError: no space left$"):
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
    ("gates", "message"),
    [
        (GATES, "found no baseline in *.benchmarks; save a run first, with*"),
        ((TIME,), "needs at least 5 saved runs, found 0 with *.benchmarks; save more*"),
    ],
    ids=["named", "all"],
)
def test_an_empty_storage_is_refused(suite, gates, message):
    result = suite.run(*gates, "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{message}"])
    assert not suite.report.exists()


def test_an_empty_storage_without_a_gate_is_allowed(suite):
    assert suite.run("--benchmark-compare").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--timing", "shared"), "this run has timing shared; expected exclusive, as in *"),
        (("--scale", "paper"), "this run has scale paper; expected quick, as in *"),
        (("--dataset", "kmnist"), "this run has dataset kmnist; expected mnist, as in *"),
    ],
    ids=["timing", "scale", "dataset"],
)
def test_a_baseline_with_other_settings_is_refused(saved, args, message):
    result = saved.run(*GATES, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{message}"])


def test_a_baseline_with_another_engine_fails(saved):
    change(saved, lambda benchmark: benchmark["extra_info"].update(engine="steam"))
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be compared with *: engine was steam and is now eager*"])


def test_another_model_of_cpu_matters_only_for_times(saved):
    change(saved, lambda benchmark: benchmark["extra_info"].update(device_name="other"))
    assert saved.run(*ACCURACY).ret == pytest.ExitCode.OK
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be compared with *: device_name was other and is now *"])


def test_other_seeds_cannot_be_compared(saved):
    change(saved, lambda benchmark: benchmark["extra_info"].update(seeds=[7]))
    result = saved.run(*ACCURACY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be compared with *: no seed in common*"])


def test_rows_that_the_baseline_lacks_are_listed(suite):
    suite.run("--benchmark-autosave", "-k", "test_1").assert_outcomes(passed=3)
    result = suite.run(*ACCURACY, "-n", "2")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["Not in 0001_*, so not compared: *test_2_fake*sgd-lr0.25*", "Learning: 3 rows compared with *"]
    )


@pytest.mark.parametrize(
    "option",
    ["--collect-only", "--setup-only", "--setup-plan", "--benchmark-disable", "--benchmark-skip"],
)
@pytest.mark.parametrize("gates", [GATES, (TIME,)], ids=["named", "all"])
def test_a_gate_in_a_session_that_trains_nothing_is_refused(saved, gates, option):
    result = saved.run(*gates, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *-fail* cannot judge a run that *; leave out --*"])


def test_a_gate_fails_if_all_rows_are_skipped(saved):
    for number in (1, 2):
        saved.add(number, "pytestmark = pytest.mark.skip")
    result = saved.run(*GATES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: failed*", "nothing was compared*"])


@pytest.mark.parametrize(
    ("args", "message"),
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
def test_an_option_without_its_gate_is_refused(suite, args, message):
    result = suite.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


FAILS = """
@pytest.fixture
def train(benchmark):
    raise OSError("no space left")
"""
DROPS = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "0.25" not in item.nodeid]
"""


class TestMissing:
    """A row that the baseline has and that this session selected but did not time."""

    @staticmethod
    def remove(suite, number=1):
        """Removes a row from a module."""
        module = suite.module(number)
        module.write_text(module.read_text().replace("(0.25, 0.5, 1.0)", "(0.5, 1.0)"))

    def fails(self, suite, *args, reason="no such test was collected", gates=ACCURACY):
        result = suite.run(*gates, *args)
        assert result.ret != pytest.ExitCode.OK
        row = ROW.replace("[", "[[]")
        result.stdout.fnmatch_lines(
            [
                "*gate: failed*",
                f"{row}: missing: in 000* but not in this run, although it was selected: {reason}",
                ACCEPT,
            ]
        )

    def is_noted(self, suite, *args, reason, gates=ACCURACY):
        result = suite.run(*gates, *args)
        row = ROW.replace("[", "[[]")
        result.stdout.fnmatch_lines(
            ["*gate: passed*", f"In 0001_* but not timed in this run ({reason}): *{row}*"]
        )
        result.stdout.no_fnmatch_line("*missing*")

    @pytest.mark.parametrize("args", [("-q",), ("-n", "2"), ("-k", "fake")], ids=" ".join)
    def test_a_removed_row_fails(self, saved, args):
        self.remove(saved)
        self.fails(saved, *args)

    def test_a_row_whose_module_was_removed_fails(self, saved):
        saved.module(1).unlink()
        self.fails(saved)

    def test_a_row_whose_module_is_not_collected_fails(self, saved):
        conftest = saved.path / "conftest.py"
        conftest.write_text(conftest.read_text() + "\ncollect_ignore = ['bench/test_1_fake.py']")
        self.fails(saved, "-n", "2")

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("pytestmark = pytest.mark.skip", "its test was skipped"),
            ("@pytest.fixture\ndef train():\n    1 / 0", "its test failed"),
        ],
        ids=["skipped", "failed"],
    )
    def test_a_row_that_was_not_timed_fails(self, saved, code, reason):
        saved.add(1, code)
        self.fails(saved, "-n", "2", reason=reason)

    @pytest.mark.parametrize("spread", ["0", "2"])
    @pytest.mark.parametrize(
        ("args", "reason"),
        [
            (("-k", "not 0.25"), "deselected"),
            (("--deselect", ROW), "deselected"),
            (("--ignore=bench/test_1_fake.py",), "not selected"),
            (("--ignore-glob=*test_1*",), "not selected"),
        ],
        ids=["k", "deselect", "ignore", "ignore-glob"],
    )
    def test_a_row_that_the_session_left_out_is_noted(self, saved, args, reason, spread):
        self.is_noted(saved, *args, "-n", spread, reason=reason)

    def test_a_row_that_a_plugin_dropped_is_noted(self, saved):
        """Even if the plugin does not report it as deselected."""
        conftest = saved.path / "conftest.py"
        conftest.write_text(conftest.read_text() + DROPS)
        self.is_noted(saved, "-n", "2", reason="deselected")

    def test_a_removed_row_that_k_does_not_name_is_noted(self, saved):
        self.remove(saved)
        self.is_noted(saved, "-k", "1.0", reason="not selected")

    def test_a_resumed_row_is_noted(self, saved):
        saved.run("-k", "0.25").assert_outcomes(passed=2)
        self.is_noted(saved, "--resume", reason="resumed")

    def test_a_row_that_the_session_did_not_reach_is_noted(self, saved):
        saved.add(2, FAILS)
        result = saved.run(*ACCURACY, "-x")
        result.stdout.fnmatch_lines(["In 0001_* but not timed in this run (the session *): *2_fake*"])

    def test_a_removed_row_fails_until_a_whole_run_lacks_it(self, saved_six, trained_again):
        self.remove(saved_six)
        self.fails(saved_six, gates=(TIME,))
        result = saved_six.run("--benchmark-save=accepted")
        assert result.ret == pytest.ExitCode.OK
        assert json.loads(saved_six.saved_runs()[-1].read_text())["whole"] is True
        assert saved_six.run(*ACCURACY).ret == pytest.ExitCode.OK
        for path in saved_six.saved_runs()[:-1]:
            content = json.loads(saved_six.saved_runs()[-1].read_text())
            old = json.loads(path.read_text())["benchmarks"]
            content["benchmarks"] = [old[0], *content["benchmarks"]] if "0001" in path.name else old
            path.write_text(json.dumps(content))
        for number in range(8, 13):
            path = saved_six.saved_runs()[-1]
            path.with_name(f"{number:04}_base.json").write_text(path.read_text())
        result = saved_six.run(TIME)
        result.stdout.no_fnmatch_line("*missing*")
        assert result.ret == pytest.ExitCode.OK

    @pytest.mark.parametrize(
        ("args", "whole"),
        [
            (("-q",), True),
            (("-n", "2"), True),
            (("-k", "fake"), True),
            (("-k", "0.25"), False),
            (("-k", "0.25", "-n", "2"), False),
            (("--ignore=bench/test_1_fake.py",), False),
            (("--ignore=docs",), True),
            (("--resume",), False),
        ],
        ids=str,
    )
    def test_a_saved_run_records_whether_it_is_whole(self, suite, args, whole):
        if "--resume" in args:
            suite.run("-k", "0.25").assert_outcomes(passed=2)
        assert suite.run("--benchmark-autosave", *args).ret == pytest.ExitCode.OK
        (path,) = suite.saved_runs()
        assert json.loads(path.read_text())["whole"] is whole

    def test_a_run_with_a_failed_row_is_not_whole(self, suite):
        suite.add(1, FAILS)
        suite.run("--benchmark-autosave")
        (path,) = suite.saved_runs()
        assert json.loads(path.read_text())["whole"] is False


class TestReporters:
    """Plugins that list tests see a failed gate as a failed test."""

    def failures(self, suite):
        (tests,) = ElementTree.parse(suite.path / "junit.xml").getroot()
        return tests.get("failures"), [
            (case.get("name"), case[0].text) for case in tests if len(case) and case[0].tag == "failure"
        ]

    @pytest.mark.parametrize("spread", ["0", "2"])
    def test_junit(self, saved, spread):
        change(saved, partial(scale, factor=1 / 3))
        result = saved.run(*GATES, "--junitxml=junit.xml", "-n", spread)
        count, ((name, text),) = self.failures(saved)
        assert (count, name) == ("1", "gate")
        assert len(text.splitlines()) == 6
        assert text.endswith("\nand 1 more")
        assert f"{ROW}: median 0.25 s" in text
        result.assert_outcomes(passed=6, failed=1)

    def test_a_gate_that_passes_is_not_listed(self, saved):
        saved.run(*GATES, "--junitxml=junit.xml").assert_outcomes(passed=6)
        assert self.failures(saved) == ("0", [])

    def test_a_failed_gate_stops_nothing_and_is_not_run_again(self, saved):
        change(saved, partial(scale, factor=1 / 3))
        result = saved.run(*GATES, "-x")
        result.assert_outcomes(passed=6, failed=1)
        result.stdout.no_fnmatch_line("*stopping after*")
        result.stdout.no_fnmatch_line("*[[]116%]*")
        result.stdout.fnmatch_lines(["*[[]100%]", "*_ gate _*", "FAILED gate - *"])
        cache = saved.path / ".pytest_cache" / "v" / "cache" / "lastfailed"
        assert not cache.exists() or "gate" not in json.loads(cache.read_text())


class TestVersions:
    """Saved runs that used other software are compared, and their versions reported."""

    @pytest.fixture
    def older(self, saved_six, trained_again):
        for path in saved_six.saved_runs():
            content = json.loads(path.read_text())
            content["machine_info"]["suite"].update(torch="2.12.0", python="3.10.1")
            path.write_text(json.dumps(content))
        return saved_six

    @pytest.mark.parametrize("gates", [ACCURACY, (TIME,)], ids=["named", "all"])
    def test_other_versions_are_reported(self, older, gates):
        result = older.run(*gates)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(
            [
                f"The saved runs used PyTorch 2.12.0; this run uses {torch.__version__}.",
                f"The saved runs used Python 3.10.1; this run uses {platform.python_version()}.",
            ]
        )
        assert gate_json(older)["versions"] == {
            "torch": {"now": torch.__version__, "saved": "2.12.0"},
            "python": {"now": platform.python_version(), "saved": "3.10.1"},
        }

    def test_equal_versions_are_not_reported(self, saved):
        saved.run(*ACCURACY).stdout.no_fnmatch_line("The saved runs used *")
        assert gate_json(saved)["versions"] == {}

    @pytest.mark.parametrize(
        "machine_info", [None, [], "x", {}, {"suite": None}, {"suite": [1]}, {"suite": {"torch": 7}}]
    )
    @pytest.mark.parametrize("gates", [ACCURACY, (TIME,)], ids=["named", "all"])
    def test_saved_runs_without_versions_are_accepted(
        self, saved_six, trained_again, machine_info, gates
    ):
        for path in saved_six.saved_runs():
            content = json.loads(path.read_text())
            del content["machine_info"]
            if machine_info is not None:
                content["machine_info"] = machine_info
            path.write_text(json.dumps(content))
        assert saved_six.run(*gates).ret == pytest.ExitCode.OK
        assert gate_json(saved_six)["versions"] == {}


class TestGitHub:
    """Under GitHub Actions, the result also goes to annotations and the job's summary."""

    @pytest.fixture
    def summary(self, suite, monkeypatch):
        path = suite.path / "summary.md"
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
        return path

    def test_a_failure_is_an_error(self, saved, summary):
        change(saved, faster_before)
        result = saved.run(*GATES)
        result.stdout.fnmatch_lines(
            [f"::error title=Minibatch bench%2C slower::{ROW.replace('[', '[[]')}: median 0.25 s*"]
        )
        text = summary.read_text()
        assert text.startswith("## Gate: failed\n")
        assert f"| {ROW} | slower | median 0.25 s" in text
        assert f"- {ACCEPT}" in text

    def test_an_inconclusive_row_is_a_warning(self, saved, summary):
        def worse(benchmark):
            if benchmark["fullname"] == ROW:
                benchmark["extra_info"]["test_accuracy"] = [0.5]

        change(saved, worse)
        result = saved.run(*ACCURACY)
        result.stdout.fnmatch_lines(["::warning title=Minibatch bench%2C inconclusive::one seed *"])
        assert "::error" not in result.stdout.str()
        assert summary.read_text().startswith("## Gate: inconclusive\n")

    def test_properties_and_messages_are_escaped_as_github_does(self, summary):
        """Like `escapeProperty` and `escapeData` in @actions/core."""
        lines = []
        tell_github("", [("error", "a: b, 5 %\r\n", "a: b, 5 %\r\n")], lines.append)
        assert lines == ["::error title=Minibatch bench%2C a%3A b%2C 5 %25%0D%0A::a: b, 5 %25%0D%0A"]

    def test_percent_signs_are_escaped_in_annotations(self, saved_six, trained_again, summary):
        change(saved_six, faster_before)
        result = saved_six.run(TIME)
        result.stdout.fnmatch_lines(["::error *: 200 %25 slower *(95 %25 interval *"])
        assert "200 % slower than in 6 saved runs (95 % interval" in summary.read_text()


@pytest.mark.parametrize(
    "gates", [ACCURACY, (TIME,), ("--benchmark-compare",)], ids=["named", "all", "none"]
)
def test_a_damaged_saved_run_is_named_and_refused(suite, gates):
    folder = suite.path / ".benchmarks" / "Linux-CPython-3.11-64bit"
    folder.mkdir(parents=True)
    (folder / "0001_base.json").write_text('{"benchmarks": [{"fullname": ')
    result = suite.run(*gates)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the saved run *0001_base.json cannot be read: *"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert not suite.report.exists()
