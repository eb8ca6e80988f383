"""`make calibrate`: rates of false alarms and detections, from saved runs."""

import json
import math

import numpy as np
import pytest

from harness.__main__ import main
from harness.commands import calibrate
from harness.commands.calibrate import times_of
from model.experiment import Experiment
from model.optimizers import SGD

ROWS = [f"row {index}" for index in range(8)]


def runs(count, noise=0.01):
    rng = np.random.default_rng(3)
    return [{case: math.exp(rng.normal(0, noise)) for case in ROWS} for _ in range(count)]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(calibrate, "DRAWS", 20)


def test_quiet_runs_cause_no_alarm_and_their_detectable_slowdowns_are_detected():
    _, alarms, found, together, *_ = times_of(runs(20), np.random.default_rng(0))
    assert alarms.happened <= 1
    assert found.happened >= 17
    assert together.happened == 20
    assert str(together) == "  slowdowns of all rows by 10 % that were detected: 20 of 20 (100.0%)"


def test_noise_hides_a_slowdown():
    *_, together, share, _ = times_of(runs(20, noise=0.2), np.random.default_rng(0))
    assert together.happened < 10
    assert share == "  rows whose smallest detectable slowdown is 20 % or less: 0%"


def saved(path, number, seeds=1):
    """Writes a saved run whose rows learn slightly differently under each seed; returns its path."""
    rng = np.random.default_rng(number)
    stats = dict.fromkeys(("min", "max", "mean", "median"), math.exp(rng.normal(0, 0.01)))
    stats |= {"stddev": 0, "iqr": 0, "total": stats["min"], "rounds": 1}
    info = dict.fromkeys(("scale", "device", "device_name", "engine", "timing"), "x")
    info |= Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1).to_dict()
    cases = []
    for case in ROWS:
        learned = {
            "seeds": [*range(seeds)],
            "test_accuracy": rng.normal(0.9, 0.001, seeds).tolist(),
            "epochs_to": {"0.90": [1] * seeds, "0.97": [None] * seeds},
        }
        extra = {**info, "cores": 1, "seconds": stats["total"], **learned}
        cases.append({"fullname": case, "stats": stats, "extra_info": extra})
    file = path / f"{number:04}_base.json"
    file.write_text(json.dumps({"benchmarks": cases}))
    return str(file)


def test_ten_seeds_calibrate_accuracies(tmp_path, capsys):
    assert main(["calibrate", saved(tmp_path, 1, seeds=12)]) == 0
    header, alarms, found = capsys.readouterr().out.splitlines()
    assert header.startswith("Accuracies: 8 rows under 12 seeds (0001_base.json)")
    assert alarms == "  runs of unchanged code with a false alarm: 0 of 20 (0.0%)"
    assert found.startswith("  drops of 1 point detected in one of 8 rows ")
    assert found.endswith(": 20 of 20 (100.0%)")


def test_too_few_runs_and_seeds_are_refused(tmp_path, capsys):
    assert main(["calibrate", saved(tmp_path, 1), saved(tmp_path, 2)]) == 2
    assert "there are 2 comparable saved runs, with up to 1 seeds" in capsys.readouterr().err


def test_a_damaged_file_is_refused(tmp_path, capsys):
    (tmp_path / "0001_base.json").write_text("{")
    assert main(["calibrate", str(tmp_path / "0001_base.json")]) == 2
    assert "0001_base.json cannot be read" in capsys.readouterr().err


def test_nine_runs_calibrate_times(tmp_path, capsys):
    assert main(["calibrate", *(saved(tmp_path, number) for number in range(9))]) == 0
    assert capsys.readouterr().out.startswith("Times: 9 runs of 8 rows, 5 drawn as the baseline:")


def test_runs_with_other_seeds_do_not_count_for_times(tmp_path, capsys):
    files = [saved(tmp_path, number) for number in range(9)] + [saved(tmp_path, 9, seeds=10)]
    assert main(["calibrate", *files]) == 0
    times, accuracies = (line for line in capsys.readouterr().out.splitlines() if line[0] != " ")
    assert times.startswith("Times: 9 runs ")
    assert accuracies.startswith("Accuracies: 8 rows under 10 seeds (0009_base.json)")
