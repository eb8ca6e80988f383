"""What a session prints at its end: tables in 80 columns, evidence, differences, what to run next."""

import json
from pathlib import Path

import pytest

from harness.files.summary import Summary
from harness.report import terminal
from harness.report.load import load_run
from tests.conftest import ROOT

PUBLISHED = [
    ROOT / "reports" / "published" / "epyc-1-core",
    ROOT / "reports" / "published" / "epyc-five-seeds",
    ROOT / "examples" / "optimizers" / "reports" / "published" / "epyc-2-cores",
]


def summary_of(folder: Path, **changes) -> Summary:
    return load_run(folder).summary.model_copy(update=changes)


@pytest.fixture
def summary() -> Summary:
    return summary_of(PUBLISHED[0])


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_no_line_is_longer_than_80_columns(folder):
    summary = summary_of(folder)
    texts = [terminal.format_exercise(each, summary) for each in summary.exercises]
    texts += [terminal.format_claims(summary.claims), terminal.format_ending(summary)]
    lines = "\n".join(texts).splitlines()
    assert max(map(len, lines)) <= 80
    names = [case.id.partition("[")[2].rstrip("]") for case in summary.cases]
    first = {line.partition(" ")[0] for line in lines}
    missing = [name for name in names if name not in first]
    assert len(missing) == max(0, len(names) - 60 * len(summary.exercises)), "no name is shortened"


def test_a_wide_table_loses_columns_then_the_middle_of_its_names(summary):
    (exercise, *_) = summary.exercises
    header = terminal.format_exercise(exercise, summary).splitlines()[2:4]
    assert header[0].split() == ["row", "test", "paper", "time", "paper", "epochs", "outcome"]
    assert header[1].split() == ["accuracy", "(s)", "(s)", "to", "90%"]
    longer = rename(summary, "-with-a-longer-name")
    header = terminal.format_exercise(longer.exercises[0], longer).splitlines()[2:4]
    assert header[0].split() == ["row", "test", "paper", "time", "outcome"]
    longest = rename(summary, "x" * 60)
    lines = terminal.format_exercise(longest.exercises[0], longest).splitlines()[2:]
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["row", "test", "time"]
    assert lines[3].startswith("sgd-lr0.1-batch1xxxxxx")
    assert "…" in lines[3]


def rename(summary: Summary, suffix: str) -> Summary:
    text = json.dumps(summary.to_json()).replace(']"', f'{suffix}]"')
    return Summary.model_validate_json(text)


def test_the_ending_has_counts_the_largest_differences_and_one_screen(summary):
    text = terminal.format_ending(summary)
    assert text.startswith(
        "Claims: 25 reproduced, 14 not reproduced, 1 holds, 6 inconclusive. Not decided\n"
        "  in this run: 1 of 47 claims.\n"
    )
    differences = text.split("\n\n")[1].splitlines()
    assert differences[0] == "Largest differences from the paper:"
    assert [line.split() for line in differences[3:]] == [
        ["3.", "online-lr0.01", "0.7493", "0.100", "+64.9"],
        ["1.", "sgd-lr0.1-batch60000", "0.3719", "0.974", "-60.2"],
        ["4.", "sgd-lr1", "0.9844", "0.552", "+43.2"],
        ["3.", "online-lr0.001", "0.6761", "0.293", "+38.3"],
        ["4.", "adam-lr10", "0.2707", "0.103", "+16.8"],
    ]
    whole = f"{text}\nPage: x\n{terminal.format_next(summary, str)}"
    assert len(whole.splitlines()) <= 24


def test_an_exercise_has_its_number_in_a_run_of_it_alone(summary):
    """Rows of the same name in two exercises are distinguished, whichever exercises ran."""
    third = summary.exercises[2]
    cases = [case for case in summary.cases if case.id in third.cases]
    changes = {"exercises": [third], "cases": cases, "claims": []}
    text = terminal.format_ending(summary.model_copy(update=changes))
    assert text.startswith(
        f"Not decided in this run: {len(third.claims)} of {len(third.claims)} claims.\n"
    )
    rows = text.split("\n\n")[1].splitlines()[3:]
    assert [row.split()[:2] for row in rows] == [
        ["3.", "online-lr0.01"],
        ["3.", "online-lr0.001"],
        ["3.", "online-lr0.1"],
        ["3.", "sgd-lr0.1"],
        ["3.", "sgd-lr0.0001"],
    ]


def test_fewer_epochs_than_the_paper_are_said(summary):
    exercises = [
        each.model_copy(update={"epochs": epochs})
        for each, epochs in zip(summary.exercises, (5, 3, 3, 3), strict=True)
    ]
    text = terminal.format_ending(summary.model_copy(update={"exercises": exercises}))
    assert "Largest differences from the paper, after 3 to 5 of 100 epochs:" in text


def test_engines_are_said_once_or_the_times_are_not_comparable(summary):
    # Exercises 1 and 2 have rows of numba and of eager.
    assert "Engine:" not in terminal.format_ending(summary)
    assert "Times are not comparable: " in terminal.format_exercise(summary.exercises[0], summary)
    alike = [case.model_copy(update={"engine": "numba"}) for case in summary.cases]
    summary = summary.model_copy(update={"cases": alike})
    assert "\nEngine: numba on cpu.\n" in terminal.format_ending(summary)
    assert "Times are" not in terminal.format_exercise(summary.exercises[0], summary)


def test_a_time_with_an_epoch_out_of_line_is_marked(summary):
    text = terminal.format_exercise(summary.exercises[3], summary)
    # One of its 100 epochs took 5.1 times the median.
    assert "†38.0" in text
    assert text.count("†") == 2  # and adam-lr1
    ending = terminal.format_ending(summary)
    assert "† An epoch took twice the median or more: " in ending
    uneven = ending.partition("or more: ")[2].partition(".\n")[0].split(", ")
    assert {"adam-lr1", "sgd-lr1"} <= {*uneven}
    assert "adam-lr0.001" not in uneven


def test_only_claims_that_are_not_as_stated_have_their_evidence(summary):
    text = terminal.format_claims(summary.claims)
    assert text.count("not reproduced: ") == 14
    assert text.count("inconclusive: ") == 6
    assert "\nreproduced: " not in text
    assert text.index("not reproduced: SGD is best at 0.01.") < text.index("inconclusive: ")
    wrapped = " ".join(text.split())
    for claim in summary.claims:
        entry = f"{claim.verdict}: {claim.text} {claim.evidence}"
        assert (entry in wrapped) == (claim.verdict not in ("reproduced", "holds"))


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), False),
        (("-q",), False),
        (("-v",), True),
        (("--benchmark-columns=min",), True),
        (("--benchmark-sort", "mean"), True),
        (("-n", "2", "--benchmark-autosave"), False),
        (("-n", "2", "--benchmark-group-by=name"), True),
        (("-o", "addopts=--benchmark-name=long"), True),
    ],
)
def test_pytest_benchmarks_tables_are_shown_on_demand(suite, options, shown):
    result = suite.run("-k", "lr0.5", *options)
    result.assert_outcomes(passed=2)
    assert ("Name (time in" in result.stdout.str()) == shown
    assert len(suite.saved_runs()) == ("--benchmark-autosave" in options)


def test_a_comparison_and_its_failure_do_not_depend_on_the_tables(suite):
    suite.run("--benchmark-autosave").assert_outcomes(passed=6)
    slower = ("-p", "no:cacheprovider", "--benchmark-compare", "--benchmark-compare-fail=mean:1%")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_SLOWER", "2")
        result = suite.run(*slower)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["FAILED gate - bench/test_1_fake.py*mean*"])
    assert "Name (time in" in result.stdout.str()


SAYING = """
import sys
import harness.plugin.fixtures

fake = harness.plugin.fixtures.train_model

def train_model(experiment, *args, **kwargs):
    print(f"compiling for {experiment.learning_rate}", file=sys.stderr)
    print("compiling the rest", file=sys.stderr)
    return fake(experiment, *args, **kwargs)

harness.plugin.fixtures.train_model = train_model
"""


@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "2"), ("-q",), ("-v",), ("-q", "-n", "2")])
def test_messages_have_a_line_of_their_own_and_are_printed_once(suite, options):
    suite.add(1, SAYING)
    result = suite.run("-k", "test_1", *options)
    result.assert_outcomes(passed=3)
    said = [line for line in result.outlines if line.startswith("compiling")]
    assert sorted(said) == [
        *(f"compiling for {rate}" for rate in (0.25, 0.5, 1.0)),
        "compiling the rest",
    ]
    assert "compiling" not in result.stderr.str()
