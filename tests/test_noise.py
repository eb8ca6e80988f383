"""`make noise`: the machine's noise, and the slowdowns that the gates can detect on it."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.__main__ import main
from harness.ab.comparison import ABComparison
from harness.ab.decision import decide_speeds
from harness.commands import noise
from harness.gates.retraining import RetrainingError
from harness.hardware.disturbance import DisturbanceWatch

ROWS = [f"bench/test_x.py::test_training[row-{index}]" for index in range(6)]


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Six rows, each noisier than the last, between runs and in A/B."""
    settings = SimpleNamespace(device="cpu", scale="quick", report_dir=tmp_path / "report")
    selection = SimpleNamespace(
        rows=[SimpleNamespace(case=case) for case in ROWS], settings=settings, root=Path()
    )
    runs = iter(range(100))

    def train(cases, *_):
        run = next(runs)
        return {
            case: SimpleNamespace(
                stats=SimpleNamespace(
                    min=math.exp(0.02 * index * math.sin(run * (index + 1))),
                    mean=2.0,
                    stddev=0.1 * index,
                )
            )
            for index, case in enumerate(cases)
        }

    def compare(selection, base, head, **_):
        assert base == head
        ratios = {
            case: [0.01 * i * math.sin(n * (i + 1)) for n in range(4)] for i, case in enumerate(ROWS)
        }
        passes = {case: [SimpleNamespace(ratio=each) for each in of] for case, of in ratios.items()}
        return ABComparison(10, 1, passes, speeds=decide_speeds(ratios, 10, 4))

    monkeypatch.setattr(noise, "select", lambda _: selection)
    monkeypatch.setattr(noise, "retrain", train)
    monkeypatch.setattr(noise, "compare_checkouts", compare)
    return settings.report_dir / "noise.json"


def test_each_row_has_its_noise_and_detectable_slowdowns(measured, capsys):
    assert main(["noise", "--runs", "4"]) == 0
    found = json.loads(measured.read_text())
    rows = found["rows"]
    assert [row["id"] for row in rows] == ROWS
    assert [row["within"] for row in rows] == pytest.approx([0, 5, 10, 15, 20, 25])
    for name in ("between", "in_turns"):
        assert rows[0][name] == 0 < rows[1][name] < rows[5][name]
    for name in ("detectable", "ab_detectable"):
        assert rows[1][name] < rows[5][name]
    assert found["runs"] == 4
    text = capsys.readouterr().out
    assert "row-5" in text
    assert "3 saved runs" in text


def test_rows_that_cannot_be_trained_are_reported(measured, monkeypatch, capsys):
    def fail(*_):
        raise RetrainingError("no space left")

    monkeypatch.setattr(noise, "retrain", fail)
    assert main(["noise"]) == 2
    assert capsys.readouterr().err.strip().endswith("the rows cannot be trained: no space left")


@pytest.mark.parametrize("runs", ["1", "0", "x"])
def test_fewer_than_two_runs_are_refused(runs, capsys):
    with pytest.raises(SystemExit):
        main(["noise", "--runs", runs])
    assert f"got {runs!r}; expected a whole number from 2" in capsys.readouterr().err


def times(idle, steal):
    named = [("user", 0.0), ("idle", idle), ("steal", steal)]
    return type("times", (tuple,), dict(named))([value for _, value in named])


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"cpu_times": [times(0, 0), times(90, 10)]}, ["took 10.0% of the time"]),
        ({"getloadavg": (1.5, 0, 0)}, ["the load average was 1.5"]),
        ({"cpu_freq": SimpleNamespace(min=800, max=3000)}, ["from 800 to 3000 MHz"]),
        ({"cpu_freq": None}, []),
        ({"real": 2}, ["Its 4 cores share 2 physical ones"]),
    ],
    ids=["quiet", "steal", "load", "clock", "no clock", "siblings"],
)
def test_disturbances_are_named(monkeypatch, changed, expected):
    readings = iter(changed.get("cpu_times", [times(0, 0), times(100, 0)]))
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(readings))
    monkeypatch.setattr("os.getloadavg", lambda: changed.get("getloadavg", (0.0, 0.0, 0.0)))
    fixed = SimpleNamespace(min=2000, max=2000)
    monkeypatch.setattr(psutil, "cpu_freq", lambda: changed.get("cpu_freq", fixed))
    monkeypatch.setattr(
        psutil, "cpu_count", lambda logical=True: 4 if logical else changed.get("real", 4)
    )
    found = DisturbanceWatch().found()
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line
