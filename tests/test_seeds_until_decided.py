"""Claims that seeds leave open: their rows, and no others, get more seeds until they are decided."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from harness.accuracy import end_apart, format_accuracy
from harness.exercise import Published
from harness.files.record import TrainingRecord
from harness.files.summary import Summary
from harness.looks import Looks
from harness.report import tables
from harness.report.changes import compare_runs
from harness.report.load import load_run
from harness.report.seed_counts import seeds_each
from harness.results.records import to_case, to_record, to_training
from harness.results.seed_blocks import of_first_seeds, with_more_seeds
from harness.stats import accuracy_exceeds, deciding_at, exceeds, welch_interval
from model.experiment import Experiment
from model.optimizers import SGD
from model.train import train
from tests.conftest import ROOT
from tests.data import made_up
from tests.made_up_runs import record

# Seed s ends at 0.95 + s / 1000 (see fakes.train): 0.9504 is passed clearly with 8 seeds, not with 4.
CLAIMS = """
from harness.claim import claim
from harness.verdicts import NOT_REPRODUCED
from harness.stats import exceeds

@claim("It ends above 0.9504.")
def test_ends_above(trained, decide):
    of = trained("sgd-lr0.5")
    decide(exceeds(of.test_accuracy[-1], 0.9504), f"{of.seeds} in {of.seconds} s.")

@pytest.fixture
def two(trained):
    return trained("sgd-lr0.25"), trained("sgd-lr0.5")

@claim("They differ.")
def test_they_differ(two, decide):
    ours, theirs = two
    decide(exceeds(ours.test_accuracy[-1] + 0.1, theirs.test_accuracy[-1]), f"{ours.seeds}")

@claim("It is left open by something else.")
def test_something_else(trained, decide):
    decide(None, f"{trained('sgd-lr0.25').seeds}.", open_because="Who knows.")
"""
COMMAND = ("--replicates", "2", "--seeds-until-decided")


def claims_of(suite):
    summary = suite.summary()
    return {each["text"]: (each["verdict"], each["evidence"]) for each in summary["claims"]}


def seeds_of(suite):
    return {
        case["id"].partition("::test_")[2]: case["seeds"]
        for case in suite.summary()["cases"]
        if "test_1" in case["id"]
    }


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "n2"])
def test_only_the_rows_of_an_open_claim_get_more_seeds(suite, workers):
    suite.add(1, CLAIMS)
    result = suite.run(*COMMAND, "8", *workers, "--benchmark-json=saved.json")
    result.assert_outcomes(passed=9)
    assert claims_of(suite) == {
        "It ends above 0.9504.": ("holds", "(0, 1, 2, 3, 4, 5, 6, 7) in 0.5 s. Decided with 8 seeds."),
        # It looks at two seeds, whatever the other claim has added.
        "They differ.": ("holds", "(0, 1)"),
        "It is left open by something else.": ("inconclusive", "(0, 1). Who knows."),
    }
    assert seeds_of(suite) == {
        "training[sgd-lr0.25]": [0, 1],
        "training[sgd-lr0.5]": [*range(8)],
        "training[sgd-lr1.0]": [0, 1],
    }
    result.stdout.fnmatch_lines(
        [
            "Accuracies are final test accuracies, means with 95 % intervals: 2 seeds each,",
            "  and up to 8 for 1 row on which claims were open.",
            "Each claim is decided with the first of 2, 4 and 8 seeds that suffice, by 98.33",
            "  % intervals, so that all looks together have 95 % confidence (Bonferroni).",
            "Times are of training alone, for the first 2 seeds, each on its own cores or",
        ]
    )
    # Saved runs have the seeds, and the times, that other runs have.
    saved = json.loads((suite.path / "saved.json").read_text())["benchmarks"]
    assert {len(each["extra_info"]["seeds"]) for each in saved} == {2}
    assert sorted(each["extra_info"]["seconds"] for each in saved) == [0.25, 0.25, 0.5, 0.5, 1, 1]


def test_a_claim_may_stay_open(suite):
    suite.add(1, CLAIMS)
    suite.run(*COMMAND, "5").assert_outcomes(passed=9)
    verdict, evidence = claims_of(suite)["It ends above 0.9504."]
    assert verdict == "inconclusive"
    assert evidence == "(0, 1, 2, 3, 4) in 0.5 s. The intervals of 5 seeds leave it open."


def test_a_run_is_continued_with_the_seeds_that_it_has(suite):
    suite.add(1, CLAIMS)
    suite.run(*COMMAND, "5").assert_outcomes(passed=9)
    suite.add(2, "import harness.plugin.fixtures")  # nothing else may train exercise 1
    suite.run(*COMMAND, "5").assert_outcomes(passed=9)
    before = claims_of(suite)
    suite.run(*COMMAND, "5", "--resume").assert_outcomes(passed=9)
    assert claims_of(suite) == before
    suite.run(*COMMAND, "8", "--resume").assert_outcomes(passed=9)
    assert claims_of(suite)["It ends above 0.9504."][0] == "holds"
    (case,) = [each for each in suite.summary()["cases"] if len(each["seeds"]) > 2]
    # The looks of the first session were at 2, 4 and 5 seeds, those of the last one at 2, 4 and 8.
    assert [each["seeds"] for each in case["added"]] == [[2, 3], [4], [5, 6, 7]]
    assert case["seeds"] == [*range(8)]


def decide(suite, name):
    """Decides the claims of the suite's latest run again, in the folder `name`."""
    command = [sys.executable, "-m", "harness", "decide", suite.report, "--study", suite.path / "bench"]
    done = subprocess.run(
        [*command, "--report-dir", suite.path / name], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_kept_run_is_decided_again_with_the_seeds_that_it_has(suite):
    suite.add(1, CLAIMS)
    suite.run(*COMMAND, "8")
    decide(suite, "again")
    again = json.loads((suite.path / "again" / "summary.json").read_text())
    assert again["claims"] == suite.summary()["claims"]
    assert again["seeds_until_decided"] == 8

    # A claim that was decided when it was made, and would be open today, finds no more seeds.
    code = suite.module(1).read_text()
    always = "exceeds(ours.test_accuracy[-1] + 0.1, theirs.test_accuracy[-1])"
    suite.module(1).write_text(code.replace(always, "None"))
    decide(suite, "open")
    found = json.loads((suite.path / "open" / "summary.json").read_text())["claims"]
    (now,) = [each for each in found if each["text"] == "They differ."]
    assert now["verdict"] == "inconclusive"
    assert now["evidence"] == "(0, 1) The intervals of 2 seeds leave it open."


def test_measurements_get_more_seeds_too(suite):
    suite.add(
        1,
        """
from dataclasses import replace
from harness.claim import claim
from harness.stats import exceeds

EXERCISE = replace(EXERCISE, measurements={"seed": lambda data, seed: {"is": seed / 1000}})

@claim("It is above 0.0004.")
def test_above(measured, trained, decide):
    found = [each["is"] for each in measured("seed")]
    same = trained("sgd-lr0.5").test_accuracy[-1] - 0.95
    decide(exceeds(found, same, by=-0.0004) and None, f"{found}")

@claim("It is measured.")
def test_measured(measured, decide):
    decide(True, f"{measured('seed')}")
""",
    )
    suite.run(*COMMAND, "3").assert_outcomes(passed=8)
    assert claims_of(suite)["It is above 0.0004."][1].startswith("[0.0, 0.001, 0.002]")
    # It looks at two seeds, whatever the other claim has added.
    assert claims_of(suite)["It is measured."][1] == "[{'is': 0.0}, {'is': 0.001}]"


def test_a_failing_claim_is_looked_at_once(suite):
    suite.add(
        1,
        """
from harness.claim import claim

@claim("It fails.")
def test_it_fails(trained, decide):
    print("looked at", trained("sgd-lr0.5").seeds)
    assert False
""",
    )
    result = suite.run(*COMMAND, "8")
    result.assert_outcomes(passed=6, failed=1)
    assert [line for line in result.outlines if line.startswith("looked at")] == ["looked at (0, 1)"]


@pytest.mark.parametrize("other", [("--shard", "1/2"), ("--cluster", "auto")])
def test_it_needs_the_rows_here(suite, other):
    line = suite.refused(*COMMAND, "8", *other)
    assert line == (
        f"ERROR: --seeds-until-decided cannot be combined with {other[0]}, which trains rows "
        "outside the session that decides the claims; leave one out"
    )


def test_as_many_seeds_as_the_run_has_are_too_few(suite):
    line = suite.refused(*COMMAND, "2")
    assert line == "ERROR: --seeds-until-decided is '2'; expected a whole number from 3 to 999999"


# The sequential rule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "most", "seeds", "percent"),
    [
        (5, 5, (5,), 95),
        (5, 6, (5, 6), 97.5),
        (5, 10, (5, 10), 97.5),
        (5, 20, (5, 10, 20), 98.3333),
        (5, 21, (5, 10, 20, 21), 98.75),
        (1, 8, (1, 2, 4, 8), 98.75),
    ],
)
def test_looks(first, most, seeds, percent):
    looks = Looks(first, most)
    assert looks.seeds == seeds
    assert 100 * looks.confidence == pytest.approx(percent, abs=1e-3)


def test_looking_again_and_again_errs_no_more_than_looking_once():
    """Rows of equal accuracy, 4,000 times, with looks at 3 to 24 seeds: 95 % intervals err in 15 %."""
    looks, drawn = Looks(3, 24), np.random.default_rng(0).normal(size=(4000, 24))

    def errors(confidence):
        with deciding_at(confidence):
            return np.mean(
                [any(exceeds(each[:at], 0) is not None for at in looks.seeds) for each in drawn]
            )

    assert 0.02 < errors(looks.confidence) < 0.05 < 0.1 < errors(0.95)


def test_the_confidence_is_that_of_all_comparisons():
    close = [0.9, 0.91, 0.92, 0.93]  # 0.915 ± 0.0205 with 95 %, ± 0.0262 with 97.5 %
    one = [0.9]  # ± 0.0186 with 95 % of 1,000 images, ± 0.0213 with 97.5 %
    apart = ([1.0, 1.1, 1.2], [0.8, 0.9, 1.0])  # 0.2 ± 0.227 with 95 %
    assert exceeds(close, 0.892) is True
    assert accuracy_exceeds(one, 0.88, examples=1000) is True
    width = np.diff(welch_interval(*apart))
    with deciding_at(0.975):
        assert exceeds(close, 0.892) is None
        assert accuracy_exceeds(one, 0.88, examples=1000) is None
        assert np.diff(welch_interval(*apart)) > 1.2 * width
    assert exceeds(close, 0.892) is True


# Records ----------------------------------------------------------------------------------------------


def training_of(*seeds):
    experiment = Experiment(optimizer=SGD(0.5), batch_size=100, epochs=2)
    return train(experiment, made_up(), seeds=seeds, engine="eager")


def trained_record(*seeds):
    return record("bench/test_1_x.py", "row", training_of(*seeds), Published())


def content_of(*seeds):
    return to_record(training_of(*seeds), threads=1, left_out={}, published=Published())


def test_added_seeds_make_the_training_of_all_seeds_but_for_times():
    first, more, all_three = trained_record(0, 1), content_of(2), trained_record(0, 1, 2)
    extended = TrainingRecord.model_validate(with_more_seeds(first, more))
    assert (extended.timed_seeds, extended.seeds) == (2, [0, 1, 2])
    assert extended.all_seconds == first.seconds + more["seconds"]
    for name in ("seconds", "epoch_seconds", "prepare_seconds", "run"):
        assert getattr(extended, name) == getattr(first, name)
    for name in ("test_accuracy", "train_loss", "predictions", "outcomes", "observed"):
        assert getattr(extended, name) == getattr(all_three, name)
    again = of_first_seeds(to_training(extended), 2)
    for name, value in vars(to_training(first)).items():
        np.testing.assert_equal(getattr(again, name), value, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"added": []}, "it has 3 seeds, but 2 replicates"),
        ({"added": [{"seeds": [1], "seconds": 1.0}]}, "seeds does not end with the added ones, [1]"),
        ({"added": [{"seeds": [0, 1, 2], "seconds": 1.0}]}, "seeds does not end with the added ones"),
        ({"added": [{"seeds": [2], "seconds": -1.0}]}, "greater than or equal to 0"),
        ({"added": [{"seeds": [], "seconds": 1.0}]}, "at least 1 item"),
        ({"added": [{"seeds": [1, 2], "seconds": 1.0}]}, "it has 1 seed, but 2 replicates"),
    ],
)
def test_records_that_contradict_themselves_are_refused(changes, why):
    extended = with_more_seeds(trained_record(0, 1), content_of(2))
    with pytest.raises(ValueError, match=re.escape(why)):
        TrainingRecord.model_validate(extended | changes)


# Tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracies", "text"),
    [
        ([0.5], "0.500"),
        ([0.5, 0.5], "0.500 ± 0.000"),
        ([0.98, 0.981, 0.982], "0.981 ± 0.002"),
        ([0.96, 0.98], "0.970 (0.843 to 1)"),
        ([0.001, 0.003, 0.02], "0.008 (0 to 0.034)"),
        # Two places: the widest gap is more than half of the range, and 5 points.
        ([0.115, 0.113, 0.522], "0.113 to 0.522"),
        ([0.5, 0.25, 0.75], "0.500 (0 to 1)"),
        ([0, 0.05], "0.000 to 0.050"),
        ([0, 0.049], "0.025 (0 to 0.336)"),
        ([0.1, 0.15, 0.2, 0.25], "0.175 ± 0.103"),
        ([0.1, 0.149], "0.124 (0 to 0.436)"),
        ([0.1, 0.1501], "0.100 to 0.150"),
    ],
)
def test_accuracies_in_words(accuracies, text):
    assert format_accuracy(accuracies) == text
    assert end_apart(accuracies) == (" to " in text and "(" not in text)


def case_of(*seeds, outcomes=None, added=0):
    found = to_case(trained_record(*seeds), resumed=False)
    extra = [{"seeds": [*seeds[-added:]], "seconds": 3.0}] if added else []
    return type(found).model_validate(
        found.model_dump() | {"added": extra} | ({"outcomes": outcomes} if outcomes else {})
    )


def test_outcomes_are_counted_if_seeds_differ():
    mixed = case_of(0, 1, 2, outcomes=["learned", "chance", "chance"])
    assert tables.cells_of(mixed).outcome == "2 chance, 1 learned"
    alike = case_of(0, 1, 2, outcomes=["chance"] * 3)
    assert tables.cells_of(alike).outcome == alike.outcome
    earlier = alike.model_copy(update={"outcomes": []})
    assert tables.cells_of(earlier).outcome == alike.outcome


def test_seeds_in_words():
    assert seeds_each([case_of(0)]) == "one seed each"
    assert seeds_each([case_of(0, 1), case_of(0, 1)]) == "2 seeds each"
    mixed = [case_of(0, 1, 2, 3, added=2), case_of(0, 1), case_of(0, 1, 2, added=1)]
    assert seeds_each(mixed) == "2 seeds each, and up to 4 for 2 rows on which claims were open"


def test_times_of_rows_with_added_seeds_are_per_seed(suite):
    suite.add(1, CLAIMS)
    suite.run(*COMMAND, "8")
    more = suite.report.resolve()
    suite.run("--replicates", "2")
    changes = compare_runs(load_run(more), load_run(suite.report.resolve()))
    assert {each.ratio for each in changes.differences} == {1}
    summary = Summary.model_validate(suite.summary())
    assert (summary.seeds_until_decided, [case.added for case in summary.cases]) == (None, [[]] * 6)
