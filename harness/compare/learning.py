"""Whether rows learn worse than in a saved run: by final test accuracy, and by epochs to an accuracy.

Seeds pair. Under one seed both runs start from the same network and see the same order, so a
difference, seed by seed, is free of what seeds differ by. Epochs to an accuracy are MLPerf's idea of a
reference convergence: to converge later is to learn worse.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .significance import DETECTION, FALSE_ALARMS, Difference, holm, moderate

LearningOutcome = Literal["identical", "held", "fell", "underpowered"]

_DELAY = 0.5  # epochs, on average, that are let pass
# Whole epochs are rounded times: two of them differ by so much variance even where all seeds agree.
_ROUNDING = 2 / 12
_MOST_SEEDS = 1000

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """How a row's learning changed."""

    outcome: LearningOutcome
    seeds: int
    """How many seeds both runs have."""
    before: float
    """The mean final test accuracy of the saved run, under these seeds."""
    now: float
    p: float = 1.0
    """Of the fall, adjusted for how many differences were tested."""
    detectable: float | None = None
    """The smallest fall that is found 19 times in 20, in percentage points; None if not known."""
    seeds_needed: int | None = None
    """About how many seeds find a fall by the threshold; None if not known."""
    delay: str | None = None
    """In words, if it converges significantly later."""


class Learned(Protocol):
    """How a row learned, under each of its seeds."""

    @property
    def seeds(self) -> Sequence[int]: ...
    @property
    def epochs(self) -> int: ...
    @property
    def test_accuracy(self) -> Sequence[float]: ...
    @property
    def epochs_to(self) -> Mapping[str, Sequence[int | None]]:
        """The first epoch at each of its data set's targets; see `targets_of`."""


@dataclass(frozen=True)
class Learning:
    """How a row learned, as it was measured or drawn; a `Learned`."""

    seeds: list[int]
    epochs: int
    test_accuracy: list[float]
    epochs_to: dict[str, list[int | None]]


def compare_learning(
    ours: Mapping[str, Learned], theirs: Mapping[str, Learned], points: float, *, bare: bool = False
) -> dict[str, Change]:
    """Compares the rows in both. A fall by `points` is to be found, half of it let pass.

    With one seed nothing is known of the noise, and a row that is not identical is underpowered; with
    `bare`, it fell if it fell by more than `points`.
    """
    pairs = {case: _pair(ours[case], theirs[case]) for case in ours if case in theirs}
    changed = {case: pair for case, pair in pairs.items() if not pair.identical}
    falls = _tests({case: pair.falls for case, pair in changed.items()})
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
    tests = {**{(case, ""): fall for case, fall in falls.items()}, **delays}
    p = dict(zip(tests, holm([test.p for test in tests.values()]).tolist(), strict=True))
    late = {
        case: f"reaches {float(target):.0%} {delay.estimate:.1f} epochs later"
        for (case, target), delay in delays.items()
        if delay.estimate >= _DELAY and p[case, target] <= FALSE_ALARMS
    }
    changes = {}
    for case, pair in pairs.items():
        seeds, before, now = len(pair.falls), float(pair.before.mean()), float(pair.now.mean())
        if case not in changed:
            changes[case] = Change("identical", seeds, before, now)
        elif seeds < 2:
            alone: LearningOutcome = "held" if bare else "underpowered"
            fell = bare and 100 * (before - now) > points
            changes[case] = Change("fell" if fell else alone, seeds, before, now)
        else:
            fall, level = falls[case], FALSE_ALARMS / len(tests)
            detectable = _detectable(fall, level, points)
            fell = fall.estimate >= points / 2 and p[case, ""] <= FALSE_ALARMS
            changes[case] = Change(
                "fell" if fell or case in late else "held" if detectable <= points else "underpowered",
                seeds,
                before,
                now,
                p=p[case, ""],
                detectable=detectable,
                seeds_needed=_seeds_needed(fall, seeds, level, points),
                delay=late.get(case),
            )
    return changes


@dataclass(frozen=True)
class _Pair:
    """A row in both runs, under the seeds of both; arrays of shape (seeds,)."""

    before: _Floats
    now: _Floats
    epochs: Mapping[str, tuple[_Floats, _Floats]]
    """Epochs to each target, before and now; one more than there were, where it is never reached."""

    @property
    def falls(self) -> _Floats:
        """In percentage points."""
        return 100 * (self.before - self.now)

    def delays(self, target: str) -> _Floats:
        before, now = self.epochs[target]
        return now - before

    @property
    def identical(self) -> bool:
        return bool(len(self.now)) and not any(each.any() for each in self._differences())

    def _differences(self) -> Iterator[_Floats]:
        yield self.falls
        yield from (self.delays(target) for target in self.epochs)


def _pair(ours: Learned, theirs: Learned) -> _Pair:
    seeds = [seed for seed in ours.seeds if seed in theirs.seeds]
    (before, epochs_before), (now, epochs_now) = (_under(info, seeds) for info in (theirs, ours))
    epochs = {target: (epochs_before[target], epochs_now[target]) for target in targets_of(ours)}
    return _Pair(before, now, epochs)


def targets_of(info: Learned) -> tuple[str, ...]:
    """The test accuracies whose time to be reached is compared: the lowest and the highest."""
    return tuple(dict.fromkeys(f(info.epochs_to) for f in (min, max))) if info.epochs_to else ()


def _under(info: Learned, seeds: list[int]) -> tuple[_Floats, dict[str, _Floats]]:
    """Its accuracies, and its epochs to each target, under those seeds."""
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


def _tests(differences: Mapping[str, _Floats], *, least: float = 0.0) -> dict[str, Difference]:
    """The paired difference of each row, with a variance of `least` at least."""
    variances, freedom = moderate([each.tolist() for each in differences.values()])
    return {
        case: Difference(
            float(each.mean()),
            float(np.sqrt(max(variance, least) / len(each))),
            float(of) if len(each) > 1 else 0.0,
        )
        for (case, each), variance, of in zip(differences.items(), variances, freedom, strict=True)
    }


def _detectable(fall: Difference, level: float, points: float) -> float:
    """The smallest fall that is significant, and more than what is let pass, in DETECTION of cases."""
    return max(fall.detectable(level), points / 2 + fall.quantile(DETECTION))


def _seeds_needed(fall: Difference, seeds: int, level: float, points: float) -> int | None:
    """About how many seeds it takes to find a fall by `points`; None for more than _MOST_SEEDS."""

    def suffice(count: int) -> bool:
        error, freedom = fall.error * (seeds / count) ** 0.5, fall.freedom + count - seeds
        with_count = replace(fall, error=error, freedom=freedom)
        return _detectable(with_count, level, points) <= points

    count = 2 + bisect_left(range(2, _MOST_SEEDS + 1), True, key=suffice)
    return count if count <= _MOST_SEEDS else None
