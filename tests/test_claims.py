"""Claims: their verdicts, what the quick scale cannot decide, and verdicts that change."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from harness import atomic_json
from harness.claim import claim
from harness.files.measured import MeasurementError, checked, restored
from harness.results.exercise_stories import told
from harness.verdicts import DOES_NOT_HOLD, HOLDS, INCONCLUSIVE, REPRODUCED, counted_verdict

CLAIMS = """
from harness.claim import claim
from harness.verdicts import REPRODUCED, NOT_REPRODUCED
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
    assert found["test_slow_is_slower"]["rows"] == ["sgd-lr0.25", "sgd-lr1.0"]
    assert found["test_slow_is_slower"]["source"] == "Table 1"
    result.stdout.fnmatch_lines(
        [
            "verdict changed: expected not reproduced, got reproduced: So it is.",
            "inconclusive: Seeds <b>agree</b>.",
            "    It is 0.95. The intervals of 2 seeds leave it open.",
            "Claims: 2 reproduced, 1 inconclusive, 1 not testable at this scale.",
        ]
    )
    assert "1.0 s and 0.25 s." not in result.stdout.str(), "it is on the page"
    assert "| Slow is slower." in (suite.report / "summary.md").read_text()


def test_a_claim_that_stays_open_says_why(suite):
    suite.add(
        1,
        TEST
        + """
@claim("One seed cannot decide it.", criterion="By hand.", shown_in="learning-rate")
def test_one_seed(trained, decide):
    decide(None, "It is 0.95.")

@claim("It may still happen.")
def test_still(trained, decide):
    decide(None, "It is 0.95.", open_because="It still rises.")

@claim("Times do not depend on the test set.")
def test_times(trained, decide):
    decide(None, "It takes 1 s.", timed={"one": trained("sgd-lr1.0")})

@claim("A reason for None alone.")
def test_true(trained, decide):
    decide(True, "It is 0.95.", open_because="It still rises.")
""",
    )
    suite.run("-k", "test_one_seed or test_still or test_times or test_true").assert_outcomes(passed=4)
    one, still, times, true = suite.summary()["claims"]
    assert one["evidence"] == (
        "It is 0.95. With one seed, the difference is within the sampling error of the test set."
    )
    assert (one["criterion"], one["shown_in"]) == ("By hand.", "learning-rate")
    assert still["evidence"] == "It is 0.95. It still rises."
    assert times["evidence"] == "It takes 1 s. The times vary too much to tell."
    assert (true["verdict"], true["evidence"]) == ("holds", "It is 0.95.")


def test_an_exercise_tells_its_story_and_its_guesses(suite):
    suite.add(
        1,
        """
import dataclasses

def story(results):
    return f"It ends at {results.trainings['sgd-lr1.0'].test_accuracy[-1][0]:.2f}."

EXERCISE = dataclasses.replace(EXERCISE, guesses=["The rate is 1."], story=story)
""",
    )
    suite.add(2, "EXERCISE = __import__('dataclasses').replace(EXERCISE, story=lambda _: 1 / 0)")
    result = suite.run()
    result.assert_outcomes(passed=6, warnings=1)
    first, second = suite.summary()["exercises"]
    assert (first["story"], first["guesses"]) == ("It ends at 0.95.", ["The rate is 1."])
    assert (second["story"], second["guesses"]) == ("", [])
    result.stdout.fnmatch_lines(
        ["*bench/test_2_fake.py: story cannot be told: ZeroDivisionError: division by zero"]
    )


def test_a_story_is_a_sentence_or_several():
    exercises = {
        name: (SimpleNamespace(story=lambda _, given=given: given), None)
        for name, given in {"a": "So.", "b": 7, "c": "x" * 1001, "d": "So.\nAnd so."}.items()
    }
    stories, errors = told(exercises | {"e": (SimpleNamespace(story=None), None)})
    assert stories == {"a": "So."}
    assert [error.partition("told: ")[2] for error in errors] == [
        "ValueError: it is 7; expected printable text in one line",
        "ValueError: it has 1001 characters; expected at most 1000",
        "ValueError: it is 'So.\\nAnd so.'; expected printable text in one line",
    ]


def test_a_spoilt_time_is_measured_again(suite):
    """The first training of each row has a slow first epoch; the second one's time is kept."""
    suite.add(
        1,
        """
import dataclasses
import numpy as np
import harness.plugin.fixtures

fake = harness.plugin.fixtures.train_model
times = {1.0: [[3, 1, 1], [1, 1, 1]], 0.5: [[3, 1, 1], [7, 1, 1]], 0.25: [[1, 1, 1]]}

def train_model(experiment, *args, **kwargs):
    seconds = times[experiment.learning_rate].pop(0)
    cumulative = np.concatenate([[0], np.cumsum(seconds)]).astype(float)
    return dataclasses.replace(fake(experiment, *args, **kwargs), epoch_seconds=cumulative)

harness.plugin.fixtures.train_model = train_model
EXERCISE = dataclasses.replace(EXERCISE, epochs={"quick": 3})
""",
    )
    suite.run("-k", "test_1_fake").assert_outcomes(passed=3)
    found = {case["id"]: (case["seconds"], case["slowest_epoch"]) for case in suite.summary()["cases"]}
    assert [*found.values()] == [(3, 1), (5, 3), (3, 1)]


def test_a_claim_alone_trains_its_rows_and_the_other_claims_are_counted(suite):
    suite.add(1, CLAIMS)
    result = suite.run("-k", "slow_is_slower")
    result.assert_outcomes(passed=1)
    assert [case.partition("lr")[2] for case in suite.cases()] == ["0.25]", "1.0]"]
    result.stdout.fnmatch_lines(["*Not decided in this run: 3 of 4 claims."])


def test_the_full_scale_decides_every_claim_and_other_data_have_no_expected_verdicts(suite):
    suite.add(1, CLAIMS)
    result = suite.run("--scale", "paper", "--dataset", "kmnist", "-k", "it_")
    result.assert_outcomes(passed=2)
    found = {claim["text"]: claim["verdict"] for claim in suite.summary()["claims"]}
    assert found == {"It ends at 1.": "not reproduced", "It is known otherwise.": "reproduced"}


def test_measurements_are_made_once_per_seed_and_kept(suite):
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


TEST = "\nfrom harness.claim import claim\n"
WRONG = {
    "class": (
        "class TestMine:\n    @claim('So.', source='x')\n    def test_so(self, decide):\n        pass\n",
        "TestMine::test_so is a claim in a class; expected a function",
    ),
    "parametrised": (
        "@pytest.mark.parametrize('x', [1])\n@claim('So.', source='x')\n"
        "def test_so(x, decide):\n    pass\n",
        "test_so is a parametrised claim; expected a test that runs once",
    ),
    "no mark": (
        "def test_so(decide):\n    pass\n",
        "test_so uses decide, but is not marked with @claim; mark it",
    ),
    "a class": (
        "@claim('So.')\nclass TestMine:\n    def test_so(self, decide):\n        pass\n",
        "TestMine is a claim in a class; expected a function",
    ),
    "two": (
        "@claim('So.')\n@claim('Or so.')\ndef test_so(decide):\n    pass\n",
        "test_so is marked with 2 claims; expected one",
    ),
    "another mark": (
        "@pytest.mark.claim('So.')\ndef test_so(decide):\n    pass\n",
        "test_so is marked with pytest.mark.claim; expected harness.claim.claim",
    ),
    "another figure": (
        "@claim('So.', shown_in='eror')\ndef test_so(decide):\n    pass\n",
        "test_so: shown_in is 'eror'; expected one of error, seconds, loss, time-to-accuracy, "
        "learning-rate, batch-size, momentum, dampening, weight-decay, units-of-hidden-layer-1, "
        "units-of-hidden-layer-2",
    ),
    "no test": (
        "@claim('So.')\ndef so(decide):\n    pass\n",
        "so is a claim, but its name is not a test's; name it test_so",
    ),
}


@pytest.mark.parametrize(("code", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_claim_that_no_table_would_show_is_refused(suite, code, message, workers):
    suite.add(1, TEST + code)
    assert suite.refused("-n", workers) == f"ERROR: bench/test_1_fake.py: {message}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "claim('So.', source='x', expected='reproducd')",
            "expected is 'reproducd'; a claim with a source takes None or one of reproduced, not rep",
        ),
        ("claim('So\\x1b[31m.', source='x')", "text is 'So\\x1b[31m.'; expected printable text in one"),
        ("claim('So.', source=7)", "source is 7; expected printable text in one line"),
        ("claim('')", "text is empty; expected the claim's sentence"),
        ("claim(print)", "text is <built-in function print>; expected printable text in one line"),
        (
            "claim('So.', expected='reproduced')",
            "expected is 'reproduced'; a claim without a source takes None or one of holds, does not",
        ),
    ],
)
def test_a_claim_is_checked_when_it_is_made(code, message):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        eval(code, {"claim": claim})
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("decide('no', 'So.')", "decide: holds is 'no'; expected True, False or None"),
        ("decide(1, 'So.')", "decide: holds is 1; expected True, False or None"),
        (
            "decide(None, 'So.', open_because='\\x1b')",
            "decide: open_because is '\\x1b'; expected printable text in one line",
        ),
        ("decide(True, 7)", "decide: evidence is 7; expected printable text in one line"),
        (
            "trained('nope')",
            "bench/test_1_fake.py has no row 'nope'; it has sgd-lr0.25, sgd-lr0.5,",
        ),
        ("measured('nope')", "bench/test_1_fake.py has no measurement 'nope'; it has none"),
    ],
)
def test_an_error_in_a_claims_test_is_reported_in_one_line(suite, body, message):
    code = "@claim('So.', source='x')\ndef test_so(decide, trained, measured):\n"
    suite.add(1, f"{TEST}{code}    {body}\n")
    result = suite.run("-k", "test_so")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [line.startswith(message) for line in result.outlines].count(True) == 1
    assert "Traceback" not in result.stdout.str()


ODD = {"a": [1, (2.5, None, True)], "b": {"c": "text"}, "d": [math.inf, -math.inf, 10**20]}


def test_a_measurement_survives_a_round_trip():
    kept = json.loads(atomic_json.dumps(checked(ODD, "x")))
    assert restored(kept) == {**ODD, "a": [1, [2.5, None, True]]}
    arrays = {"f": np.float32(0.5), "i": np.int64(3), "b": np.bool(True), "a": np.arange(3.0)}
    plain = restored(json.loads(atomic_json.dumps(checked(arrays, "x"))))
    assert plain == {"f": 0.5, "i": 3, "b": True, "a": [0.0, 1.0, 2.0]}
    assert math.isnan(restored(json.loads(atomic_json.dumps(checked(math.nan, "x")))))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1: 2}, "x has the key 1; expected text"),
        ({"a": [{2.5: 1}]}, "x['a'][0] has the key 2.5; expected text"),
        ({"a": "NaN"}, "x['a'] is the text 'NaN', which would be read back as a number"),
        ({"a": {1, 2}}, "x['a'] is {1, 2}; expected numbers, text, True, False, None, lists and dict"),
        ({"a": 1j}, "x['a'] is 1j; expected numbers"),
    ],
)
def test_a_measurement_that_a_round_trip_would_change_is_refused(value, said):
    with pytest.raises(MeasurementError) as refused:
        checked(value, "x")
    assert str(refused.value).startswith(said)


def test_a_refused_measurement_fails_in_one_line(suite):
    suite.add(
        2,
        "\nEXERCISE.measurements['odd'] = lambda data, seed: {'a': {1, 2}}\n"
        "def test_measured(measured):\n    measured('odd')\n",
    )
    result = suite.run("-k", "test_measured")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["measured('odd') of seed 0[[]'a'] is {1, 2}; expected numbers, text, *"]
    )


TIMED = """
import numpy as np
import harness.plugin.fixtures
from dataclasses import replace
from harness.claim import claim

fake = harness.plugin.fixtures.train_model

def on_two_engines(experiment, *args, **kwargs):
    engine = "numba" if experiment.learning_rate == 0.5 else "eager"
    return replace(fake(experiment, *args, **kwargs), engine=engine)

harness.plugin.fixtures.train_model = on_two_engines

@claim("Unlike.", source="x")
def test_unlike(trained, decide):
    rows = {rate: trained(f"sgd-lr{rate}") for rate in (0.25, 0.5, 1.0)}
    decide(True, "Of 3.", timed=rows)

@claim("Alike.", source="x")
def test_alike(trained, decide):
    decide(True, "Of 2.", timed={rate: trained(f"sgd-lr{rate}") for rate in (0.25, 1.0)})

def delayed(training):
    return replace(training, epoch_seconds=np.array([0, 5.0, 6.0, 7.0]))

@claim("Delayed.", source="x")
def test_delayed(trained, decide):
    one, other = trained("sgd-lr0.25"), trained("sgd-lr1.0")
    decide(True, "It is.", timed={"A": delayed(one), "B": other})

@claim("Delayed, and open.", source="x")
def test_delayed_and_open(trained, decide):
    one, other = delayed(trained("sgd-lr0.25")), delayed(trained("sgd-lr1.0"))
    decide(None, "It may be.", timed={"A": one, "B": other})
"""


def test_times_on_different_engines_decide_no_claim_and_the_table_reports_it(suite):
    suite.add(1, TIMED)
    result = suite.run("-k", "test_1")
    found = {claim["text"]: (claim["verdict"], claim["evidence"]) for claim in suite.summary()["claims"]}
    note = "Times are not comparable: {} used numba on cpu; all other rows used eager on cpu."
    assert found["Unlike."] == ("inconclusive", f"Of 3. {note.format('0.5')}")
    assert found["Alike."] == ("reproduced", "Of 2.")
    delayed = "† A: its slowest epoch took 5.0 times the median one."
    assert found["Delayed."] == ("reproduced", f"It is. {delayed}")
    assert found["Delayed, and open."] == (
        "inconclusive",
        "It may be. The times vary too much to tell. † The slowest epoch took much longer than the "
        "median one (A: 5.0 times; B: 5.0 times).",
    )
    assert note.format("sgd-lr0.5") in result.stdout.str().replace("\n  ", " ")


@pytest.mark.parametrize(
    ("verdict", "number", "words"),
    [
        (HOLDS, 1, "1 holds"),
        (HOLDS, 0, "0 hold"),
        (DOES_NOT_HOLD, 1, "1 does not hold"),
        (DOES_NOT_HOLD, 2, "2 do not hold"),
        (REPRODUCED, 2, "2 reproduced"),
        (INCONCLUSIVE, 1, "1 inconclusive"),
    ],
)
def test_counted_verdicts_read_as_english(verdict, number, words):
    assert counted_verdict(verdict, number) == words
