"""Writes made-up histories of saved runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from harness.history.past_runs import Observation, PastRun
from model.experiment import Experiment
from model.optimizers import SGD

ROWS = tuple(f"bench/test_1_x.py::test_training[row-{number}]" for number in range(8))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def commit(number: int) -> str:
    return f"{number:08x}" + "0" * 32


def content(
    number: int,
    seconds: Mapping[str, float],
    accuracies: Mapping[str, Sequence[float]] | None = None,
    *,
    suite: Mapping[str, Any] | None = None,
    **info: Any,
) -> dict[str, Any]:
    """Returns a saved run of night `number`, with the fastest epochs and accuracies of its rows."""
    cases = []
    for case, best in seconds.items():
        accuracy = [*(accuracies or {}).get(case, [0.95])]
        stats = dict.fromkeys(("min", "max", "mean", "median", "total"), best)
        stats |= {"stddev": 0, "iqr": 0, "rounds": 1}
        extra = Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1).to_dict()
        extra |= {
            "scale": "quick",
            "device": "cpu",
            "device_name": "a machine",
            "cores": 2,
            "engine": "numba",
            "timing": "exclusive",
            "seconds": best,
            "seeds": [*range(len(accuracy))],
            "test_accuracy": accuracy,
            "epochs_to": dict.fromkeys(("0.90", "0.97"), [1] * len(accuracy)),
            **info,
        }
        cases.append({"fullname": case, "stats": stats, "extra_info": extra})
    time = BEGIN + timedelta(days=number)
    return {
        "machine_info": {"suite": {"torch": "2.13.0", "numba": "0.68", "numpy": "2.4", **(suite or {})}},
        "commit_info": {"id": commit(number), "time": time.isoformat()},
        "datetime": (time + timedelta(hours=2)).isoformat(),
        "benchmarks": cases,
    }


def save(folder: Path, number: int, saved: Mapping[str, Any], name: str = "night") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:04}_{name}.json"
    path.write_text(json.dumps(saved))
    return path


def nights(count: int, *, noise: float = 0.02, rows: Sequence[str] = ROWS, seed: int = 0) -> np.ndarray:
    """Returns times by night and row: each row's usual time, noise, and a share of all rows."""
    rng = np.random.default_rng(seed)
    logs = rng.normal(0, noise, (count, len(rows))) + rng.normal(0, 0.05, (count, 1))
    return np.exp(logs + np.arange(len(rows)) / 4)


def save_nights(folder: Path, times: np.ndarray, rows: Sequence[str] = ROWS, **info: Any) -> None:
    """Saves a run for each night of `times`; a row whose time is NaN is missing."""
    for night, of_night in enumerate(times):
        seconds = {row: float(each) for row, each in zip(rows, of_night, strict=True) if each == each}
        save(folder, night, content(night, seconds, **info))


def made_up_runs(times: np.ndarray) -> list[PastRun]:
    """Returns the runs of these times without files."""
    machine = dict.fromkeys(("scale", "timing", "replicates", "device", "device_name", "cores"), "1")
    runs = []
    for night, of_night in enumerate(times):
        time, accuracy = BEGIN + timedelta(night), 0.9 + night / 1e5
        rows = {
            f"row {at}": Observation(
                (*machine.items(),), (), each, each, accuracy, 0.001, "0.97", night % 7.0
            )
            for at, each in enumerate(of_night.tolist())
        }
        runs.append(PastRun(str(night), time, commit(night), time, (), rows))
    return runs
