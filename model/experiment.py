"""`Experiment`, the settings of one row of a table, and `Training`, its results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .optimizers import Optimizer, from_dict
from .values import number, shown, whole

ORDERS = ("shuffled", "by_class")
DATASETS = ("mnist", "fashion-mnist", "kmnist")
Outcome = Literal["learned", "partial", "constant", "diverged"]
OUTCOMES: tuple[Outcome, ...] = ("learned", "partial", "constant", "diverged")

# The tables give the first epoch at each of these test accuracies; a replicate that ends at the
# lowest of them or above has learned.
TARGETS = (0.90, 0.95, 0.97)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings of a training of the 784-300-100-10 network, except its seeds.

    `order` is the presentation order of the training set: "shuffled" anew for every
    epoch, or "by_class" (all zeros, then all ones, ...), the assignment's online stream.
    `init` is "default" (PyTorch's) or the common value of every weight and bias.
    NumPy's scalars become Python's. Raises ValueError, naming the field, for a value that is not
    allowed.
    """

    optimizer: Optimizer
    batch_size: int
    epochs: int
    order: str = "shuffled"
    init: str | float = "default"
    dataset: str = "mnist"

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer):
            raise ValueError(
                f"optimizer is {shown(self.optimizer)}; it takes one of model.optimizers, like SGD(0.1)"
            )
        for field, allowed in (("order", ORDERS), ("dataset", DATASETS)):
            given = getattr(self, field)
            if not (isinstance(given, str) and given in allowed):
                raise ValueError(f"{field} is {shown(given)}; it takes one of {', '.join(allowed)}")
        for field in ("batch_size", "epochs"):
            object.__setattr__(self, field, whole(field, getattr(self, field)))
        if not (isinstance(self.init, str) and self.init == "default"):
            object.__setattr__(self, "init", _initial(self.init))

    @property
    def learning_rate(self) -> float:
        return self.optimizer.learning_rate

    def to_dict(self) -> dict[str, Any]:
        """The experiment as JSON has it; the optimizer as `Optimizer.to_dict` writes it."""
        settings = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**settings, "optimizer": self.optimizer.to_dict()}

    @classmethod
    def from_dict(cls, content: object) -> Experiment:
        """The experiment that `to_dict` wrote; raises ValueError where it is none."""
        if not isinstance(content, Mapping):
            raise ValueError(f"{shown(content)} is not an experiment")
        return cls.of({**content, "optimizer": from_dict(content.get("optimizer"))})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Experiment:
        """The experiment with these settings, by name.

        Raises ValueError, in a sentence, for one that is unknown, missing or not allowed.
        """
        known = [each.name for each in fields(cls)]
        if unknown := [name for name in settings if name not in known]:
            raise ValueError(f"no setting is called {shown(unknown[0])}; there are {', '.join(known)}")
        needed = [each.name for each in fields(cls) if each.default is MISSING]
        if missing := [name for name in needed if name not in settings]:
            raise ValueError(f"it has no {' and no '.join(missing)}")
        return cls(**settings)

    def steps_per_epoch(self, examples: int) -> int:
        """Optimizer steps in one pass over `examples`, counting a shorter last batch."""
        return math.ceil(examples / self.batch_size)


def _initial(value: object) -> float:
    """The common value of all parameters; raises ValueError, naming the field."""
    try:
        return number("init", value)
    except ValueError:
        raise ValueError(f"init is {shown(value)}; it takes 'default' or a finite number") from None


@dataclass(frozen=True, kw_only=True)
class Training:
    """The results of an experiment, for all its replicates (one per seed).

    The learning curves are float64 arrays of shape (epochs + 1, replicates); row 0 is the
    network before its first step. Losses are mean cross-entropies in nats and may be infinite
    or NaN; accuracies are fractions of 1. Both are evaluated after each epoch, on the whole
    training and test sets.
    """

    experiment: Experiment
    engine: str
    device: str
    seeds: tuple[int, ...]
    steps: int
    """Optimizer steps per replicate."""
    prepare_seconds: float
    """Time to prepare the engine (building, compiling, warm-up); not part of the training time."""
    epoch_seconds: NDArray[np.float64]
    """Cumulative training time of all replicates together, shape (epochs + 1,), starting at 0."""
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    test_loss: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    checkpoint_examples: NDArray[np.int64 | np.float64]
    """The checkpoints of the last epoch, in examples seen, shape (checkpoints,).

    The start and the end of the epoch; on a sorted stream also the middle and the end of every
    class.
    """
    checkpoint_class_accuracy: NDArray[np.float64]
    """The test accuracy of each class at each checkpoint, shape (checkpoints, 10, replicates)."""
    predictions: NDArray[np.int64 | np.float64]
    """How many test images are assigned to each class at the end, shape (10, replicates)."""
    distance_from_initialisation: NDArray[np.float64]
    """Euclidean distance of each of `network.PARAMETERS` from its initial value, shape (6, replicates).

    Taken at the end. Under SGD, exactly 0 means that the parameter never received a gradient.
    """
    unit_spread: NDArray[np.float64]
    """Spread of each hidden layer's units at the end, shape (2, replicates); see `unit_symmetry`."""
    weight_ranks: NDArray[np.float64]
    """Numerical rank of each weight matrix at the end, shape (3, replicates); see `unit_symmetry`."""
    outcomes: tuple[Outcome, ...]
    """The outcome of each replicate, one of OUTCOMES."""

    @property
    def seconds(self) -> float:
        """Training time of all replicates together."""
        return float(self.epoch_seconds[-1])

    @property
    def outcome(self) -> Outcome:
        """The most frequent outcome of the replicates; in a tie, the worse."""
        counts = Counter(self.outcomes)
        return max(counts, key=lambda outcome: (counts[outcome], OUTCOMES.index(outcome)))

    @property
    def final_test_accuracy(self) -> float:
        """Test accuracy after the last epoch, averaged over the replicates."""
        return float(self.test_accuracy[-1].mean())

    def time_to_accuracy(self, target: float) -> dict[str, list[float | None]]:
        """When each replicate first reaches `target` test accuracy; None if it never does.

        Returns lists over the replicates of `epochs`, optimizer `steps` and `seconds` of training
        (of all replicates together, as they train side by side). The resolution is one epoch.
        """
        epochs = first_epochs(self.test_accuracy >= target)
        steps = self.steps // self.experiment.epochs
        return {
            "epochs": [*epochs],
            "steps": [None if epoch is None else epoch * steps for epoch in epochs],
            "seconds": [None if epoch is None else float(self.epoch_seconds[epoch]) for epoch in epochs],
        }


def first_epochs(reached: NDArray[np.bool]) -> list[int | None]:
    """The first epoch at which `reached` (epochs + 1, replicates) is true, per replicate, or None."""
    return [int(each.argmax()) if each.any() else None for each in reached.T]


def classify_outcome(*, finite: bool, classes_predicted: int, test_accuracy: float) -> Outcome:
    """The outcome of one replicate, from its network at the end of training.

    `finite`: whether its parameters and losses are finite; `classes_predicted`: how many of the
    ten classes it predicts for at least one test image.
    """
    if not finite:
        return "diverged"
    if classes_predicted == 1:
        return "constant"
    return "learned" if test_accuracy >= TARGETS[0] else "partial"
