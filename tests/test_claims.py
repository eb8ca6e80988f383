"""Claims: verdicts, what the quick scale lacks, and verdicts that change."""

import pytest

CLAIMS = """
from harness.claim import REPRODUCED, NOT_REPRODUCED, claim
from harness.stats import exceeds

@claim("Slow is slower.", source="Table 1", expected=REPRODUCED)
def test_slow_is_slower(trained, decide):
    slow, fast = trained("sgd-lr1.0"), trained("sgd-lr0.25")
    decide(slow.seconds > fast.seconds, f"{slow.seconds} s and {fast.seconds} s.")

@claim("Seeds <b>agree</b>.", source="Table 2", expected=REPRODUCED)
def test_seeds_agree(trained, decide):
    decide(exceeds(trained("sgd-lr0.5").test_accuracy[-1], 0.9504), "It is 0.95.")

@claim("It ends at 1.", source="Table 3", expected=NOT_REPRODUCED, needs="more epochs")
def test_it_ends(trained, decide):
    decide(False, "It ends at 0.95.")

@claim("It is known otherwise.", source="Table 4", expected=NOT_REPRODUCED)
def test_it_is_known_otherwise(decide):
    decide(True, "So it is.")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "n2"])
def test_verdicts(suite, workers):
    suite.add(1, CLAIMS)
    result = suite.run("--replicates", "2", *workers)
    result.assert_outcomes(passed=9, failed=1)
    found = {claim["id"].partition("::")[2]: claim for claim in suite.summary()["claims"]}
    assert list(found) == [
        "test_slow_is_slower", "test_seeds_agree", "test_it_ends", "test_it_is_known_otherwise",
    ]  # fmt: skip
    verdicts = [claim["verdict"] for claim in found.values()]
    assert verdicts == ["reproduced", "inconclusive", "not testable at this scale", "reproduced"]
    assert found["test_slow_is_slower"]["evidence"] == "1.0 s and 0.25 s."
    assert found["test_seeds_agree"]["evidence"] == (
        "It is 0.95. The intervals of 2 seeds leave it open."
    )
    assert found["test_it_ends"]["evidence"] == "It ends at 0.95. It needs more epochs."
    assert found["test_slow_is_slower"]["exercise"] == 1
    assert found["test_slow_is_slower"]["source"] == "Table 1"
    result.stdout.fnmatch_lines(
        [
            "verdict changed: expected not reproduced, got reproduced: So it is.",
            "Claims: 2 reproduced, 0 not reproduced, 1 inconclusive, 1 not testable at this scale",
            "1. Slow is slower. *reproduced *1.0 s and 0.25 s.",
        ]
    )
    assert "| Slow is slower." in (suite.report / "summary.md").read_text()


def test_a_claim_alone_trains_what_it_needs_and_the_others_are_counted(suite):
    suite.add(1, CLAIMS)
    result = suite.run("-k", "slow_is_slower")
    result.assert_outcomes(passed=1)
    assert [case.partition("lr")[2] for case in suite.cases()] == ["0.25]", "1.0]"]
    result.stdout.fnmatch_lines(["Not decided in this run: 3 of 4."])


def test_the_papers_scale_lacks_nothing_and_other_data_have_no_known_verdicts(suite):
    suite.add(1, CLAIMS)
    result = suite.run("--scale", "paper", "--dataset", "kmnist", "-k", "it_")
    result.assert_outcomes(passed=2)
    found = {claim["text"]: claim["verdict"] for claim in suite.summary()["claims"]}
    assert found == {"It ends at 1.": "not reproduced", "It is known otherwise.": "reproduced"}


def test_measurements_are_made_once_for_every_seed_and_kept(suite):
    suite.add(
        2,
        """
def measure(data, seed):
    with open("measured.txt", "a") as file:
        file.write(f"{seed} ")
    return {"value": seed * 1.5, "open": float("nan")}

EXERCISE.measurements["odd"] = measure

@pytest.mark.parametrize("again", (1, 2))
def test_measured(measured, again):
    assert [each["value"] for each in measured("odd")] == [0, 1.5]
""",
    )
    suite.run("-n", "2", "--replicates", "2", "-k", "test_measured").assert_outcomes(passed=2)
    assert (suite.path / "measured.txt").read_text() == "0 1 "
    record = suite.record("test_2_fake.odd")
    assert (record["id"], record["seeds"]) == ("bench/test_2_fake.py::odd", [0, 1])
    assert record["measured"][1] == {"value": 1.5, "open": "NaN"}
