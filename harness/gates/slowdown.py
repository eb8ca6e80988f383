"""Decides whether rows train slower than in saved runs, given how much they vary from run to run.

A row's time in a run is that of its fastest epoch, since disturbances only ever slow an epoch down. Its
logarithm is modelled as the row's mean, plus a share common to all rows of the run (a busy machine slows
them all down), plus noise whose variance differs between rows. So a row is compared with its saved runs
relative to the other rows. A separate test decides whether all rows together are slower, given how much
whole runs differ.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..compare.significance import DETECTION, FALSE_ALARMS, Difference, combined_error, holm, moderate

RETRAININGS = 3  # of a suspect, before it is reported as slower
CONTROLS = 5  # rows trained again with it, to distinguish a slow row from a slow machine

# The test of all rows together, and the tests of single rows, each get a quarter of the false alarms.
# The rest is a margin for noise that differs from the model.
_LEVEL = FALSE_ALARMS / 4
# The p-value of a first training, unadjusted, up to which its row is trained again.
_SUSPICION = 0.01
# The detection rate of each of two tests such that both detect in DETECTION of cases.
_EITHER = (1 + DETECTION) / 2
_MEDIAN = math.pi / 2  # the ratio of the variance of a median to that of a mean

EpochTimes = Mapping[str, float]  # by case: seconds of the fastest epoch, or the logarithm of these


@dataclass(frozen=True)
class Trainings:
    """Rows trained one after another: this run, or a retraining of suspects and their controls."""

    seconds: EpochTimes
    controls: Collection[str] = ()
    """The rows from which the common share is estimated; if empty, all rows."""


@dataclass(frozen=True)
class Slowdown:
    """How much slower a row, or all rows together, is than in the saved runs."""

    saved: int
    """The number of saved runs that have it."""
    trainings: int
    """How many times it was trained in this session."""
    difference: Difference
    """The difference of the logarithms of times."""
    p: float
    """The p-value of the difference, adjusted for the number of tests."""
    detectable: float
    """The smallest slowdown that is detected 19 times in 20, in percent."""
    suspect: bool
    """Whether to train it again, because it looks slower by an unlikely and relevant amount."""
    slower: bool
    """Whether it is slower by a significant and relevant amount."""

    @property
    def percent(self) -> float:
        """The slowdown in percent."""
        return to_percent(self.difference.estimate)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `percent`."""
        half = self.difference.quantile(0.975)
        middle = self.difference.estimate
        return to_percent(middle - half), to_percent(middle + half)


@dataclass(frozen=True)
class Judgement:
    """The slowdowns of the compared rows, and of all rows together."""

    rows: dict[str, Slowdown]
    together: Slowdown | None
    """None if there are too few rows or runs."""
    controls: list[str]
    """The rows to train again with suspects: the least noisy of the others."""

    @property
    def suspects(self) -> list[str]:
        """The rows to train again."""
        return [case for case, row in self.rows.items() if row.suspect]


def to_percent(logarithm: float) -> float:
    """Converts a difference of logarithms of times to a slowdown in percent."""
    return 100 * math.expm1(min(logarithm, 700.0))


def judge(now: Sequence[Trainings], saved: Sequence[EpochTimes], percent: float) -> Judgement:
    """Judges the rows of this run, `now[0]`, that a saved run has; `now[1:]` are retrainings.

    Slowdowns of less than half of `percent` pass, even if significant: otherwise 1 % would fail a very
    quiet row.
    """
    cases = now[0].seconds
    noise = _noise([{case: math.log(run[case]) for case in run if case in cases} for run in saved])
    matters = math.log1p(percent / 100) / 2
    shares: list[float] = []
    samples: dict[str, list[float]] = {case: [] for case in cases if case in noise.middles}
    for trainings in now:
        residuals = {
            case: math.log(seconds) - noise.middles[case]
            for case, seconds in trainings.seconds.items()
            if case in samples
        }
        controls = [residuals[case] for case in trainings.controls if case in residuals]
        if shares and not controls:
            shares.append(shares[0])
        else:
            shares.append(_share(controls or residuals.values(), among=len(samples)))
        for case in residuals.keys() - {*trainings.controls}:
            samples[case].append(residuals[case] - shares[-1])

    found = {
        case: noise.difference(case, float(np.mean(values)), len(values))
        for case, values in samples.items()
    }
    adjusted = holm([difference.p for difference in found.values()])
    rows = {}
    for (case, difference), p in zip(found.items(), adjusted, strict=True):
        first, last = (noise.difference(case, 0.0, n) for n in (1, 1 + RETRAININGS))
        # In every training: thread placement makes some rows slow in one of three processes.
        worse = min(samples[case]) >= matters
        rows[case] = Slowdown(
            saved=noise.saved[case],
            trainings=len(samples[case]),
            difference=difference,
            p=float(p),
            detectable=to_percent(
                max(
                    first.detectable(_SUSPICION, _EITHER),
                    last.detectable(_LEVEL / len(samples), _EITHER),
                    matters + first.quantile(1 - (1 - _EITHER) / (1 + RETRAININGS)),
                )
            ),
            suspect=worse and difference.p <= _SUSPICION,
            slower=worse and bool(p <= _LEVEL),
        )
    calm = [case for case in noise.quietest if case in rows and not rows[case].suspect]
    return Judgement(rows, noise.together(shares[0], matters), calm[:CONTROLS])


@dataclass(frozen=True)
class _Noise:
    """How the logarithms of times vary from run to run."""

    middles: EpochTimes
    """The mean of each row, without the shares of its runs."""
    saved: Mapping[str, int]
    """The number of runs that have each row."""
    own: Mapping[str, tuple[float, float]]
    """The variance of each row relative to the others, and its degrees of freedom."""
    shares: Sequence[float]
    """The share of each run, common to its rows."""

    @property
    def quietest(self) -> list[str]:
        """The rows, the least noisy first."""
        return sorted(self.own, key=lambda case: self.own[case][0])

    def difference(self, case: str, estimate: float, trainings: int) -> Difference:
        """Returns the row's difference after `trainings`.

        In all but the first, the share is estimated from the controls alone.
        """
        variance, freedom = self.own[case]
        parts = [(variance * (1 / trainings + 1 / self.saved[case]), freedom)]
        if len(self.own) >= CONTROLS and trainings > 1:
            controls = np.mean([self.own[control] for control in self.quietest[:CONTROLS]], axis=0)
            share = _MEDIAN * controls[0] / CONTROLS
            parts.append((share * (trainings - 1) / trainings**2, controls[1]))
        return Difference(estimate, *combined_error(parts))

    def together(self, share: float, matters: float) -> Slowdown | None:
        """Returns the slowdown of all rows together, estimated from this run's share."""
        count = len(self.shares)
        if count < 2 or len(self.middles) < CONTROLS:
            return None
        error = combined_error([(float(np.var(self.shares, ddof=1)) * (1 + 1 / count), count - 1)])
        difference = Difference(share - float(np.mean(self.shares)), *error)
        return Slowdown(
            saved=count,
            trainings=1,
            difference=difference,
            p=difference.p,
            detectable=to_percent(
                max(difference.detectable(_LEVEL), matters + difference.quantile(DETECTION))
            ),
            suspect=False,
            slower=difference.estimate >= matters and difference.p <= _LEVEL,
        )


def _noise(runs: Sequence[EpochTimes]) -> _Noise:
    """Estimates the noise of saved runs, which need not have the same rows."""
    cases = sorted(set().union(*runs))
    shares = [0.0 for _ in runs]
    for _ in range(2):  # the second time, middles are without shares
        middles = {case: float(np.mean(_without_shares(runs, shares, case))) for case in cases}
        shares = [_share([run[case] - middles[case] for case in run], among=len(cases)) for run in runs]
    own = {case: _without_shares(runs, shares, case) for case in cases}
    variances, freedom = moderate(own.values())
    return _Noise(
        middles=middles,
        saved={case: len(values) for case, values in own.items()},
        own=dict(zip(own, zip(variances.tolist(), freedom.tolist(), strict=True), strict=True)),
        shares=shares,
    )


def _without_shares(runs: Sequence[EpochTimes], shares: Sequence[float], case: str) -> list[float]:
    """Returns the row's times in the runs that have it, each without the run's share."""
    return [run[case] - share for run, share in zip(runs, shares, strict=True) if case in run]


def _share(residuals: Collection[float], *, among: int) -> float:
    """Estimates the common share as the rows' median, or as 0 with fewer than CONTROLS rows in all."""
    return float(np.median([*residuals])) if residuals and among >= CONTROLS else 0.0
