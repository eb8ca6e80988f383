"""Tests many rows at once: which differences are significant, and which would be detectable.

A positive difference means worse. Tests are one-sided t-tests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FALSE_ALARMS = 0.01  # the largest rate, for all tests of a run together
DETECTION = 0.95  # how often a difference that is called detectable is detected

_MOST_FREEDOM = 1e6  # in place of infinity, if rows do not differ in their noise

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A row's difference from its baseline: an estimate and its error."""

    estimate: float
    error: float
    """The estimate's standard error."""
    freedom: float
    """The standard error's degrees of freedom; 0 if it is unknown."""

    @property
    def p(self) -> float:
        """The probability of an estimate at least this large if there is no difference."""
        if self.freedom == 0:
            return 1.0
        if self.error == 0:
            return 0.0 if self.estimate > 0 else 1.0
        from scipy.special import stdtr  # slow to import, and most sessions test nothing

        return float(stdtr(self.freedom, -self.estimate / self.error))

    def quantile(self, probability: float) -> float:
        """Returns the largest excess of the estimate over the true difference, with `probability`."""
        from scipy.special import stdtrit

        return float(self.error * stdtrit(self.freedom, probability)) if self.freedom else float("inf")

    def detectable(self, level: float, detection: float = DETECTION) -> float:
        """Returns the smallest difference detected by a test at `level` with probability `detection`."""
        return self.quantile(1 - level) + self.quantile(detection)


def holm(p_values: ArrayLike) -> FloatArray:
    """Returns adjusted p-values: rejecting those up to a level bounds the rate of any false alarm by it.

    S. Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    p = np.asarray(p_values)
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted


def moderate(samples: Iterable[Collection[float]]) -> tuple[FloatArray, FloatArray]:
    """Returns each row's variance, shrunk towards that of all rows, and its degrees of freedom.

    A few samples estimate a row's noise poorly. The less rows differ in their noise, the more each is
    shrunk: G. K. Smyth, "Linear models and empirical Bayes methods" (2004), section 6.2. A row without
    degrees of freedom gets the common variance; a single row keeps its own.
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
    # The spread is taken one standard error larger, so that quiet rows are not trusted for noisy ones.
    total = float(np.var(logs, ddof=1)) * (1 + (2 / (len(logs) - 1)) ** 0.5)
    prior = _prior(total - float(polygamma(1, half).mean()))
    common = float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2)))
    return (prior * common + given * sample) / (prior + given), prior + given


def combined_error(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Returns the standard error of a sum of independent parts, and its degrees of freedom.

    `parts` are variances and their degrees of freedom; the sum's follow F. E. Satterthwaite (1946).
    """
    total = sum(variance for variance, _ in parts)
    if any(freedom == 0 for _, freedom in parts):
        return total**0.5, 0.0
    if total == 0:
        return 0.0, min(freedom for _, freedom in parts)
    return total**0.5, total**2 / sum(variance**2 / freedom for variance, freedom in parts)


def _prior(spread: float) -> float:
    """Returns the degrees of freedom of noise whose logarithm has the variance `spread` between rows.

    This is twice the x with trigamma(x) = `spread`, which is from 1 / `spread` to 1 / `spread` + 0.5.
    """
    from scipy.optimize import brentq
    from scipy.special import polygamma

    if spread <= polygamma(1, _MOST_FREEDOM / 2):
        return _MOST_FREEDOM
    return 2 * float(brentq(lambda x: polygamma(1, x) - spread, 1 / spread, 1 / spread + 0.5))
