"""Whether rows train slower than in saved runs, judged by how much they vary from run to run.

A row's time in a run is that of its fastest epoch: what disturbs an epoch only ever slows it down. The
logarithm of it is the row's own, plus what all rows of a run share (a busy machine slows them all down),
plus noise, of each row's own amount. So a row is compared with its saved runs by how it stands to the
other rows; whether all rows have become slower together is a test of its own, which knows how much runs
differ as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..compare.significance import DETECTION, FALSE_ALARMS, Difference, combined_error, holm, moderate

RETRAININGS = 3  # of a suspect, before it is called slower
CONTROLS = 5  # rows that are trained again with it, to tell the row from the machine

# All rows together are one test, the rows by themselves are many: each kind has a quarter of the false
# alarms. The rest is in reserve, for noise that is not quite as assumed.
_LEVEL = FALSE_ALARMS / 4
# How unlikely a first training has to be, by itself, for its row to be trained again.
_SUSPICION = 0.01
# How often each of two tests has to find what both find in DETECTION of cases.
_EITHER = (1 + DETECTION) / 2
_MEDIAN = math.pi / 2  # the variance of a median, in that of a mean

EpochTimes = Mapping[str, float]  # by case: seconds of the fastest epoch, or their logarithms


@dataclass(frozen=True)
class Trainings:
    """Rows trained one after the other: this run, or suspects again and their controls."""

    seconds: EpochTimes
    controls: Collection[str] = ()
    """The rows that tell what all of them share; empty: all do."""


@dataclass(frozen=True)
class Slowdown:
    """How much slower a row is than in the saved runs, or all rows together."""

    saved: int
    """How many saved runs there are of it."""
    trainings: int
    """How often it was trained now."""
    difference: Difference
    """Of the logarithms of times."""
    p: float
    """Of the difference, adjusted for how many were tested."""
    detectable: float
    """The smallest slowdown that is found 19 times in 20, in percent."""
    suspect: bool
    """Whether to train it again: what it shows so far is unlikely, and it matters."""
    slower: bool
    """Whether it is significantly slower, and by what matters."""

    @property
    def percent(self) -> float:
        """By how many percent it is slower."""
        return to_percent(self.difference.estimate)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `percent`."""
        half = self.difference.quantile(0.975)
        middle = self.difference.estimate
        return to_percent(middle - half), to_percent(middle + half)


@dataclass(frozen=True)
class Judgement:
    """The rows that could be compared, and all of them together (None: too few rows or runs to say)."""

    rows: dict[str, Slowdown]
    together: Slowdown | None
    controls: list[str]
    """The rows to train again with suspects: the least noisy of the others."""

    @property
    def suspects(self) -> list[str]:
        """The rows to train again."""
        return [case for case, row in self.rows.items() if row.suspect]


def to_percent(logarithm: float) -> float:
    """A difference of logarithms of times as a slowdown in percent."""
    return 100 * math.expm1(min(logarithm, 700.0))


def judge(now: Sequence[Trainings], saved: Sequence[EpochTimes], percent: float) -> Judgement:
    """Judges the rows of `now[0]`, this run, that are in a saved run, too; `now[1:]` came after it.

    A slowdown by `percent` is to be found, and half of it let pass: by significance alone, 1 % would
    fail a very quiet row.
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
        telling = [residuals[case] for case in trainings.controls if case in residuals]
        if shares and not telling:
            shares.append(shares[0])
        else:
            shares.append(_share(telling or residuals.values(), among=len(samples)))
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
        # In every training: some rows are slow in one of three processes, by where their threads lie.
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
    """Of each row, without what its runs share."""
    saved: Mapping[str, int]
    """In how many runs each row is."""
    own: Mapping[str, tuple[float, float]]
    """Of each row beside the others: the variance, and its degrees of freedom."""
    shares: Sequence[float]
    """What the rows of a run share, for each run."""

    @property
    def quietest(self) -> list[str]:
        """The rows, the least noisy first."""
        return sorted(self.own, key=lambda case: self.own[case][0])

    def difference(self, case: str, estimate: float, trainings: int) -> Difference:
        """The row's difference after so many trainings, all but the first with controls alone."""
        variance, freedom = self.own[case]
        parts = [(variance * (1 / trainings + 1 / self.saved[case]), freedom)]
        if len(self.own) >= CONTROLS and trainings > 1:
            controls = np.mean([self.own[control] for control in self.quietest[:CONTROLS]], axis=0)
            share = _MEDIAN * controls[0] / CONTROLS
            parts.append((share * (trainings - 1) / trainings**2, controls[1]))
        return Difference(estimate, *combined_error(parts))

    def together(self, share: float, matters: float) -> Slowdown | None:
        """All rows together, by what the rows of this run share."""
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
    """The noise of saved runs, which need not have the same rows."""
    cases = sorted(set().union(*runs))
    shares = [0.0 for _ in runs]
    for _ in range(2):  # the second time, middles are without shares
        middles = {case: float(np.mean(_beside(runs, shares, case))) for case in cases}
        shares = [_share([run[case] - middles[case] for case in run], among=len(cases)) for run in runs]
    own = {case: _beside(runs, shares, case) for case in cases}
    variances, freedom = moderate(own.values())
    return _Noise(
        middles=middles,
        saved={case: len(values) for case, values in own.items()},
        own=dict(zip(own, zip(variances.tolist(), freedom.tolist(), strict=True), strict=True)),
        shares=shares,
    )


def _beside(runs: Sequence[EpochTimes], shares: Sequence[float], case: str) -> list[float]:
    """The row in each run that has it, without what the run's rows share."""
    return [run[case] - share for run, share in zip(runs, shares, strict=True) if case in run]


def _share(residuals: Collection[float], *, among: int) -> float:
    """What rows share: their median. With fewer than CONTROLS rows in all, nothing is known of it."""
    return float(np.median([*residuals])) if residuals and among >= CONTROLS else 0.0
