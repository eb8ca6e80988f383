"""Decides from the passes of a comparison whether each row is slower, faster, the same, or undecided.

A pass, with its own pair of processes, is one sample of a row's ratio: neighbouring turns are not
independent, and memory layout makes some processes slightly faster than others. The rows are examined
after each of the passes LOOKS, and what is decided trains no more. So that looking often does not make a
comparison wrong more often, each look may spend a part of the error rates: K. K. G. Lan, D. L. DeMets,
"Discrete sequential boundaries for clinical trials" (1983), with the linear spending function (K. Kim,
D. L. DeMets, 1987). The parts are added up (Bonferroni), so that the rates hold however the looks depend
on each other.
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

LOOKS = (2, 3, 4, 6, 8, 12)
"""The numbers of passes after which rows are decided."""
_FIRST_ALARM = 3  # passes: with fewer, the noise of rows that differ in it is not known well enough

SpeedOutcome = Literal["slower", "faster", "same", "undecided"]


def alarm_level(passes: int) -> float:
    """Returns the part of FALSE_ALARMS that the look after so many passes spends."""
    return FALSE_ALARMS * _part(passes, _FIRST_ALARM)


def _miss_level(passes: int) -> float:
    """Returns the part of missed changes, 1 - DETECTION, that this look spends."""
    return (1 - DETECTION) * _part(passes, LOOKS[0])


def _part(passes: int, first: int) -> float:
    """Returns how much of a rate is spent by a look, if looks before `first` spend nothing."""
    if passes < first:
        return 0.0
    before = max((look for look in LOOKS if first <= look < passes), default=0)
    return (passes - before) / LOOKS[-1]


@dataclass(frozen=True)
class RowDecision:
    """The decision on a row's speed."""

    speed: SpeedOutcome
    difference: Difference
    """The difference of the logarithms of the head's and the base's times."""
    p: float
    """The p-value of its being slower, adjusted for the number of rows."""


def decide_speeds(
    ratios: Mapping[str, Sequence[float]], percent: float, passes: int
) -> dict[str, RowDecision]:
    """Decides each row after `passes`, given the logarithm of the ratio of head to base in each pass.

    Rows that were decided earlier have fewer; how noisy they are still counts. A row is slower if the
    difference is significant and the median pass is slower by at least half of `percent`. It is the same
    if slowdowns and speed-ups of `percent` can be excluded.
    """
    variances, freedom = moderate(ratios.values())
    differences = {
        case: Difference(float(np.mean(values)), float((variance / len(values)) ** 0.5), float(of))
        for (case, values), variance, of in zip(ratios.items(), variances, freedom, strict=True)
    }
    level = alarm_level(passes)
    size = math.log1p(percent / 100)
    slower = holm([difference.p for difference in differences.values()])
    faster = holm([_reversed(difference).p for difference in differences.values()])
    verdicts = {}
    for (case, difference), p, q in zip(differences.items(), slower, faster, strict=True):
        middle = float(np.median(ratios[case]))
        margin = difference.quantile(1 - _miss_level(passes))
        speed: SpeedOutcome = "undecided"
        if p < level and middle >= size / 2:
            speed = "slower"
        elif q < level and middle <= -size / 2:
            speed = "faster"
        elif abs(difference.estimate) + margin < size and (level or abs(middle) < size / 2):
            # (What looks changed waits for the first look that may say so.)
            speed = "same"
        verdicts[case] = RowDecision(speed, difference, float(p))
    return verdicts


def detectable_change(decision: RowDecision, rows: int) -> float:
    """Returns the smallest change of time, in percent, that the last look would probably have shown.

    `rows` is the number of rows that are compared.
    """
    return 100 * math.expm1(decision.difference.detectable(alarm_level(LOOKS[-1]) / rows))


def decide_learning(
    passes: Mapping[str, Sequence[Pass]], points: float, number: int
) -> dict[str, Change]:
    """Compares each row's learning after `number` passes, over the seeds of those that trained it whole.

    Rows that fell, and rows for which a drop of `points` is excluded, are decided; those that are
    underpowered need more seeds. No row is decided while looks spend nothing.
    """
    whole = {case: [each for each in of if each.curves[0]] for case, of in passes.items()}
    sides = [{case: _learned(of, side) for case, of in whole.items() if of} for side in (0, 1)]
    return compare_learning(sides[1], sides[0], points, level=alarm_level(number))


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
