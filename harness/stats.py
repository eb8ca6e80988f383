"""Figures of several seeds: means with 95 % intervals, and comparisons that these decide.

Comparisons are three-valued: True, False, or None where the interval leaves it open. With
one seed there is no interval, and the figures themselves decide; who shows them says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_CONFIDENCE = 0.95


def margin(values: Sequence[float]) -> float | None:
    """Half the width of the mean's 95 % interval (Student's t); None with one value."""
    half = margins(np.asarray(values))
    return None if half is None else float(half)


def margins(values: np.ndarray) -> np.ndarray | None:
    """The same for many means at once: over the last axis of `values`."""
    count = values.shape[-1]
    if count < 2:
        return None
    from scipy.stats import sem, t  # slow to import, and one seed needs none

    return t.ppf((1 + _CONFIDENCE) / 2, count - 1) * sem(values, axis=-1)


def mean(values: Sequence[float], decimals: int = 3) -> str:
    """The mean as text, with its margin where there is one: "0.982 ± 0.001"."""
    text = f"{np.mean(values):.{decimals}f}"
    half = margin(values)
    return text if half is None else f"{text} ± {half:.{decimals}f}"


def above(ours: Sequence[float], theirs: Sequence[float] | float, by: float = 0) -> bool | None:
    """Whether `ours` is greater than `theirs` by more than `by`, on average over seeds.

    Decided by the 95 % interval of the differences, seed by seed: both sides have the same seeds.
    """
    differences = np.asarray(ours) - np.asarray(theirs) - by
    middle, half = differences.mean(), margin(differences)
    if half is None or abs(middle) > half or half == 0:
        return bool(middle > 0)
    return None


def every(truths: Iterable[bool | None]) -> bool | None:
    """Kleene's conjunction: False if one is False, else None if one is open."""
    found = set(truths)
    return False if False in found else None if None in found else True


def some(truths: Iterable[bool | None]) -> bool | None:
    """Kleene's disjunction: True if one is True, else None if one is open."""
    found = set(truths)
    return True if True in found else None if None in found else False


def negate(truth: bool | None) -> bool | None:
    """Kleene's negation."""
    return None if truth is None else not truth
