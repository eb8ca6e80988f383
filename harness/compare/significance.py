"""Many rows tested at once: which differences are more than noise, and how small a one would show.

Differences are given so that a positive one is the worse. Tests are one-sided t-tests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FALSE_ALARMS = 0.01  # at most, in all tests of a run together
DETECTION = 0.95  # how often a difference of the size that is called detectable is found

_MOST_FREEDOM = 1e6  # where rows do not differ in their noise, in place of infinity

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A row's difference from its baseline: the estimate, and what is known of its error."""

    estimate: float
    error: float
    """The estimate's standard error."""
    freedom: float
    """The standard error's degrees of freedom; 0 where nothing is known of it."""

    @property
    def p(self) -> float:
        """The probability of such an estimate, or a greater one, where there is no difference."""
        if self.freedom == 0:
            return 1.0
        if self.error == 0:
            return 0.0 if self.estimate > 0 else 1.0
        from scipy.special import stdtr  # slow to import, and most sessions test nothing

        return float(stdtr(self.freedom, -self.estimate / self.error))

    def quantile(self, probability: float) -> float:
        """How far from the true difference the estimate is at most, with that probability."""
        from scipy.special import stdtrit

        return float(self.error * stdtrit(self.freedom, probability)) if self.freedom else float("inf")

    def detectable(self, level: float, detection: float = DETECTION) -> float:
        """The smallest difference that a test at `level` finds with probability `detection`."""
        return self.quantile(1 - level) + self.quantile(detection)


def holm(p_values: ArrayLike) -> _Floats:
    """Adjusted p-values: rejecting those up to a level has one false alarm at most that often.

    S. Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    p = np.asarray(p_values)
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted


def moderate(samples: Iterable[Collection[float]]) -> tuple[_Floats, _Floats]:
    """The variance of each row's samples, drawn towards that of all rows, and its degrees of freedom.

    A few samples tell a row's noise badly; how much rows differ in it says how far to trust the others.
    G. K. Smyth, "Linear models and empirical Bayes methods" (2004), section 6.2. Rows without any
    freedom get the variance of all; with one row alone, it is its own.
    """
    rows = [np.asarray([*row]) for row in samples]
    given = np.array([max(len(row) - 1.0, 0.0) for row in rows])
    sample = np.array([row.var(ddof=1) if len(row) > 1 else 0.0 for row in rows])
    known = sample > 0
    if known.sum() < 2:
        return sample, given
    from scipy.special import digamma, polygamma

    half = given[known] / 2
    logs = np.log(sample[known]) - digamma(half) + np.log(half)
    # By a standard error more than they seem to differ: quiet rows must not stand for noisy ones.
    total = float(np.var(logs, ddof=1)) * (1 + (2 / (len(logs) - 1)) ** 0.5)
    prior = _prior(total - float(polygamma(1, half).mean()))
    common = float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2)))
    return (prior * common + given * sample) / (prior + given), prior + given


def combined_error(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The standard error of a sum of independent parts, and its degrees of freedom.

    `parts` are variances and their degrees of freedom. The sum's are F. E. Satterthwaite's (1946).
    """
    total = sum(variance for variance, _ in parts)
    if any(freedom == 0 for _, freedom in parts):
        return total**0.5, 0.0
    if total == 0:
        return 0.0, min(freedom for _, freedom in parts)
    return total**0.5, total**2 / sum(variance**2 / freedom for variance, freedom in parts)


def _prior(spread: float) -> float:
    """The degrees of freedom of noise whose logarithm varies between rows with the variance `spread`.

    Twice the x with trigamma(x) = `spread`, which lies between 1 / `spread` and 1 / `spread` + 0.5.
    """
    from scipy.optimize import brentq
    from scipy.special import polygamma

    if spread <= polygamma(1, _MOST_FREEDOM / 2):
        return _MOST_FREEDOM
    return 2 * float(brentq(lambda x: polygamma(1, x) - spread, 1 / spread, 1 / spread + 0.5))
