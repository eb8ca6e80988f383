"""Statistics over seeds: means with 95 % intervals, tests, and comparisons that these decide.

Comparisons are three-valued: True, False, or None where the interval leaves it open. With
one seed there is no interval, and the figures themselves decide; whoever shows them says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CONFIDENCE = 0.95

Interval = tuple[float, float]


def half_width(values: ArrayLike) -> NDArray[np.float64] | None:
    """Half the width of the mean's 95 % interval (Student's t), over the last axis of `values`.

    None where there is but one value.
    """
    values = np.asarray(values)
    count = values.shape[-1]
    if count < 2:
        return None
    from scipy.stats import sem, t  # slow to import, and one seed needs none

    return np.asarray(t.ppf((1 + _CONFIDENCE) / 2, count - 1) * sem(values, axis=-1))


def mean_and_interval(
    values: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and the ends of its 95 % interval, over the last axis; one value is its own interval.

    Where a value is not finite, all three are NaN.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.where(np.isfinite(values), values, np.nan)
        middle = values.mean(axis=-1)
        half = half_width(values)
        half = np.zeros_like(middle) if half is None else half
        return middle, middle - half, middle + half


def format_mean(values: Sequence[float] | NDArray[np.float64], decimals: int = 3) -> str:
    """The mean, with half its interval's width where there is one: "0.982 ± 0.001"."""
    text = f"{np.mean(values):.{decimals}f}"
    half = half_width(values)
    return text if half is None else f"{text} ± {half:.{decimals}f}"


def exceeds(ours: ArrayLike, theirs: ArrayLike, by: float = 0) -> bool | None:
    """Whether `ours` is greater than `theirs` by more than `by`, on average over seeds.

    Decided by the 95 % interval of the differences, seed by seed: both sides have the same seeds.
    """
    differences = np.asarray(ours) - np.asarray(theirs) - by
    middle, half = differences.mean(), half_width(differences)
    if half is None or abs(middle) > half or half == 0:
        return bool(middle > 0)
    return None


def all_hold(truths: Iterable[bool | None]) -> bool | None:
    """Kleene's conjunction: False if one is False, else None if one is open."""
    found = set(truths)
    return False if False in found else None if None in found else True


def negate(truth: bool | None) -> bool | None:
    """Kleene's negation."""
    return None if truth is None else not truth


def welch_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval | None:
    """The 95 % interval of the difference of the means of two independent samples (Welch).

    None where a side has but one value.
    """
    if min(len(ours), len(theirs)) < 2:
        return None
    if len({*ours}) == len({*theirs}) == 1:  # no variance, no t value
        return (ours[0] - theirs[0],) * 2
    from scipy.stats import ttest_ind

    found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(_CONFIDENCE)
    return float(found.low), float(found.high)


def span_around_best(scores: Sequence[float] | NDArray[np.float64], within: float) -> tuple[int, int]:
    """The first and last index of the unbroken run around the highest score that is `within` it.

    A measure of how sensitive an optimizer is to its learning rate, where `scores` are its results
    by rate: F. Schneider, L. Balles, P. Hennig, "DeepOBS" (2019); R. Schmidt, F. Schneider,
    P. Hennig, "Descending through a Crowded Valley" (2021).
    """
    best = int(np.argmax(scores))
    near = np.asarray(scores) >= scores[best] - within
    low = high = best
    while low > 0 and near[low - 1]:
        low -= 1
    while high < len(near) - 1 and near[high + 1]:
        high += 1
    return low, high
