"""The gates: held by their own baseline, failed by worse, never green over nothing."""

import json

import pytest

from harness.timing.gate import compare

GATES = ("--benchmark-compare", "--benchmark-compare-fail=median:15%", "--accuracy-compare-fail=1")
ALIKE = {
    "scale": "quick",
    "dataset": "mnist",
    "timing": "exclusive",
    "device": "cpu",
    "device_name": "A",
    "engine": "eager",
}


def case(*accuracies, **changed):
    return {"case": {**ALIKE, "test_accuracy": list(accuracies), **changed}}


def falls(before, after, points=1.0):
    failures, _ = compare(case(*after), case(*before), points=points, times=False)
    return failures != []


def test_one_seed_a_side_is_gated_by_the_bare_difference():
    assert not falls([0.95], [0.9401])
    assert falls([0.95], [0.9399])
    assert not falls([0.95], [0.99])
    assert not falls([0.5], [0.25], points=25.0), "by 25 points is not by more"
    assert falls([0.5], [0.25], points=24.0)


def test_one_seed_on_either_side_is_enough_for_that():
    assert falls([0.95, 0.99], [0.90])
    assert falls([0.95], [0.88, 0.92])


def test_a_fall_without_any_spread_is_no_chance():
    assert falls([0.95, 0.95], [0.93, 0.93])


def test_several_seeds_are_gated_by_what_is_significant():
    assert falls([0.950, 0.951, 0.952], [0.930, 0.931, 0.932])
    assert not falls([0.90, 0.95, 0.99], [0.85, 0.93, 0.99]), "two points that may be chance"
    assert not falls([0.950, 0.951, 0.952], [0.942, 0.943, 0.944]), "significant, but under one point"


def test_the_sides_need_not_scatter_alike():
    """By Welch's test this fall may be chance (p = 0.13); by Student's it could not be (0.001)."""
    assert not falls([0.949, 0.950, 0.950, 0.951, 0.951, 0.952], [0.90, 0.93])


@pytest.mark.parametrize("name", ["scale", "dataset", "timing", "device", "engine"])
def test_what_differs_is_named(name):
    (failure,), _ = compare(case(0.95), case(0.95, **{name: "other"}), points=1.0, times=False)
    assert f"cannot be compared: {name} other there, {ALIKE[name]} here" in failure


def test_another_model_of_cpu_matters_to_times_alone():
    there = case(0.95, device_name="B")
    assert compare(case(0.95), there, points=1.0, times=False)[0] == []
    assert "device_name B there, A here" in compare(case(0.95), there, points=None, times=True)[0][0]


def test_nothing_in_common_fails():
    failures, _ = compare(case(0.95), {"other": {}}, points=1.0, times=False)
    assert failures == ["nothing was compared: this run and the baseline have no case in common"]


def change(suite, edit):
    """Edits every case of the saved baseline."""
    (path,) = (suite.path / ".benchmarks").rglob("*.json")
    content = json.loads(path.read_text())
    for benchmark in content["benchmarks"]:
        edit(benchmark)
    path.write_text(json.dumps(content))


@pytest.fixture
def saved(suite):
    suite.run("--benchmark-autosave").assert_outcomes(passed=6)
    return suite


def test_a_run_holds_against_its_own_baseline(saved):
    for spread in ("0", "2"):
        result = saved.run(*GATES, "-n", spread)
        result.assert_outcomes(passed=6)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*gate: held*", "gated: 6 cases*"])


def test_a_baseline_three_times_as_fast_fails_it(saved):
    def faster(benchmark):
        for name in ("min", "max", "mean", "median"):
            benchmark["stats"][name] /= 3

    change(saved, faster)
    result = saved.run(*GATES, "-n", "2")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.USAGE_ERROR)
    assert "Performance has regressed" in result.stderr.str() + result.stdout.str()


def test_a_baseline_two_points_better_fails_it(saved):
    def better(benchmark):
        info = benchmark["extra_info"]
        info["test_accuracy"] = [accuracy + 0.02 for accuracy in info["test_accuracy"]]

    change(saved, better)
    for spread in ("0", "2"):
        result = saved.run(*GATES, "-n", spread)
        result.assert_outcomes(passed=6)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "*gate: failed*",
                "*sgd-lr0.25*: test accuracy fell from 0.9700 to 0.9500, by more than 1 points*",
            ]
        )


def test_an_empty_storage_fails_it(suite):
    result = suite.run(*GATES, "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *no readable baseline in file://./.benchmarks; make one with*"])
    assert not suite.report.exists()


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
    result.stdout.fnmatch_lines(["*cannot be compared: engine steam there, eager here*"])


def test_a_baseline_with_some_of_the_cases_gates_these_and_lists_the_others(suite):
    suite.run("--benchmark-autosave", "-k", "test_1").assert_outcomes(passed=3)
    result = suite.run(*GATES, "-n", "2")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["not gated, not in the baseline: *test_2_fake*sgd-lr0.25*", "gated: 3 cases*"]
    )


def test_a_gate_over_nothing_measured_fails(saved):
    result = saved.run(*GATES, "--benchmark-disable")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*gate: failed*", "nothing was compared*"])


STATS = {"min": 1, "max": 1, "mean": 1, "median": 1, "stddev": 0, "iqr": 0, "rounds": 1, "iterations": 1}
CASE = {"fullname": "bench/test_1_fake.py::test_training[sgd-lr0.25]", "stats": STATS}
DAMAGED = {
    "empty": "",
    "cut short": '{"benchmarks": [{"fullname": ',
    "a list": "[]",
    "of numbers": {"machine_info": {}, "benchmarks": [1, 2]},
    "no machine": {"benchmarks": [{**CASE, "extra_info": {"test_accuracy": [0.9]}}]},
    "no names": {"machine_info": {}, "benchmarks": [{"stats": STATS}]},
    "no list of info": {"machine_info": {}, "benchmarks": [{**CASE, "extra_info": []}]},
    "no accuracies": {
        "machine_info": {},
        "benchmarks": [{**CASE, "extra_info": {"test_accuracy": "high"}}],
    },
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_baseline_is_refused(suite, content):
    folder = suite.path / ".benchmarks" / "Linux-CPython-3.11-64bit"
    folder.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "0001_base.json").write_text(text)
    result = suite.run("--benchmark-compare", "--accuracy-compare-fail", "1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --*-compare*: *baseline*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert not suite.report.exists()
