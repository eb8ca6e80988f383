"""How many published accuracies a guess agrees with, epoch by epoch.

A published accuracy is that of one training. A guess agrees with it if it lies in the 95 % prediction
interval for one more seed: within t * sqrt(1 + 1/n) standard deviations of the mean of n seeds (for a
normal distribution; W. Q. Meeker, G. J. Hahn and L. A. Escobar, "Statistical Intervals", 2017). Seeds
that end far apart therefore agree with much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps

import numpy as np
from numpy.typing import NDArray

from model.experiment import Training

_ROUNDING = 0.0005  # the assignment gives three decimals
CRITERION = (
    "A guess agrees with a published accuracy that is in the 95 % prediction interval for one more seed."
)
ONE_SEED = "One seed has no prediction interval; use --replicates 2 or more."
NEEDS = "more epochs: the assignment trains for 100"


@dataclass(frozen=True)
class Comparison:
    """A published accuracy next to its row's training under a guess."""

    name: str
    """What it is the accuracy of, in words."""
    published: float
    training: Training

    @property
    def deviations(self) -> NDArray[np.float64]:
        """How far the published accuracy is above the mean over seeds, shape (epochs + 1,).

        In standard deviations over seeds, after what its rounding explains; infinite if the seeds are
        equal, and the published accuracy is not.
        """
        accuracy = self.training.test_accuracy
        above = self.published - accuracy.mean(axis=1)
        above = np.sign(above) * np.maximum(np.abs(above) - _ROUNDING, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(above == 0, 0, above / accuracy.std(axis=1, ddof=1))

    @property
    def agrees(self) -> NDArray[np.bool_]:
        """Whether the guess agrees with it, shape (epochs + 1,); false before the first epoch."""
        from scipy.stats import t  # slow to import

        seeds = len(self.training.seeds)
        within = np.abs(self.deviations) <= t.ppf(0.975, seeds - 1) * np.sqrt(1 + 1 / seeds)
        return within & (np.arange(len(within)) > 0)

    @property
    def nearest(self) -> tuple[int, float]:
        """The epoch at which the mean over seeds is nearest to the published accuracy, and that mean."""
        means = self.training.test_accuracy[1:].mean(axis=1)
        at = int(np.argmin(np.abs(means - self.published)))
        return at + 1, float(means[at])


Decide = Callable[..., None]
"""The fixture `decide`."""
Comparisons = list[Comparison]
Guesses = Mapping[object, Comparisons]
"""The same published accuracies under each guess."""


def lack_seeds(guesses: Guesses) -> bool:
    """Returns whether a training has one seed, and so no standard deviation."""
    return any(len(each.training.seeds) < 2 for same in guesses.values() for each in same)


def open_with_one_seed(test: Callable[[Guesses, Decide], None]) -> Callable[[Guesses, Decide], None]:
    """Returns the test of a claim, which stays inconclusive if a training has one seed."""

    @wraps(test)
    def decided(guesses: Guesses, decide: Decide) -> None:
        if lack_seeds(guesses):
            decide(None, "Not counted.", open_because=ONE_SEED)
        else:
            test(guesses, decide)

    return decided


def agreements(comparisons: Comparisons) -> NDArray[np.int64]:
    """Returns how many of them agree, shape (epochs + 1,)."""
    return np.sum([each.agrees for each in comparisons], axis=0)


def best_guess(guesses: Guesses) -> tuple[object, int, int]:
    """Returns the guess and the epoch that most published accuracies agree with, and their number.

    If several have as many, it is the one with the smallest median deviation.
    """
    counts = {guess: agreements(comparisons) for guess, comparisons in guesses.items()}
    most = max(int(each.max()) for each in counts.values())
    ties = [(guess, int(at)) for guess, each in counts.items() for at in np.flatnonzero(each == most)]

    def median_deviation(tie: tuple[object, int]) -> float:
        guess, epoch = tie
        return float(np.median([abs(each.deviations[epoch]) for each in guesses[guess]]))

    return *min(ties, key=median_deviation), most


def format_deviations(comparisons: Comparisons, epoch: int) -> str:
    """Formats how far published accuracies are above ours: "Adam at 0.001: +0.4, SGD at 1: -51"."""
    return ", ".join(f"{each.name}: {_signed(each.deviations[epoch])}" for each in comparisons)


def unexplained(guesses: Guesses) -> Iterator[tuple[Comparison, object]]:
    """Yields what agrees with no guess at any epoch, and the guess under which it is nearest."""
    for same in zip(*guesses.values(), strict=True):
        if not any(each.agrees.any() for each in same):
            off = [abs(each.nearest[1] - each.published) for each in same]
            nearest = int(np.argmin(off))
            yield same[nearest], [*guesses][nearest]


def _signed(deviation: float) -> str:
    return f"{deviation:+.1f}" if abs(deviation) < 10 else f"{deviation:+.0f}"
