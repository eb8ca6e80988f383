"""Decisions and wordings of evidence that the claims of several exercises share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from harness.stats import all_hold, exceeds, format_mean
from model.experiment import Training, first_epochs


def by_learning_rate(trainings: Iterable[Training]) -> dict[float, Training]:
    """Returns the trainings by learning rate; 1.0 becomes 1, as in the assignment's tables."""
    rates = {training.experiment.learning_rate: training for training in trainings}
    return {int(rate) if rate.is_integer() else rate: training for rate, training in rates.items()}


def format_accuracies(trainings: Mapping[object, Training]) -> str:
    """Formats final test accuracies by name: "100: 0.982, 1000: 0.964"."""
    return ", ".join(f"{name}: {format_mean(t.test_accuracy[-1])}" for name, t in trainings.items())


def is_best(trainings: Mapping[object, Training], name: object) -> bool | None:
    """Returns whether `name` has the highest final test accuracy, or None if the seeds leave it open."""
    best = trainings[name].test_accuracy[-1]
    return all_hold(
        exceeds(best, t.test_accuracy[-1]) for other, t in trainings.items() if other != name
    )


def epochs_until(training: Training, reached: np.ndarray) -> np.ndarray:
    """Returns the first epoch at which `reached` (epochs + 1, replicates) is true, shape (replicates,).

    If it never is, this is the number of epochs plus one, which is later than all of them.
    """
    never = training.experiment.epochs + 1
    return np.array([never if epoch is None else epoch for epoch in first_epochs(reached)])


def epochs_to(training: Training, accuracy: float) -> np.ndarray:
    """Returns the first epoch with at least that test accuracy; see `epochs_until`."""
    return epochs_until(training, training.test_accuracy >= accuracy)


def format_epochs(training: Training, epochs: np.ndarray) -> str:
    """Formats the epochs that `epochs_to` returns: "after 57 epochs", "not within 100 epochs"."""
    if (epochs > training.experiment.epochs).any():
        late = np.count_nonzero(epochs > training.experiment.epochs)
        share = "" if late == len(epochs) else f" under {late} of {len(epochs)} seeds"
        return f"not within {training.experiment.epochs} epochs{share}"
    if (epochs == 1).all():
        return "after 1 epoch"
    return f"after {format_mean(epochs, decimals=0 if len(epochs) == 1 else 1)} epochs"
