"""What stands for many rows, where all of them would be too many to see."""

from __future__ import annotations

import numpy as np

from .lines import Line, phrase, restyled, varying

FEW = 14  # rows that a figure of curves shows apart


def best_of_groups(lines: list[Line]) -> list[Line]:
    """All lines if they are few; else the best of each group of rows that differ in one setting alone.

    That is the setting with the most values. Where there are too many groups, the best of them.
    """
    if len(lines) <= FEW:
        return lines
    settings = varying([line.case.experiment for line in lines])
    values = {name: len({phrase(line.case.experiment, [name]) for line in lines}) for name in settings}
    dropped = max(values, key=values.__getitem__, default=None)
    others = [name for name in settings if name != dropped]
    best: dict[str, Line] = {}
    for line in lines:
        key = phrase(line.case.experiment, others)
        if key not in best or accuracy(line) > accuracy(best[key]):
            best[key] = line
    chosen = sorted(best.values(), key=accuracy, reverse=True)[:FEW]
    return restyled([line for line in lines if line in chosen])


def accuracy(line: Line) -> float:
    """The mean final test accuracy."""
    return float(np.mean(line.case.test_accuracy))
