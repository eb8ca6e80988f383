"""What a run suggests to run next: its own command with one option changed, and a reason."""

import shutil
import sys
from pathlib import Path

import pytest

from harness.engine_speeds.comparable import unlike
from harness.files.summary import Summary
from harness.plugin import session
from harness.report import tables, terminal
from harness.report.load import load_run
from harness.report.next_steps import NextStep, next_steps
from harness.verdicts import INCONCLUSIVE, NOT_TESTABLE, REPRODUCED
from tests.conftest import ROOT

PUBLISHED = ROOT / "reports" / "published"


@pytest.fixture
def summary() -> Summary:
    """A run of 100 epochs and one seed, with rows of two engines."""
    return load_run(PUBLISHED / "epyc-1-core").summary


def with_(summary: Summary, **changes) -> Summary:
    return summary.model_copy(update=changes)


def without_open_claims(summary: Summary) -> Summary:
    claims = [each.model_copy(update={"verdict": REPRODUCED}) for each in summary.claims]
    return with_(summary, claims=claims)


def at_quick_scale(summary: Summary, command: str, **changes) -> Summary:
    exercises = [each.model_copy(update={"full_epochs": 1000}) for each in summary.exercises]
    names = {"scale": "quick", "full_scale": "paper", "command": command}
    return with_(without_open_claims(summary), exercises=exercises, **names, **changes)


def test_each_kind_of_open_claim_has_a_step_that_decides_it(summary):
    """Of its six, two compare engines and two are within the sampling error; epochs leave two open."""
    assert sum(claim.verdict == INCONCLUSIVE for claim in summary.claims) == 6
    command = "pytest bench/ --scale paper --device cpu -v"
    assert [each[:2] for each in next_steps(summary)] == [
        (
            f"{command} --engine eager",
            "the same engine for all rows, which may decide 2 claims about time: more than 37 min of "
            "training, as eager, PyTorch's plain loop, is the slowest",
        ),
        (
            f"{command} --replicates 5",
            "5 seeds, may decide 2 inconclusive claims: at most 3.0 h of training",
        ),
    ]


def test_eagers_time_is_forecast_from_the_engines_speeds(summary):
    """Where they lack a row's case, the time is a lower limit."""
    speed = load_run(PUBLISHED / "epyc-1-core").speed
    first, _ = next_steps(summary, speed)
    assert first.why.endswith(
        ": about 6.8 h of training, as eager, PyTorch's plain loop, is the slowest"
    )
    lacking = [row for row in speed.rows if (row.engine, row.batch_size) != ("numba", 32)]
    first, _ = next_steps(summary, speed.model_copy(update={"rows": lacking}))
    assert ": more than " in first.why


def test_without_open_claims_seeds_give_intervals(summary):
    (step,) = next_steps(without_open_claims(summary))
    assert step.why == "5 seeds, 95 % intervals: at most 3.0 h of training"


def test_five_seeds_are_added_to_only_for_claims_that_they_leave_open():
    folder = ROOT / "examples" / "optimizers" / "reports" / "published" / "epyc-2-cores"
    summary = load_run(folder).summary
    (step,) = next_steps(summary)
    command = "pytest examples/optimizers/test_mnist.py --scale full -n 2 --replicates 5"
    assert step.command == f"{command} --seeds-until-decided 20"
    assert step.why.startswith("up to 20 seeds for the rows of 4 inconclusive claims: at most ")
    assert next_steps(without_open_claims(summary)) == []


def test_the_full_scale_comes_first_with_its_time(summary):
    first, second = next_steps(at_quick_scale(summary, "pytest bench/ -n 4 --scale quick"))
    assert first == NextStep("pytest bench/ -n 4 --scale paper", "1,000 epochs: about 6.1 h of training")
    assert second.command == "pytest bench/ -n 4 --scale quick --replicates 5"


def test_the_full_scale_decides_claims_that_are_not_testable(summary):
    quick = at_quick_scale(summary, "pytest bench/")
    claims = [quick.claims[0].model_copy(update={"verdict": NOT_TESTABLE}), *quick.claims[1:]]
    first, _ = next_steps(with_(quick, claims=claims))
    assert first.why.startswith("1,000 epochs, which may decide 1 more claim: about ")
    assert first.command == "pytest bench/ --scale paper"


def test_without_the_epochs_of_the_full_scale_no_time_is_predicted(summary):
    first, _ = next_steps(with_(at_quick_scale(summary, "pytest bench/"), exercises=summary.exercises))
    known = summary.exercises[0].full_epochs
    assert known is None or first.why != "the scale paper"
    exercises = [each.model_copy(update={"full_epochs": None}) for each in summary.exercises]
    first, _ = next_steps(with_(at_quick_scale(summary, "pytest bench/"), exercises=exercises))
    assert first == NextStep("pytest bench/ --scale paper", "the scale paper")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("pytest bench/ --replicates=1 -n 4", "pytest bench/ -n 4 --replicates 5"),
        ("pytest bench/ --replicates 1", "pytest bench/ --replicates 5"),
        ("pytest bench/ --resume -k 'a or b'", "pytest bench/ -k 'a or b' --replicates 5"),
        ("pytest bench/ --report-dir reports/mine", "pytest bench/ --replicates 5"),
        ("pytest bench/ --report-dir=reports/mine", "pytest bench/ --replicates 5"),
        ("pytest --benchmark-compare -- bench/", "pytest --benchmark-compare --replicates 5 -- bench/"),
    ],
)
def test_other_options_stay_and_the_runs_own_folder_does_not(summary, command, expected):
    (step,) = next_steps(with_(without_open_claims(summary), command=command))
    assert step.command == expected


@pytest.mark.parametrize(
    "command", ["pytest bench/ -k 'a", "", "pytest bench/a.py && pytest bench/b.py"]
)
def test_no_command_or_several_suggest_nothing(summary, command):
    assert next_steps(with_(summary, command=command)) == []


def test_a_run_without_rows_suggests_nothing(summary):
    assert next_steps(with_(summary, cases=[])) == []


def test_the_evidence_on_unlike_engines_is_recognised(summary):
    note = unlike({"a": "numba on cpu", "b": "eager on cpu"})
    assert sum(note.partition(":")[0] in claim.evidence for claim in summary.claims) == 2


def test_the_end_shows_two_steps(summary):
    text = terminal.format_next(at_quick_scale(summary, "pytest bench/"), lambda text: f"make: {text}")
    assert [line for line in text.splitlines() if line.startswith("Next: ")] == [
        "Next: make: pytest bench/ --scale paper",
        "Next: make: pytest bench/ --replicates 5",
    ]


def test_a_command_is_shown_as_it_can_be_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    for found, expected in (
        (None, ".venv/bin/python -m pytest bench/ -n 4"),
        ("/usr/bin/pytest", ".venv/bin/python -m pytest bench/ -n 4"),
        (str(Path(sys.executable).with_name("pytest")), "pytest bench/ -n 4"),
    ):
        monkeypatch.setattr(shutil, "which", lambda _, found=found: found)
        assert session._typed("pytest bench/ -n 4") == expected


def test_marks_have_an_ascii_form_of_one_character():
    assert tables.encodable("†1.5 a…b –", "ascii") == "+1.5 a~b -"
