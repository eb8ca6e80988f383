"""Finds steps in the values of rows, as someone finds them who looks after every run.

After each run, the last 3, 5, 8, 12 and 20 runs of a row are compared with the up to 200 before them,
since the row's last step, by the exact rank-sum test (F. Wilcoxon, 1945; H. B. Mann and D. R. Whitney,
1947). It only supposes that unchanged runs could as well have come in another order: neither that noise
is normal nor that its variance is known. The more runs a row has, the fewer are needed to find a step.
This is a window-limited scan, as by T. L. Lai, "Sequential changepoint detection in quality control and
dynamical systems" (1995).

**False alarms.** A history is looked at again after every run, without an end, so that any fixed level
of a single comparison is exceeded some day. What is bounded is how often: the tests of one look share
the level `FALSE_STEPS` (Bonferroni), so that the expected number of looks with a false step is at most
that level times the number of looks, however these depend on each other. This bounds the mean time to a
false alarm from below, which is G. Lorden's criterion ("Procedures for reacting to a change in
distribution", 1971), and there is no level that would be spent in the end.

**Reproducible values.** If a row had the same value in every run before, and another one in every run
since, twice or more, that is a step without a test: training from a seed gives the same accuracy again.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..compare.significance import FloatArray

FALSE_STEPS = 1e-3
"""The largest rate of false steps for a look, of all rows and both directions together."""
COMPARED = (3, 5, 8, 12, 20)
"""The numbers of runs that are compared with those before."""
BEFORE = 200
"""The most runs before a step that are compared."""
FEWEST_BEFORE = 5
"""The runs of a row before a step that are needed to find it."""
FEWEST_SINCE = 2
"""The runs since a step that are needed to find it, if values are reproducible."""
FEWEST_ROWS = 5
"""The rows that are needed to estimate what is common to all rows of a run."""


@dataclass(frozen=True)
class Detected:
    """A step in one row, or in all rows together, whose row is None."""

    row: int | None
    first: int
    """The first run after the step."""
    found: int
    """The run after which it was found."""


class Detection:
    """The look after each run: `look` takes the values of all rows in it, NaN for rows that it lacks.

    With `shared`, each run has a share that is common to its rows, as a busy machine slows all of them:
    rows are compared without it, and the shares with each other. Steps of less than `least` are ignored.
    """

    def __init__(self, rows: int, *, least: float, shared: bool, level: float = FALSE_STEPS):
        self._least, self.shared, self._level = least, shared, level
        self._values = np.empty((0, rows))
        self._starts = np.zeros(rows + 1, dtype=int)  # the last is that of all rows together
        self.steps: list[Detected] = []

    def look(self, values: FloatArray) -> list[Detected]:
        """Adds a run, and returns the steps that are found with it."""
        self._values = np.vstack([self._values, values])
        at = len(self._values) - 1
        first = max(0, at + 1 - BEFORE - COMPARED[-1])
        window = self._values[first:]
        runs = np.arange(first, at + 1)
        current = np.where(runs[:, None] >= self._starts[:-1], window, np.nan)
        shares = common_shares(current) if self.shared else np.zeros(len(window))
        counted = np.isfinite(window).sum(axis=1) >= FEWEST_ROWS
        together = np.where(self.shared & counted & (runs >= self._starts[-1]), shares, np.nan)
        columns = np.column_stack([current - shares[:, None], together])
        found = [
            Detected(row if row < len(values) else None, int(runs[place]), at)
            for row, place in _steps(columns, self._level, self._least).items()
        ]
        for step in found:
            self._starts[-1 if step.row is None else step.row] = step.first
        self.steps += found
        return found

    def restart(self, row: int) -> None:
        """Forgets a row's values before the newest run, which begins a new baseline."""
        self._starts[row] = len(self._values) - 1


def common_shares(values: FloatArray) -> FloatArray:
    """Returns how much slower than usual all rows of each run are: the median over its rows.

    A row's usual value is its median over the runs. As no run is treated unlike another, unchanged runs
    could still have come in another order.
    """
    shares = np.zeros(len(values))
    for _ in range(2):  # the second time, usual values are without shares
        usual = _median(values - shares[:, None], axis=0)
        shares = _median(values - usual, axis=1)
        shares[np.isfinite(values - usual).sum(axis=1) < FEWEST_ROWS] = 0.0
    return shares


def _median(values: FloatArray, axis: int) -> FloatArray:
    if np.isfinite(values).all():
        return np.asarray(np.median(values, axis=axis))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows without values
        return np.asarray(np.nanmedian(values, axis=axis))


def _steps(columns: FloatArray, level: float, least: float) -> dict[int, int]:
    """Returns the columns that have a step and a value in the last run, with its first run's place."""
    known = np.isfinite(columns)
    order = np.argsort(known, axis=0, kind="stable")  # the known values last, in their order
    values = np.take_along_axis(columns, order, axis=0)
    counts = known.sum(axis=0)
    present = np.flatnonzero(known[-1])
    tests = 2 * len(COMPARED) * len(present)  # in both directions
    found = {}
    for column in present.tolist():
        if since := _reproducible(values[len(values) - counts[column] :, column], least):
            found[column] = since
    for size in COMPARED:
        tested = present[counts[present] >= FEWEST_BEFORE + size]
        if not len(tested):
            break
        for column in tested[_stepped(values[:, tested], size, level / tests, least)].tolist():
            if column not in found:
                found[column] = _best_split(values[len(values) - counts[column] :, column])
    return {column: int(order[len(values) - since, column]) for column, since in found.items()}


def _reproducible(values: FloatArray, least: float) -> int:
    """Returns how many of the last values differ from all before them, or 0 if values vary."""
    others = np.flatnonzero(values != values[-1])
    if not len(others):
        return 0
    since, before = len(values) - 1 - int(others[-1]), values[: others[-1] + 1]
    steady = len(before) >= FEWEST_BEFORE and since >= FEWEST_SINCE and np.ptp(before) == 0
    return since if steady and abs(values[-1] - before[0]) >= least else 0


def _stepped(values: FloatArray, size: int, level: float, least: float) -> NDArray[np.bool_]:
    """Returns which columns' last `size` values differ from those before."""
    before, since = values[:-size], values[-size:]
    counts = np.isfinite(before).sum(axis=0)
    change = since.mean(axis=0) - np.nanmean(before, axis=0)
    signed = since * np.sign(change)
    pairs = (signed[:, None] > (before * np.sign(change))[None]).sum(axis=(0, 1))
    p = np.array(
        [
            rank_sum_tail(count, size)[count * size - ordered]
            for count, ordered in zip(counts.tolist(), pairs.tolist(), strict=True)
        ]
    )
    stepped: NDArray[np.bool_] = (p <= level) & (np.abs(change) >= least)
    return stepped


def _best_split(values: FloatArray) -> int:
    """Returns how many runs are since the most likely place of the step in these values."""
    sizes = np.arange(FEWEST_SINCE, min(len(values) - FEWEST_BEFORE, COMPARED[-1]) + 1)
    totals = np.cumsum(values[::-1])[sizes - 1]
    rest = len(values) - sizes
    change = totals / sizes - (values.sum() - totals) / rest
    return int(sizes[np.argmax(change**2 * sizes * rest)])


@cache
def rank_sum_tail(before: int, since: int) -> FloatArray:
    """Returns, for each k, the probability that at most k pairs are not in order, if nothing changed.

    A pair is one of the `before` and one of the `since` values. (The counts are the coefficients of a
    Gaussian binomial coefficient.)
    """
    counts = np.zeros(before * since + 1)
    counts[0] = 1
    for factor in range(1, since + 1):
        raised = counts.copy()
        raised[before + factor :] -= counts[: len(counts) - before - factor]
        for place in range(factor, len(raised)):
            raised[place] += raised[place - factor]
        counts = raised
    tail: FloatArray = np.minimum(np.cumsum(counts) / counts.sum(), 1.0)
    return tail
