"""The formats of services that keep and gate results, each with times and accuracies by row.

A time is that of the fastest epoch, which other processes disturb least; an accuracy is the mean over
seeds after the last epoch. Rows are called by their node ids, which never change. A row whose record
cannot be read has no fastest epoch, and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..exercise import row_name
from ..report.load import Run
from ..stats import half_width
from .columns import fastest_epoch


@dataclass(frozen=True)
class _Row:
    case: str
    seconds: float
    """Of the fastest epoch."""
    accuracies: list[float]
    """By seed."""
    seeds: list[int]
    about: str

    @property
    def accuracy(self) -> float:
        return fmean(self.accuracies)

    @property
    def half_width(self) -> float | None:
        """Half the width of the mean accuracy's 95 % interval; None for one seed."""
        half = half_width(self.accuracies)
        return None if half is None else float(half)


def github_smaller(run: Run) -> str:
    """Returns times for github-action-benchmark's tool `customSmallerIsBetter`."""
    return _json(
        [
            {"name": row.case, "unit": "s/epoch", "value": row.seconds, "extra": row.about}
            for row in _rows(run)
        ]
    )


def github_bigger(run: Run) -> str:
    """Returns accuracies for github-action-benchmark's tool `customBiggerIsBetter`."""
    entries = []
    for row in _rows(run):
        entry = {"name": row.case, "unit": "test accuracy", "value": row.accuracy, "extra": row.about}
        if row.half_width is not None:
            entry["range"] = f"± {row.half_width:.4f}"
        entries.append(entry)
    return _json(entries)


def bencher(run: Run) -> str:
    """Returns Bencher Metric Format: by row, `latency` in nanoseconds (built in) and `accuracy`."""
    return _json(
        {
            row.case: {
                "latency": {"value": 1e9 * row.seconds},
                "accuracy": {"value": row.accuracy, **_bounds(row)},
            }
            for row in _rows(run)
        }
    )


def _bounds(row: _Row) -> dict[str, float]:
    half = row.half_width
    if half is None:
        return {}
    return {"lower_value": row.accuracy - half, "upper_value": row.accuracy + half}


def openmetrics(run: Run) -> str:
    """Returns OpenMetrics' text: gauges by row, and by seed for accuracies, and the run's info."""
    summary = run.summary
    about = {
        "study": summary.study.title,
        "scale": summary.scale,
        "commit": summary.commit or "",
        "device_name": summary.machine.device_name,
        "torch": summary.machine.torch,
        "python": summary.machine.python,
    }
    times, accuracies = [], []
    for row in _rows(run):
        labels = {"exercise": row.case.partition("::")[0], "row": row_name(row.case)}
        times.append((labels, row.seconds))
        for seed, accuracy in zip(row.seeds, row.accuracies, strict=True):
            accuracies.append(({**labels, "seed": str(seed)}, accuracy))
    seconds, ratio = "minibatch_bench_epoch_seconds", "minibatch_bench_test_accuracy_ratio"
    lines = [
        "# TYPE minibatch_bench_run info",
        "# HELP minibatch_bench_run The run that the other metrics are of.",
        _sample("minibatch_bench_run_info", about, 1),
        f"# TYPE {seconds} gauge",
        f"# UNIT {seconds} seconds",
        f"# HELP {seconds} Training time of the fastest epoch.",
        *(_sample(seconds, *each) for each in times),
        f"# TYPE {ratio} gauge",
        f"# UNIT {ratio} ratio",
        f"# HELP {ratio} Test accuracy after the last epoch.",
        *(_sample(ratio, *each) for each in accuracies),
        "# EOF",
    ]
    return "\n".join(lines) + "\n"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    given = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{name}{{{given}}} {value!r}"


_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})  # of OpenMetrics' label values

FORMATS: Mapping[str, Callable[[Run], str]] = {
    "github-smaller": github_smaller,
    "github-bigger": github_bigger,
    "bencher": bencher,
    "openmetrics": openmetrics,
}


def _rows(run: Run) -> Iterator[_Row]:
    for case in run.cases.values():
        if record := run.curves.get(case.id):
            yield _Row(
                case.id,
                fastest_epoch(record),
                case.test_accuracy,
                case.seeds,
                f"{case.experiment.kind}, {case.engine} on {run.summary.machine.device_name}",
            )


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
