"""Comparison of final test accuracies, for claims."""

from __future__ import annotations

from model.experiment import Training

from .stats import accuracy_exceeds


def ends_above(training: Training, other: Training | float, by: float = 0) -> bool | None:
    """Returns whether it ends with a higher test accuracy than another training, or than a number.

    It is None if the seeds leave it open or, with one seed, the test set's sampling error does.
    """
    theirs = other.test_accuracy[-1] if isinstance(other, Training) else other
    ours = training.test_accuracy[-1]
    return accuracy_exceeds(ours, theirs, by, examples=training.test_examples)
