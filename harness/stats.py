"""Statistics over seeds: means with 95 % intervals, tests, and comparisons based on them.

Comparisons return True, False, or None if the interval leaves the answer open. With one seed there is
no interval, and the values themselves decide; callers that show such a result must mention it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CONFIDENCE = 0.95

Interval = tuple[float, float]


def half_width(values: ArrayLike) -> NDArray[np.float64] | None:
    """Returns half the width of the mean's 95 % interval (Student's t), over the last axis of `values`.

    Returns None if there is only one value.
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
    """Returns the mean over the last axis, and the ends of its 95 % interval.

    The interval of a single value is that value. If a value is not finite, all three are NaN.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.where(np.isfinite(values), values, np.nan)
        middle = values.mean(axis=-1)
        half = half_width(values)
        half = np.zeros_like(middle) if half is None else half
        return middle, middle - half, middle + half


def format_mean(values: Sequence[float] | NDArray[np.float64], decimals: int = 3) -> str:
    """Formats the mean with half the width of its interval, if it has one: "0.982 ± 0.001"."""
    text = f"{np.mean(values):.{decimals}f}"
    half = half_width(values)
    return text if half is None else f"{text} ± {half:.{decimals}f}"


def exceeds(ours: ArrayLike, theirs: ArrayLike, by: float = 0) -> bool | None:
    """Returns whether `ours` exceeds `theirs` by more than `by`, on average over seeds.

    The 95 % interval of the differences, seed by seed, decides: both sides must have the same seeds.
    """
    differences = np.asarray(ours) - np.asarray(theirs) - by
    middle, half = differences.mean(), half_width(differences)
    if half is None or abs(middle) > half or half == 0:
        return bool(middle > 0)
    return None


def all_hold(truths: Iterable[bool | None]) -> bool | None:
    """Returns Kleene's conjunction: False if any is False, else None if any is None, else True."""
    found = set(truths)
    return False if False in found else None if None in found else True


def negate(truth: bool | None) -> bool | None:
    """Returns Kleene's negation."""
    return None if truth is None else not truth


def welch_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval | None:
    """Returns the 95 % interval of the difference of the means of two independent samples (Welch).

    Returns None if a side has only one value.
    """
    if min(len(ours), len(theirs)) < 2:
        return None
    if len({*ours}) == len({*theirs}) == 1:  # no variance, no t value
        return (ours[0] - theirs[0],) * 2
    from scipy.stats import ttest_ind

    found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(_CONFIDENCE)
    return float(found.low), float(found.high)


def span_around_best(scores: Sequence[float] | NDArray[np.float64], within: float) -> tuple[int, int]:
    """Returns the first and last index of the unbroken run of scores `within` the highest, around it.

    With an optimizer's results by learning rate as `scores`, this measures how sensitive it is to the
    rate: F. Schneider, L. Balles, P. Hennig, "DeepOBS" (2019); R. Schmidt, F. Schneider,
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
