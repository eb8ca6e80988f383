"""What the passes of a comparison say of each row: slower, faster, same, or undecided.

A pass, with a pair of processes of its own, is one sample of a row's ratio: neighbouring turns are not
independent, and a process is fast or slow by where its memory happens to lie. The samples are looked at
a few times, until every row is decided; each look has its share of the false alarms (Bonferroni).
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

LOOKS = (4, 6, 8)  # after so many passes

SpeedOutcome = Literal["slower", "faster", "same", "undecided"]


@dataclass(frozen=True)
class RowDecision:
    """On the speed of a row."""

    speed: SpeedOutcome
    difference: Difference
    """Of the logarithm of the head's time from the base's."""
    p: float
    """That it is not slower, adjusted for the rows."""


def decide_speeds(ratios: Mapping[str, Sequence[float]], percent: float) -> dict[str, RowDecision]:
    """The verdict on each row, of which `ratios` holds the logarithm of head over base in each pass.

    A row is slower if it is so significantly, and in the median pass by more than half of `percent`; it
    is the same if a slowdown, and a speed-up, by `percent` can be excluded.
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
    """How each row's learning differs, over the seeds of all passes that trained it whole."""
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
