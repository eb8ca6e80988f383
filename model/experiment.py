"""`Experiment`, one row of a table, and `Training`, what came of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

OPTIMIZERS = ("sgd", "adam")
ORDERS = ("shuffled", "by_class")
DATASETS = ("mnist", "fashion-mnist", "kmnist")
Outcome = Literal["learned", "partial", "constant", "diverged"]
OUTCOMES: tuple[Outcome, ...] = ("learned", "partial", "constant", "diverged")

# The test accuracies whose first epoch the tables name, and the least of them,
# from which on a training counts as having learned.
TARGETS = (0.90, 0.95, 0.97)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training of the 784-300-100-10 network, up to its seed.

    `order` is the presentation order of the training set: "shuffled" anew for every
    epoch, or "by_class" (all zeros, then all ones, ...), the assignment's online stream.
    `init` is "default" (PyTorch's) or the common value of every weight and bias.
    Raises ValueError, naming the field, for a value that means nothing.
    """

    optimizer: str = "sgd"
    learning_rate: float
    batch_size: int
    epochs: int
    order: str = "shuffled"
    init: str | float = "default"
    dataset: str = "mnist"

    def __post_init__(self) -> None:
        for field, allowed in (("optimizer", OPTIMIZERS), ("order", ORDERS), ("dataset", DATASETS)):
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f"{field} is {getattr(self, field)!r}; it takes one of {', '.join(allowed)}"
                )
        for field in ("batch_size", "epochs"):
            if not isinstance(getattr(self, field), int) or getattr(self, field) < 1:
                raise ValueError(f"{field} is {getattr(self, field)!r}; it takes a whole number from 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning_rate is {self.learning_rate!r}; it takes a finite number above 0"
            )
        if self.init != "default" and not (
            isinstance(self.init, int | float) and math.isfinite(self.init)
        ):
            raise ValueError(f"init is {self.init!r}; it takes 'default' or a finite number")

    def steps_per_epoch(self, examples: int) -> int:
        """Optimizer steps that one pass over `examples` takes, a shorter last batch included."""
        return math.ceil(examples / self.batch_size)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What came of an experiment, for all its replicates (one per seed).

    The curves are float64 arrays of shape (epochs + 1, replicates); row 0 is the network
    before its first step. Losses are mean cross-entropies in nats and may be infinite or
    NaN; accuracies are fractions of 1. All are evaluated after the epoch, on the whole
    training and test set.
    """

    experiment: Experiment
    engine: str
    device: str
    seeds: tuple[int, ...]
    steps: int
    """Optimizer steps of one replicate."""
    prepare_seconds: float
    """What the engine took to get ready (building, compiling, warming up); not training time."""
    epoch_seconds: NDArray[np.float64]
    """Training time of all replicates together after each epoch, shape (epochs + 1,), from 0."""
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    test_loss: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    checkpoint_examples: NDArray[np.int64 | np.float64]
    """Where in the last epoch the test accuracy per class was looked at: examples seen, shape (points,).

    From 0, the end of the epoch before, to the whole epoch; on a sorted stream also in the middle
    and at the end of every class.
    """
    checkpoint_class_accuracy: NDArray[np.float64]
    """The test accuracy of each class there, shape (points, 10, replicates)."""
    predictions: NDArray[np.int64 | np.float64]
    """How often each class is predicted on the test set at the end, shape (10, replicates)."""
    distance_from_initialisation: NDArray[np.float64]
    """How far each of `network.PARAMETERS` ended from where it began, shape (6, replicates).

    Euclidean norms. Exactly 0 under SGD means that the parameter never received a gradient.
    """
    unit_spread: NDArray[np.float64]
    """How far apart the units of each hidden layer ended, shape (2, replicates); see `symmetry`."""
    weight_ranks: NDArray[np.float64]
    """The numerical rank that each weight matrix ended with, shape (3, replicates); see `symmetry`."""
    outcomes: tuple[Outcome, ...]
    """What each replicate ended as: one of OUTCOMES."""

    @property
    def seconds(self) -> float:
        """Training time of all replicates together."""
        return float(self.epoch_seconds[-1])

    @property
    def outcome(self) -> Outcome:
        """The outcome of most replicates; of equally many, the worse."""
        counts = Counter(self.outcomes)
        return max(counts, key=lambda outcome: (counts[outcome], OUTCOMES.index(outcome)))

    @property
    def final_test_accuracy(self) -> float:
        """Mean over the replicates of the test accuracy after the last epoch."""
        return float(self.test_accuracy[-1].mean())

    def time_to_accuracy(self, target: float) -> dict[str, list[float | None]]:
        """What each replicate takes to reach `target` test accuracy first; None where it never does.

        In `epochs`, optimizer `steps` and `seconds` of training (of all replicates together, which
        train side by side). Accuracies are known after whole epochs.
        """
        epochs = first_epochs(self.test_accuracy >= target)
        steps = self.steps // self.experiment.epochs
        return {
            "epochs": [*epochs],
            "steps": [None if epoch is None else epoch * steps for epoch in epochs],
            "seconds": [None if epoch is None else float(self.epoch_seconds[epoch]) for epoch in epochs],
        }


def first_epochs(reached: NDArray[np.bool]) -> list[int | None]:
    """Each replicate's first epoch at which `reached` (epochs + 1, replicates) is true, or None."""
    return [int(each.argmax()) if each.any() else None for each in reached.T]


def classify_outcome(*, finite: bool, classes_predicted: int, test_accuracy: float) -> Outcome:
    """The outcome of one replicate, from the network that it ended with.

    `finite`: whether its parameters and losses are; `classes_predicted`: how many of the
    ten classes it gives to any test image at all.
    """
    if not finite:
        return "diverged"
    if classes_predicted == 1:
        return "constant"
    return "learned" if test_accuracy >= TARGETS[0] else "partial"
