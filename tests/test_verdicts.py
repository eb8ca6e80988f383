"""The table of verdicts by run, such as on several data sets."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report.verdict_table import format_verdicts
from harness.verdicts import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from model.optimizers import SGD
from tests.conftest import ROOT
from tests.made_up_runs import claim, run_of, trained

FIRST = "bench/test_1_x.py"


def run_on(dataset, verdicts, *, folder="reports/a", seeds=1, title=None):
    rows = {"a": trained(SGD(0.1), *seeds * [(0.1, 0.5)], seconds=(0, 6.0))}
    claims = [claim(FIRST, name, verdict) for name, verdict in verdicts.items()]
    run = run_of({FIRST: rows}, claims, full={FIRST: 1}, scale="paper")
    study = run.summary.study.model_copy(update={"title": title} if title else {})
    summary = run.summary.model_copy(update={"dataset": dataset, "study": study})
    return replace(run, summary=summary, folder=Path(folder))


def table_of(text):
    runs, table = text.split("\n\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return runs.splitlines(), [cells[0], *cells[2:]]


def test_a_row_for_each_claim_and_a_column_for_each_data_set():
    lines, (head, *rows) = table_of(
        format_verdicts(
            [
                run_on("mnist", {"one": REPRODUCED, "two": INCONCLUSIVE}, seeds=5),
                run_on("kmnist", {"two": REPRODUCED, "three": NOT_REPRODUCED, "one": REPRODUCED}),
            ]
        )
    )
    machine = run_on("mnist", {}).summary.machine.device_name
    assert lines == [
        f"- mnist: scale paper, 5 seeds each, on {machine}; 1 reproduced, 1 inconclusive.",
        f"- kmnist: scale paper, one seed each, on {machine}; 2 reproduced, 1 not reproduced.",
    ]
    assert head == ["claim", "mnist", "kmnist"]
    assert rows == [
        ["It is one.", "reproduced", "reproduced"],
        ["It is two.", "inconclusive", "reproduced"],
        ["It is three.", "–", "not reproduced"],
    ]


def test_runs_on_one_data_set_are_named_by_their_folders():
    verdicts = {"one": REPRODUCED}
    runs = [
        run_on("mnist", verdicts, folder="reports/old"),
        run_on("kmnist", verdicts),
        run_on("mnist", verdicts, folder="reports/new"),
    ]
    _, (head, *_) = table_of(format_verdicts(runs))
    assert head == ["claim", "mnist, old", "kmnist", "mnist, new"]


def test_runs_without_claims_and_of_other_studies_are_refused():
    one = run_on("mnist", {"one": REPRODUCED})
    with pytest.raises(ValueError, match=r"^reports/b has no claims that were decided; expected one"):
        format_verdicts([one, run_on("kmnist", {}, folder="reports/b")])
    other = run_on("kmnist", {"one": REPRODUCED}, folder="reports/b", title="Another")
    with pytest.raises(
        ValueError, match=r"^reports/b is a run of 'Another', and reports/a of '.+'; exp"
    ):
        format_verdicts([one, other])


def test_the_command_prints_it():
    folder = ROOT / "reports" / "published" / "epyc-1-core"
    command = [sys.executable, "-m", "harness", "verdicts", folder]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    lines, (head, *rows) = table_of(printed)
    assert lines[0].startswith("- mnist: scale paper, one seed each, on ")
    assert (head, len(rows)) == (["claim", "mnist"], 46)
