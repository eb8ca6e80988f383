"""How optimizers are compared: best accuracy, steps to a target, tunability, and ranks with ties.

`trainings` are an optimizer's, by learning rate. Arrays have a value for each seed, shape (seeds,),
unless noted. Choosing the best rate by the test set flatters every optimizer equally, and only a little:
at most by the spread of the seeds at neighbouring rates.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_rel

from harness.compare.significance import holm
from model.experiment import Training

Trainings = Mapping[float, Training]

SIGNIFICANT = 0.05  # for all pairs of a ranking together


def by_optimizer(trainings: Iterable[Training]) -> dict[str, dict[float, Training]]:
    """Returns the trainings by the label of their optimizer, then by learning rate."""
    found: dict[str, dict[float, Training]] = {}
    for training in trainings:
        optimizer = training.experiment.optimizer
        found.setdefault(optimizer.label, {})[optimizer.learning_rate] = training
    return found


def final(trainings: Trainings) -> NDArray[np.float64]:
    """Returns the final test accuracies, shape (rates, seeds)."""
    return np.array([training.test_accuracy[-1] for training in trainings.values()])


def best_rate(trainings: Trainings) -> float:
    """Returns the learning rate with the highest final test accuracy, on average over seeds."""
    return max(trainings, key=lambda rate: trainings[rate].final_test_accuracy)


def best(trainings: Trainings) -> NDArray[np.float64]:
    """Returns the final test accuracies at the best rate."""
    return trainings[best_rate(trainings)].test_accuracy[-1]


def epochs_to(training: Training, accuracy: float) -> NDArray[np.float64]:
    """Returns the epoch at which each seed first reaches that test accuracy; infinite if never."""
    first = training.time_to_accuracy(accuracy)["epochs"]
    return np.array([np.inf if epoch is None else epoch for epoch in first])


def fastest(trainings: Trainings, accuracy: float) -> Training | None:
    """Returns the training that reaches that accuracy in the fewest epochs, under all seeds, or None."""
    reach = {rate: epochs_to(each, accuracy).mean() for rate, each in trainings.items()}
    rate = min(reach, key=reach.__getitem__)
    return trainings[rate] if np.isfinite(reach[rate]) else None


def share_near_best(trainings: Trainings, points: float = 1) -> NDArray[np.float64]:
    """Returns the share of rates that end within `points` percentage points of the best."""
    accuracies = final(trainings)
    return (accuracies >= accuracies.max(axis=0) - points / 100).mean(axis=0)


def expected_best(trainings: Trainings, draws: int) -> NDArray[np.float64]:
    """Returns the expected accuracy of the best of `draws` different rates that are drawn at random.

    See J. Dodge et al., "Show Your Work: Improved Reporting of Experimental Results" (2019), who draw
    with replacement. Here, of n rates in ascending order of accuracy, the i-th is the best of k draws in
    comb(i - 1, k - 1) of comb(n, k) cases.
    """
    ascending = np.sort(final(trainings), axis=0)
    rates = len(ascending)
    weights = np.array([comb(i, draws - 1) for i in range(rates)]) / comb(rates, draws)
    return weights @ ascending


def ranking(accuracies: Mapping[str, NDArray[np.float64]]) -> dict[str, int]:
    """Returns ranks by mean accuracy, with ties.

    An optimizer shares the rank of the first that is not significantly better, in paired t-tests over
    seeds, adjusted for all pairs (Holm). With one seed all are ranked by value.
    """
    names = sorted(accuracies, key=lambda name: -accuracies[name].mean())
    pairs = [*combinations(names, 2)]
    if len(accuracies[names[0]]) == 1:
        return {name: 1 + rank for rank, name in enumerate(names)}
    p_values = holm([_p(accuracies[better], accuracies[worse]) for better, worse in pairs])
    beaten = {pair for pair, p in zip(pairs, p_values, strict=True) if p < SIGNIFICANT}
    ranks: dict[str, int] = {}
    for name in names:
        first = next(at for at, other in enumerate(names) if (other, name) not in beaten)
        ranks[name] = max([1 + first, *ranks.values()])
    return ranks


def _p(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Returns the p-value of the paired difference."""
    if np.ptp(ours - theirs) == 0:  # no variance, no t value
        return float(ours[0] == theirs[0])
    return float(ttest_rel(ours, theirs).pvalue)
