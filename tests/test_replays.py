"""`make replays`: the rates of a history's false and found steps, on nights drawn from saved runs."""

import json
import sys

import numpy as np
import pytest

from harness.__main__ import main
from harness.history import replays
from harness.paths import ROOT
from tests.histories import nights, save_nights

# Finds a change point in each series, six places before its end.
OTAVA = """
from types import SimpleNamespace
import numpy
def compute_change_points(series):
    return [SimpleNamespace(index=numpy.int64(len(series) - 6))], []
"""


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Twelve saved runs, and shorter histories."""
    monkeypatch.setattr(replays, "NIGHTS", 60)
    monkeypatch.setattr(replays, "BASELINES", (40,))
    monkeypatch.setattr(replays, "STEP_SIZES", (1.0, 50.0))
    save_nights(tmp_path / "runs", nights(12))
    return [str(path) for path in sorted((tmp_path / "runs").glob("*.json"))]


def test_rates_are_printed_and_written(runs, tmp_path, capsys):
    file = tmp_path / "rates.json"
    assert main(["replays", *runs, "--histories", "2", "--output", str(file)]) == 0
    rates = json.loads(file.read_text())
    assert (rates["runs"], rates["rows"]) == (12, 8)
    assert rates["unchanged"] == {"nights": 120, "nights_with_a_false_step": 0, "false_steps": 0}
    small, large = rates["planted"]
    assert (small["percent"], large["percent"], large["nights_before"], large["steps"]) == (1, 50, 40, 4)
    assert small["found_within"] == {"3": 0, "5": 0, "10": 0, "20": 0}
    assert large["found_within"] == {"3": 0, "5": 1, "10": 1, "20": 1}
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "120 nights of unchanged code: 0 with a false step, 0 false steps"
    assert lines[3].startswith("50 % after 40 nights: found within 3 nights 0%, 5 nights 100%, ")


def test_otava_looks_at_the_same_nights(runs, tmp_path, monkeypatch, capsys):
    (tmp_path / "otava").mkdir()
    (tmp_path / "otava" / "__init__.py").touch()
    (tmp_path / "otava" / "analysis.py").write_text(OTAVA)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = tmp_path / "rates.json"
    arguments = ["--histories", "2", "--otava", sys.executable, "--output", str(file)]
    assert main(["replays", *runs, *arguments]) == 0
    rates = json.loads(file.read_text())
    assert rates["unchanged"]["false_steps_of_otava"] == 2 * 8
    # With 3 or 5 nights since the step, its point is 3 or 1 before it; with 10, 4 after it.
    assert rates["planted"][0]["found_within_by_otava"] == {"3": 1, "5": 1, "10": 0, "20": 0}
    assert "(Otava, looking once: 16)" in capsys.readouterr().out


def test_an_interpreter_without_otava_is_refused(runs, capsys):
    assert main(["replays", *runs, "--histories", "1", "--otava", sys.executable]) == 2
    assert "the interpreter cannot run Apache Otava: ModuleNotFoundError" in capsys.readouterr().err


def test_noisy_rows_can_be_left_out(tmp_path, monkeypatch):
    times = nights(40, noise=0.01)
    times[:, 3] *= np.exp(np.random.default_rng(5).normal(0, 0.2, 40))
    assert replays.quiet_rows(times, 5.0).tolist() == np.delete(times, 3, axis=1).tolist()


def test_too_few_runs_are_refused(runs, capsys):
    assert main(["replays", *runs[:4]]) == 2
    assert "there are 4 comparable saved runs, with 8 rows in all of them; expected at least 5 runs" in (
        capsys.readouterr().err
    )


def test_a_damaged_file_is_refused(runs, tmp_path, capsys):
    (tmp_path / "x.json").write_text("{")
    assert main(["replays", *runs, str(tmp_path / "x.json")]) == 2
    assert "x.json cannot be read" in capsys.readouterr().err


def rates_table(kept):
    """Returns the table of docs/history.md."""
    lines = [
        "| nights | false steps in 1,000 (Otava) | step | found within 5 nights (Otava) | 10 | 20 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, rates in kept.items():
        unchanged = rates["unchanged"]
        thousands = unchanged["nights"] / 1000
        ours, theirs = (unchanged[key] for key in ("false_steps", "false_steps_of_otava"))
        first = f"{name} ({rates['rows']} rows) | {ours / thousands:g} ({theirs / thousands:g})"
        for each in rates["planted"]:
            if each["nights_before"] == 100:
                shares = " | ".join(
                    f"{each['found_within'][within]:.0%} ({each['found_within_by_otava'][within]:.0%})"
                    for within in ("5", "10", "20")
                )
                lines.append(f"| {first} | {each['percent']:g} % | {shares} |")
                first = " | "
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def test_the_docs_have_the_kept_rates():
    kept = json.loads((ROOT / "docs" / "history-rates.json").read_text())
    assert rates_table(kept) in (ROOT / "docs" / "history.md").read_text()
    for rates in kept.values():
        unchanged = rates["unchanged"]
        assert unchanged["nights_with_a_false_step"] <= unchanged["nights"] / 1000
