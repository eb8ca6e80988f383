"""Decides from the passes of a comparison whether each row is slower, faster, the same, or undecided.

A pass, with its own pair of processes, is one sample of a row's ratio: neighbouring turns are not
independent, and memory layout makes some processes slightly faster than others. The samples are examined
a few times, until every row is decided; each look gets its share of the false alarms (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..compare.learning import Change, Learning, compare_learning
from ..compare.significance import DETECTION, FALSE_ALARMS, Difference, holm, moderate
from .turns import Pass

LOOKS = (4, 6, 8)  # the numbers of passes after which rows are decided

SpeedOutcome = Literal["slower", "faster", "same", "undecided"]


@dataclass(frozen=True)
class RowDecision:
    """The decision on a row's speed."""

    speed: SpeedOutcome
    difference: Difference
    """The difference of the logarithms of the head's and the base's times."""
    p: float
    """The p-value of its being slower, adjusted for the number of rows."""


def decide_speeds(ratios: Mapping[str, Sequence[float]], percent: float) -> dict[str, RowDecision]:
    """Decides each row, given the logarithm of the ratio of head to base in each pass.

    A row is slower if the difference is significant and the median pass is slower by at least half of
    `percent`. It is the same if slowdowns and speed-ups of `percent` can be excluded.
    """
    variances, freedom = moderate(ratios.values())
    differences = {
        case: Difference(float(np.mean(values)), float((variance / len(values)) ** 0.5), float(of))
        for (case, values), variance, of in zip(ratios.items(), variances, freedom, strict=True)
    }
    level = FALSE_ALARMS / len(LOOKS)
    size = math.log1p(percent / 100)
    slower = holm([difference.p for difference in differences.values()])
    faster = holm([_reversed(difference).p for difference in differences.values()])
    verdicts = {}
    for (case, difference), p, q in zip(differences.items(), slower, faster, strict=True):
        middle = float(np.median(ratios[case]))
        margin = difference.quantile(1 - (1 - DETECTION) / len(LOOKS))
        speed: SpeedOutcome = "undecided"
        if p <= level and middle >= size / 2:
            speed = "slower"
        elif q <= level and middle <= -size / 2:
            speed = "faster"
        elif abs(difference.estimate) + margin < size:
            speed = "same"
        verdicts[case] = RowDecision(speed, difference, float(p))
    return verdicts


def learning_changes(passes: Mapping[str, Sequence[Pass]], points: float) -> dict[str, Change]:
    """Compares each row's learning over the seeds of all passes that trained it whole."""
    whole = {case: [each for each in of if each.curves[0]] for case, of in passes.items()}
    sides = [{case: _learned(of, side) for case, of in whole.items() if of} for side in (0, 1)]
    return compare_learning(sides[1], sides[0], points)


def _learned(passes: Sequence[Pass], side: int) -> Learning:
    curves = np.concatenate([each.curves[side] for each in passes], axis=1)  # (epochs, seeds)
    return Learning(
        seeds=[seed for each in passes for seed in each.seeds],
        epochs=len(curves),
        test_accuracy=curves[-1].tolist(),
        epochs_to={
            f"{target:.2f}": [
                int(curve.argmax()) + 1 if curve.any() else None for curve in (curves >= target).T
            ]
            for target in passes[0].targets
        },
    )


def _reversed(difference: Difference) -> Difference:
    return Difference(-difference.estimate, difference.error, difference.freedom)
