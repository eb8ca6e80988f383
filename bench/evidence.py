"""Decisions and wordings of evidence that the claims of several exercises share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from harness.accuracy import ends_above, format_accuracy
from harness.stats import all_hold, exceeds, format_mean, welch_interval
from model.experiment import Training, first_epochs

CONVERGES = (
    "A method that converges ends at 90 % test accuracy or more; it is left open while the accuracy "
    "still rises by a point or more in a tenth of the epochs."
)
"""The criterion of `converges`."""


def by_learning_rate(trainings: Iterable[Training]) -> dict[float, Training]:
    """Returns the trainings by learning rate; 1.0 becomes 1, as in the assignment's tables."""
    rates = {training.experiment.learning_rate: training for training in trainings}
    return {int(rate) if rate.is_integer() else rate: training for rate, training in rates.items()}


def format_accuracies(trainings: Mapping[object, Training]) -> str:
    """Formats final test accuracies by name: "100: 0.982, 1000: 0.964"."""
    return ", ".join(f"{name}: {format_accuracy(t.test_accuracy[-1])}" for name, t in trainings.items())


def is_best(trainings: Mapping[object, Training], name: object) -> bool | None:
    """Returns whether `name` has the highest final test accuracy, or None if the seeds leave it open."""
    return all_hold(
        ends_above(trainings[name], training) for other, training in trainings.items() if other != name
    )


def converges(training: Training) -> bool | None:
    """Returns whether it ends at 90 % test accuracy; None also while it is still improving below that.

    It still improves if the test accuracy of the last tenth of its epochs is on average a point or more
    above that of the tenth before.
    """
    ends_high = ends_above(training, 0.9)
    return None if ends_high is False and is_still_improving(training) else ends_high


def is_still_improving(training: Training) -> bool:
    """Returns whether its last tenth of epochs is a point or more better than the tenth before."""
    tenth = max(1, training.experiment.epochs // 10)
    last, before = training.test_accuracy[-tenth:], training.test_accuracy[-2 * tenth : -tenth]
    return exceeds(last.mean(axis=0), before.mean(axis=0), by=0.01) is True


def improving_at_the_end(trainings: Mapping[object, Training], what: str = "it") -> str:
    """Returns a sentence that names the trainings that are still improving; empty if none is."""
    names = [str(name) for name, training in trainings.items() if is_still_improving(training)]
    *first, last = names or [""]
    return (
        f"At {', '.join(first)}{' and ' * bool(first)}{last} {what} still improves at the end."
        if last
        else ""
    )


def trains_longer(training: Training, other: Training) -> bool | None:
    """Returns whether its mean epoch takes longer, by the difference's 95 % interval (Welch)."""
    ours, theirs = (np.diff(each.epoch_seconds).tolist() for each in (training, other))
    interval = welch_interval(ours, theirs)
    if interval is None:
        return training.seconds > other.seconds
    return None if interval[0] <= 0 <= interval[1] else interval[0] > 0


def epochs_until(training: Training, reached: np.ndarray) -> np.ndarray:
    """Returns the first epoch at which `reached` (epochs + 1, replicates) is true, shape (replicates,).

    If it never is, this is the number of epochs plus one, which is later than all of them.
    """
    never = training.experiment.epochs + 1
    return np.array([never if epoch is None else epoch for epoch in first_epochs(reached)])


def epochs_to(training: Training, accuracy: float) -> np.ndarray:
    """Returns the first epoch with at least that test accuracy; see `epochs_until`."""
    return epochs_until(training, training.test_accuracy >= accuracy)


def seconds_to(training: Training, accuracy: float) -> np.ndarray:
    """Returns the training time to at least that test accuracy, in seconds, shape (replicates,).

    If it is never reached, this is the time of all epochs and of a mean one, which is later than all.
    """
    mean = training.seconds / training.experiment.epochs
    return np.append(training.epoch_seconds, training.seconds + mean)[epochs_to(training, accuracy)]


def format_epochs(training: Training, epochs: np.ndarray) -> str:
    """Formats the epochs that `epochs_to` returns: "after 57 epochs", "not within 100 epochs"."""
    if (epochs > training.experiment.epochs).any():
        late = np.count_nonzero(epochs > training.experiment.epochs)
        share = "" if late == len(epochs) else f" under {late} of {len(epochs)} seeds"
        return f"not within {training.experiment.epochs} epochs{share}"
    if (epochs == 1).all():
        return "after 1 epoch"
    return f"after {format_mean(epochs, decimals=0 if len(epochs) == 1 else 1)} epochs"
