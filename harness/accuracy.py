"""Comparison of final test accuracies, for claims, and how they are written."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from model.experiment import Training

from .stats import accuracy_exceeds, format_mean, mean_and_interval

_APART = 0.05


def ends_above(training: Training, other: Training | float, by: float = 0) -> bool | None:
    """Returns whether it ends with a higher test accuracy than another training, or than a number.

    It is None if the seeds leave it open or, with one seed, the test set's sampling error does.
    """
    theirs = other.test_accuracy[-1] if isinstance(other, Training) else other
    ours = training.test_accuracy[-1]
    return accuracy_exceeds(ours, theirs, by, examples=training.test_examples)


def end_apart(accuracies: ArrayLike) -> bool:
    """Returns whether seeds end in two places, so that their mean is near none of them.

    They do if the widest gap between neighbours is at least 5 points, and more than half of the range.
    """
    ordered = np.sort(accuracies)
    if len(ordered) < 2:
        return False
    gap = np.diff(ordered).max()
    return bool(gap >= _APART and gap > (ordered[-1] - ordered[0]) / 2)


def format_accuracy(accuracies: ArrayLike, decimals: int = 3) -> str:
    """Formats the mean over seeds with half the width of its 95 % interval: "0.982 ± 0.001".

    An interval that contains what no accuracy can be is cut and written out: "0.97 (0.84 to 1)". Seeds
    that end in two places are given from the lowest to the highest: "0.115 to 0.360".
    """
    values = np.asarray(accuracies, dtype=float)
    if end_apart(values):
        return f"{values.min():.{decimals}f} to {values.max():.{decimals}f}"
    middle, low, high = (float(each) for each in mean_and_interval(values))
    if low < 0 or high > 1:
        return (
            f"{middle:.{decimals}f} ({f'{low:.{decimals}f}' if low > 0 else 0} to "
            f"{f'{high:.{decimals}f}' if high < 1 else 1})"
        )
    return format_mean(values, decimals)
