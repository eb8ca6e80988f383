"""Statistics over seeds: means with 95 % intervals, tests, and comparisons based on them.

Comparisons return True, False, or None if the interval leaves the answer open. With one seed there is
no interval over seeds: accuracies are compared by the sampling error of the test set, and other values
decide by themselves; callers that show such a result must mention it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
_DECIDES = ContextVar("confidence of the intervals that decide", default=CONFIDENCE)

Interval = tuple[float, float]


@contextmanager
def deciding_at(confidence: float) -> Iterator[None]:
    """Lets intervals of this confidence decide comparisons, instead of 95 % intervals."""
    token = _DECIDES.set(confidence)
    try:
        yield
    finally:
        _DECIDES.reset(token)


def half_width(values: ArrayLike, confidence: float = CONFIDENCE) -> NDArray[np.float64] | None:
    """Returns half the width of the mean's interval (Student's t), over the last axis of `values`.

    Returns None if there is only one value.
    """
    values = np.asarray(values)
    count = values.shape[-1]
    if count < 2:
        return None
    from scipy.stats import sem, t  # slow to import, and one seed needs none

    return np.asarray(t.ppf((1 + confidence) / 2, count - 1) * sem(values, axis=-1))


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


def exceeds(ours: ArrayLike, theirs: ArrayLike, by: float = 0, *, half_of_one: float = 0) -> bool | None:
    """Returns whether `ours` exceeds `theirs` by more than `by`, on average over seeds.

    The interval of the differences, seed by seed, decides: both sides must have the same seeds. It is
    a 95 % interval, unless `deciding_at` sets another confidence. `half_of_one` is half the width of
    the interval if there is one seed; without, the value decides.
    """
    differences = np.asarray(ours) - np.asarray(theirs) - by
    middle, half = differences.mean(), half_width(differences, _DECIDES.get())
    half = np.asarray(half_of_one) if half is None else half
    if abs(middle) > half or half == 0:
        return bool(middle > 0)
    return None


def accuracy_exceeds(ours: ArrayLike, theirs: ArrayLike, by: float = 0, *, examples: int) -> bool | None:
    """Returns whether accuracies exceed others, or a fixed number, as `exceeds` does.

    With one seed, the sampling error of a test set of `examples` decides: that of two independent
    binomial shares in the normal approximation, or of one if `theirs` is a number. (Two networks that
    err on the same images have a smaller one, which their accuracies alone do not show.)
    """
    variance = sum(
        float(np.mean(np.asarray(each) * (1 - np.asarray(each)))) / examples
        for each in (ours, theirs)
        if np.ndim(each)
    )
    normal = NormalDist().inv_cdf((1 + _DECIDES.get()) / 2)
    return exceeds(ours, theirs, by, half_of_one=normal * math.sqrt(variance))


def all_hold(truths: Iterable[bool | None]) -> bool | None:
    """Returns Kleene's conjunction: False if any is False, else None if any is None, else True."""
    found = set(truths)
    return False if False in found else None if None in found else True


def negate(truth: bool | None) -> bool | None:
    """Returns Kleene's negation."""
    return None if truth is None else not truth


def welch_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval | None:
    """Returns the interval of the difference of the means of two independent samples (Welch).

    It is a 95 % interval, unless `deciding_at` sets another confidence.

    Returns None if a side has only one value.
    """
    if min(len(ours), len(theirs)) < 2:
        return None
    if len({*ours}) == len({*theirs}) == 1:  # no variance, no t value
        return (ours[0] - theirs[0],) * 2
    from scipy.stats import ttest_ind

    found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(_DECIDES.get())
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
