"""The data of learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files.record import TrainingRecord
from ...files.summary import ExerciseSummary
from ...stats import mean_and_interval
from ..series import Line
from .figure import Rows, json_number
from .published import when_published

SETS = {"test": "test", "training": "train"}
"""The sets, by the name in fields of the data, with the name in fields of a record."""
QUANTITIES = {"error": 100.0, "loss": np.inf}
"""What is drawn, with the highest possible value."""

_MAX_POINTS = 2400  # for all lines of an exercise
_ALL_UP_TO = 20  # epochs, all of which are drawn; curves change fastest at the beginning
_SHAPES_PER_LINE = 7
_TIMES = 40  # at which the pointer shows the values of all lines


def curve_rows(lines: list[tuple[Line, TrainingRecord]]) -> Rows:
    """Returns a row for each line and epoch; long trainings are thinned out after the first epochs."""
    most = max(20, min(61, _MAX_POINTS // len(lines)))
    rows = []
    for index, (line, curves) in enumerate(lines):
        chosen = _epochs(curves.experiment.epochs, most)
        # Shapes are staggered between lines, and each line ends with one.
        every = max(1, len(chosen) // _SHAPES_PER_LINE)
        marked = {*chosen[index % every :: every].tolist(), chosen[-1]}
        seconds = np.asarray(curves.epoch_seconds)[chosen]
        found = {
            f"{part}_{quantity}": mean_and_interval(values_of(curves, part, quantity)[chosen])
            for part in SETS
            for quantity in QUANTITIES
        }
        for at, epoch in enumerate(chosen.tolist()):
            row: dict[str, Any] = {
                "line": line.label,
                "row": line.name,
                "epoch": epoch,
                "seconds": json_number(seconds[at]),
            }
            for name, values in found.items():
                row |= _interval(name, values, at)
            rows.append(row | ({"mark": True} if epoch in marked else {}))
    return rows


def _epochs(last: int, most: int) -> NDArray[np.intp]:
    """Returns at most `most` epochs: the first ones, and then every second or third, and so on."""
    if last < most:
        return np.arange(last + 1)
    first = np.arange(min(_ALL_UP_TO, most // 3))
    rest = np.linspace(len(first), last, most - len(first)).round().astype(int)
    return np.unique([*first, *rest])


def values_of(curves: TrainingRecord, part: str, quantity: str) -> NDArray[np.float64]:
    """Returns the errors in percent or the losses on a set, with axes epochs and seeds."""
    if quantity == "loss":
        return np.asarray(getattr(curves, f"{SETS[part]}_loss"), dtype=float)
    return 100 - 100 * np.asarray(getattr(curves, f"{SETS[part]}_accuracy"), dtype=float)


def _interval(name: str, values: tuple[NDArray[np.float64], ...], at: int) -> dict[str, float | None]:
    """Returns the mean and its interval at an epoch, or the mean alone if the interval has no width.

    The interval is clipped to what is possible.
    """
    middle, low, high = (json_number(each[at]) for each in values)
    if low is None or high is None or low == high:
        return {name: middle}
    most = QUANTITIES[name.rpartition("_")[2]]
    return {name: middle, f"{name}_low": max(low, 0), f"{name}_high": min(high, most)}


def seed_rows(lines: list[tuple[Line, TrainingRecord]]) -> Rows:
    """Returns the last value of each seed of each line with several seeds."""
    rows: Rows = []
    for line, curves in lines:
        if len(line.case.seeds) < 2:
            continue
        for index, seed in enumerate(line.case.seeds):
            row: dict[str, Any] = {
                "line": line.label,
                "row": line.name,
                "seed": seed,
                "epoch": curves.experiment.epochs,
                "seconds": json_number(curves.epoch_seconds[-1]),
            }
            for part in SETS:
                for quantity in QUANTITIES:
                    value = values_of(curves, part, quantity)[-1, index]
                    row[f"{part}_{quantity}"] = json_number(float(value))
            rows.append(row)
    return rows


def published_rows(exercise: ExerciseSummary, lines: list[Line]) -> Rows:
    """Returns the published values of the lines that have one."""
    return [
        {
            "line": line.label,
            "row": line.name,
            "published": when_published(exercise),
            "test_error": json_number(100 - 100 * line.case.paper.test_accuracy),
            "measured_error": json_number(100 - 100 * float(np.mean(line.case.test_accuracy))),
            "seconds": line.case.paper.seconds,
        }
        for line in lines
        if line.case.paper.test_accuracy is not None
    ]


def time_rows(lines: list[tuple[Line, TrainingRecord]]) -> Rows:
    """Returns the errors of all lines after the same times, in fields by the numbers of the lines.

    The error of a line is that after the last epoch that has ended by then.
    """
    ends = [np.asarray(curves.epoch_seconds, dtype=float) for _, curves in lines]
    positive = np.concatenate([each[each > 0] for each in ends]) if ends else np.array([])
    if not len(positive):
        return []
    rows: Rows = []
    for time in np.geomspace(positive.min(), positive.max() * 1.0001, _TIMES):
        row: dict[str, Any] = {"seconds": json_number(time)}
        for index, (_, curves) in enumerate(lines):
            at = int(np.searchsorted(ends[index], time, side="right")) - 1
            if at >= 1:
                for part in SETS:
                    error = values_of(curves, part, "error")[at].mean()
                    row[f"{part}_{index}"] = json_number(float(error))
        rows.append(row)
    return rows
