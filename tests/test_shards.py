"""`--shard K/N`: every machine cuts the rows alike, and says what is in another shard."""

import json
from statistics import median

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.engine_speeds.nominal import nominal_seconds
from harness.exercise import row_name
from harness.files import sealed
from harness.files.summary import Summary
from harness.plugin.shards import cut
from harness.study import load_study
from tests.bench_modules import EXERCISES, bench_module
from tests.conftest import ROOT
from tests.properties import at_any_speed

CLAIMS = """
from dataclasses import replace
from harness.claim import claim

EXERCISE = replace(EXERCISE, measurements={"odd": lambda data, seed: {"x": seed}})

@claim("It is about one row.")
def test_one(trained, decide):
    decide(trained("sgd-lr0.25").outcome == "learned", "Yes.")

@claim("It is about all rows.")
def test_all(trained, decide):
    decide(len(trained.where()) == 3, "Yes.")

@claim("It is about a row and a measurement.")
def test_measured(trained, measured, decide):
    trained("sgd-lr1.0")
    decide(measured("odd") == [{"x": 0}], "Yes.")
"""


def quick_costs():
    study = load_study(ROOT / "bench").study
    return {
        f"{name}[{row.name}]": nominal_seconds(study.experiment(exercise, row, "quick", "mnist"), "auto")
        for name in EXERCISES
        for exercise in [bench_module(name).EXERCISE]
        for row in exercise.rows
    }


def test_four_shards_of_the_quick_suite_take_equally_long():
    seconds = cut(quick_costs(), 4).seconds
    assert max(seconds) < 1.1 * min(seconds)


def test_the_forecast_is_near_the_published_times():
    """Up to a factor for the machine; an engine that skips zeros is faster on some rows than others."""
    kept = sealed.read_model(ROOT / "reports/published/epyc-1-core/summary.json", Summary)
    ratios = [case.seconds / nominal_seconds(case.experiment, case.engine) for case in kept.cases]
    assert median(ratios) / 2 < min(ratios)
    assert max(ratios) < 2 * median(ratios)
    near = [each for each in ratios if abs(each / median(ratios) - 1) < 0.25]
    assert len(near) > len(ratios) / 2


@at_any_speed
@example({"a": 1.0, "b": 1.0}, 2)
@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1e6), max_size=30), st.integers(1, 9))
def test_each_row_is_in_one_shard_and_none_is_longer_than_needed(costs, count):
    found = cut(costs, count)
    assert found.shards.keys() == costs.keys()
    assert {*found.shards.values()} <= {*range(1, count + 1)}
    # The bound of taking the longest first: at most the mean and the longest row.
    assert max(found.seconds) <= sum(costs.values()) / count + max(costs.values(), default=0) + 1e-6
    assert found == cut(dict(reversed(costs.items())), count)


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_shards_have_all_rows_once_and_name_what_is_elsewhere(suite, workers):
    suite.add(1, CLAIMS)
    rows, claims, measurements = [], [], 0
    for index in (1, 2):
        folder = suite.path / f"shard {index}"
        result = suite.run(
            f"--shard={index}/2", "-n", workers, f"--report-dir={folder}", "-rs", "--replicates=1"
        )
        assert result.ret == 0
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["shard"] == f"{index}/2"
        listed = [case for each in summary["exercises"] for case in each["cases"]]
        assert listed == [case["id"] for case in summary["cases"]]
        rows += listed
        claims += [claim["id"].partition("::")[2] for claim in summary["claims"]]
        measurements += len([*(folder / "runs").glob("*odd*")])
        result.stdout.fnmatch_lines(
            [
                "*Not decided in this run: * of 3 claims*",
                f"Shard {index} of 2: * rows. The other rows*",
                f"SKIPPED*not in this shard: row sgd-lr* is in shard {3 - index}/2",
            ]
        )
        assert "Did not run" not in result.stdout.str()
    assert len(rows) == len({*rows}) == 6
    assert "test_all" not in claims
    assert claims.count("test_one") == 1
    assert measurements == 1


def test_a_selection_is_cut_and_its_rows_are_balanced(suite):
    for index in (1, 2):
        folder = suite.path / f"shard-{index}"
        suite.run(f"--shard={index}/2", "-k", "0.5", f"--report-dir={folder}").assert_outcomes(
            passed=1, deselected=5
        )


def test_more_shards_than_rows_are_refused(suite):
    line = suite.refused("--shard=7/7")
    assert line == (
        "ERROR: --shard is '7/7', which has none of the selected rows; expected fewer shards, or more "
        "rows"
    )
    result = suite.run("--shard=7/7", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("option", ["--lf", "--sw"])
def test_a_selection_by_what_ran_on_this_machine_is_refused(suite, option):
    assert suite.refused("--shard=1/2", option) == (
        f"ERROR: --shard cannot be combined with {option}, which selects rows by what ran on this "
        "machine; leave one out"
    )


DIVIDES = """
def pytest_addoption(parser):
    parser.addoption("--splits", type=int)

def pytest_collection_modifyitems(config, items):
    gone = [each for each in items if "0.5" in each.nodeid]
    config.hook.pytest_deselected(items=gone)
    items[:] = [each for each in items if each not in gone]
"""


def test_rows_that_another_plugin_puts_into_another_shard_are_not_trained_here(suite):
    """pytest-split and pytest-shard deselect the rows of other machines, and keep their claims."""
    (suite.path / "divides.py").write_text(DIVIDES)
    suite.add(1, CLAIMS)
    result = suite.run("-p", "divides", "--splits=2", "-rs")
    result.assert_outcomes(passed=6, skipped=1, deselected=2)
    result.stdout.fnmatch_lines(["*not in this shard: row sgd-lr0.5"])
    assert len([record for record in suite.records() if "experiment" in record]) == 4


def test_the_cut_does_not_depend_on_what_a_machine_has(suite):
    suite.run("--benchmark-autosave").assert_outcomes(passed=6)
    shares = []
    for run in range(2):
        folder = suite.path / f"report-{run}"
        suite.run("--shard=1/2", f"--report-dir={folder}")
        cases = json.loads((folder / "summary.json").read_text())["cases"]
        shares.append([row_name(case["id"]) for case in cases])
    assert shares[0] == shares[1]
    assert len(shares[0]) == 3
