"""Decides whether rows learn worse than before: by final test accuracy, and by epochs to an accuracy.

Runs are compared seed by seed. With the same seed, both runs start from the same network and see the
same order, so their difference does not contain the variation between seeds. Epochs to an accuracy are
MLPerf's idea of a reference convergence: converging later is learning worse.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from .significance import DETECTION, FALSE_ALARMS, Difference, FloatArray, holm, moderate

LearningOutcome = Literal["identical", "held", "fell", "underpowered"]

_DELAY = 0.5  # mean delay in epochs below which a row passes
# Whole epochs are rounded times: their difference has at least this variance, even if all seeds agree.
_ROUNDING = 2 / 12
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Change:
    """How a row's learning changed."""

    outcome: LearningOutcome
    seeds: int
    """The number of seeds that both runs have."""
    before: float
    """The mean final test accuracy of the saved run, under these seeds."""
    now: float
    p: float = 1.0
    """The p-value of the drop, adjusted for the number of tests."""
    detectable: float | None = None
    """The smallest drop that is detected 19 times in 20, in percentage points; None if unknown."""
    seeds_needed: int | None = None
    """About how many seeds detect a drop of the threshold's size; None if unknown or too many."""
    delay: str | None = None
    """A description of the delay, if it converges significantly later."""


class Learned(Protocol):
    """How a row learned, by seed."""

    @property
    def seeds(self) -> Sequence[int]: ...
    @property
    def epochs(self) -> int: ...
    @property
    def test_accuracy(self) -> Sequence[float]: ...
    @property
    def epochs_to(self) -> Mapping[str, Sequence[int | None]]:
        """The first epoch at which each target accuracy is reached; see `targets_of`."""


@dataclass(frozen=True)
class Learning:
    """A measured or resampled `Learned`."""

    seeds: list[int]
    epochs: int
    test_accuracy: list[float]
    epochs_to: dict[str, list[int | None]]


def compare_learning(
    ours: Mapping[str, Learned],
    theirs: Mapping[str, Learned],
    points: float,
    *,
    bare: bool = False,
    level: float = FALSE_ALARMS,
) -> dict[str, Change]:
    """Compares the rows that both have. Drops of less than half of `points` pass, even if significant.

    `level` is the largest rate of false alarms, for all rows together.
    With one seed the noise is unknown, so a row that is not identical is "underpowered"; with `bare`, it
    "fell" if its accuracy dropped by more than `points`.
    """
    pairs = {case: _pair(ours[case], theirs[case]) for case in ours if case in theirs}
    changed = {case: pair for case, pair in pairs.items() if not pair.identical}
    drops = _tests({case: pair.drops for case, pair in changed.items()})
    delays = {
        (case, target): delay
        for target in sorted({target for pair in changed.values() for target in pair.epochs})
        for case, delay in _tests(
            {
                case: pair.delays(target)
                for case, pair in changed.items()
                if target in pair.epochs and pair.delays(target).any()
            },
            least=_ROUNDING,
        ).items()
    }
    tests = {**{(case, ""): drop for case, drop in drops.items()}, **delays}
    p = dict(zip(tests, holm([test.p for test in tests.values()]).tolist(), strict=True))
    late = {
        case: f"reaches {float(target):.0%} accuracy {delay.estimate:.1f} epochs later"
        for (case, target), delay in delays.items()
        if delay.estimate >= _DELAY and p[case, target] < level
    }
    changes = {}
    for case, pair in pairs.items():
        seeds, before, now = len(pair.drops), float(pair.before.mean()), float(pair.now.mean())
        if case not in changed:
            changes[case] = Change("identical", seeds, before, now)
        elif seeds < 2:
            alone: LearningOutcome = "held" if bare else "underpowered"
            fell = bare and 100 * (before - now) > points
            changes[case] = Change("fell" if fell else alone, seeds, before, now)
        else:
            drop, of_each = drops[case], level / len(tests)
            detectable = _detectable(drop, of_each, points)
            fell = drop.estimate >= points / 2 and p[case, ""] < level
            changes[case] = Change(
                "fell" if fell or case in late else "held" if detectable <= points else "underpowered",
                seeds,
                before,
                now,
                p=p[case, ""],
                detectable=detectable,
                seeds_needed=_seeds_needed(drop, seeds, of_each, points),
                delay=late.get(case),
            )
    return changes


@dataclass(frozen=True)
class _Pair:
    """A row in both runs, under their common seeds; arrays of shape (seeds,)."""

    before: FloatArray
    now: FloatArray
    epochs: Mapping[str, tuple[FloatArray, FloatArray]]
    """Epochs to each target, before and now; one more than were trained if it is never reached."""

    @property
    def drops(self) -> FloatArray:
        """The drops in accuracy, in percentage points."""
        return 100 * (self.before - self.now)

    def delays(self, target: str) -> FloatArray:
        before, now = self.epochs[target]
        return now - before

    @property
    def identical(self) -> bool:
        return bool(len(self.now)) and not any(each.any() for each in self._differences())

    def _differences(self) -> Iterator[FloatArray]:
        yield self.drops
        yield from (self.delays(target) for target in self.epochs)


def _pair(ours: Learned, theirs: Learned) -> _Pair:
    seeds = [seed for seed in ours.seeds if seed in theirs.seeds]
    (before, epochs_before), (now, epochs_now) = (_under(info, seeds) for info in (theirs, ours))
    epochs = {target: (epochs_before[target], epochs_now[target]) for target in targets_of(ours)}
    return _Pair(before, now, epochs)


def targets_of(info: Learned) -> tuple[str, ...]:
    """Returns the targets of which the epochs to reach them are compared: the lowest and the highest."""
    return tuple(dict.fromkeys(f(info.epochs_to) for f in (min, max))) if info.epochs_to else ()


def _under(info: Learned, seeds: list[int]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Returns its accuracies, and its epochs to each target, under those seeds."""
    places = [info.seeds.index(seed) for seed in seeds]
    never = info.epochs + 1
    epochs = {
        target: [never if epoch is None else epoch for epoch in info.epochs_to[target]]
        for target in targets_of(info)
    }
    return (
        np.array(info.test_accuracy, dtype=float)[places],
        {target: np.array(each, dtype=float)[places] for target, each in epochs.items()},
    )


def _tests(differences: Mapping[str, FloatArray], *, least: float = 0.0) -> dict[str, Difference]:
    """Returns the paired difference of each row, with a variance of at least `least`."""
    variances, freedom = moderate([each.tolist() for each in differences.values()])
    return {
        case: Difference(
            float(each.mean()),
            float(np.sqrt(max(variance, least) / len(each))),
            float(of) if len(each) > 1 else 0.0,
        )
        for (case, each), variance, of in zip(differences.items(), variances, freedom, strict=True)
    }


def _detectable(drop: Difference, level: float, points: float) -> float:
    """Returns the smallest drop that is significant and large enough to fail in DETECTION of cases."""
    return max(drop.detectable(level), points / 2 + drop.quantile(DETECTION))


def _seeds_needed(drop: Difference, seeds: int, level: float, points: float) -> int | None:
    """Estimates how many seeds detect a drop of `points`; None for more than _MOST_SEEDS."""

    def suffice(count: int) -> bool:
        error, freedom = drop.error * (seeds / count) ** 0.5, drop.freedom + count - seeds
        with_count = replace(drop, error=error, freedom=freedom)
        return _detectable(with_count, level, points) <= points

    count = 2 + bisect_left(range(2, _MOST_SEEDS + 1), True, key=suffice)
    return count if count <= _MOST_SEEDS else None
