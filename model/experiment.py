"""`Experiment`, the settings of one row of a table, and `Training`, its results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .dataset import DATASETS, MNIST, Dataset
from .network import MLP
from .optimizers import Optimizer, from_dict
from .schedule import Schedule
from .values import number, shown, whole

ORDERS = ("shuffled", "by_class")
Outcome = Literal["learned", "partial", "chance", "constant", "diverged"]
OUTCOMES: tuple[Outcome, ...] = ("learned", "partial", "chance", "constant", "diverged")
_CHANCE = 1.2
"""An accuracy is chance up to this multiple of 1 / classes: 12 % of ten classes.

11.35 % of MNIST's test images are of its most common class."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings of a training, except its seeds.

    `order` is the presentation order of the training set: "shuffled" anew for every epoch, or "by_class"
    (all zeros, then all ones, ...), the assignment's online stream. `init` is "default" (PyTorch's) or
    the common value of every weight and bias. The default `network` is the assignment's, with the data
    set's numbers of inputs and classes; without a `schedule` the learning rate is constant. NumPy's
    scalars become Python's. Raises ValueError, naming the field, for an invalid value.
    """

    optimizer: Optimizer
    batch_size: int
    epochs: int
    order: str = "shuffled"
    init: str | float = "default"
    dataset: Dataset = MNIST
    network: MLP = None  # type: ignore[assignment]  # None is replaced
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer):
            raise ValueError(
                f"optimizer is {shown(self.optimizer)}; expected one of model.optimizers, like SGD(0.1)"
            )
        if not (isinstance(self.order, str) and self.order in ORDERS):
            raise ValueError(f"order is {shown(self.order)}; expected one of {', '.join(ORDERS)}")
        for field in ("batch_size", "epochs"):
            object.__setattr__(self, field, whole(field, getattr(self, field)))
        if not (isinstance(self.init, str) and self.init == "default"):
            object.__setattr__(self, "init", _initial(self.init))
        if not isinstance(self.dataset, Dataset):
            raise ValueError(f"dataset is {shown(self.dataset)}; expected a Dataset, like MNIST")
        if self.dataset.digest is None and self.dataset not in DATASETS.values():
            raise ValueError(
                f"dataset is {self.dataset}; expected one of {', '.join(DATASETS)}, or Dataset.of"
            )
        self._check_network()
        if self.schedule is not None:
            if not isinstance(self.schedule, Schedule):
                raise ValueError(f"schedule is {shown(self.schedule)}; expected None or a Schedule")
            self.schedule.check(self.optimizer, epochs=self.epochs)

    def _check_network(self) -> None:
        needed = MLP().between(self.dataset.inputs, self.dataset.classes)
        if self.network is None:
            object.__setattr__(self, "network", needed)
        elif not isinstance(self.network, MLP):
            raise ValueError(f"network is {shown(self.network)}; expected an MLP")
        for what in ("inputs", "classes"):
            if (given := getattr(self.network, what)) != getattr(needed, what):
                raise ValueError(
                    f"network has {given} {what}; expected {getattr(needed, what)} for {self.dataset}"
                )

    @property
    def learning_rate(self) -> float:
        return self.optimizer.learning_rate

    @property
    def kind(self) -> str:
        """The settings that matter to an engine, in words; the network only if it is not the default."""
        default = MLP().between(self.dataset.inputs, self.dataset.classes)
        network = "" if self.network == default else f" with network {self.network}"
        return f"{self.optimizer.label} at batch size {self.batch_size}{network}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the experiment in a form for JSON."""
        settings = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: value.to_dict() if hasattr(value, "to_dict") else value
            for name, value in settings.items()
        }

    @classmethod
    def from_dict(cls, content: object) -> Experiment:
        """Returns the experiment that `to_dict` wrote; raises ValueError if the content is invalid."""
        if not isinstance(content, Mapping):
            raise ValueError(f"the experiment is {shown(content)}; expected settings by name")
        values: dict[str, Callable[[object], object]] = {
            "optimizer": from_dict,
            "dataset": Dataset.from_dict,
            "network": MLP.from_dict,
            "schedule": Schedule.from_dict,
        }
        return cls.of(
            {name: values[name](given) if name in values else given for name, given in content.items()}
        )

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Experiment:
        """Returns the experiment with these settings, by name.

        Raises ValueError, with a message of one line, if one is unknown, missing or invalid.
        """
        known = [each.name for each in fields(cls)]
        if unknown := [name for name in settings if name not in known]:
            raise ValueError(
                f"no setting is called {shown(unknown[0])}; expected one of {', '.join(known)}"
            )
        needed = [each.name for each in fields(cls) if each.default is MISSING]
        if missing := [name for name in needed if name not in settings]:
            raise ValueError(f"{missing[0]} is missing; expected {', '.join(needed)}")
        return cls(**settings)

    def steps_per_epoch(self, examples: int) -> int:
        """Returns the optimizer steps in one pass over `examples`, counting a shorter last batch."""
        return math.ceil(examples / self.batch_size)

    def constant_rates(self, examples: int) -> NDArray[np.float64]:
        """Returns the learning rate of each step in one pass over `examples`, ignoring the schedule."""
        return np.full(self.steps_per_epoch(examples), self.learning_rate)

    def rates(self, examples: int) -> Iterator[NDArray[np.float64]]:
        """Returns an iterator over the epochs' learning rates, each float64 of shape (steps,)."""
        if self.schedule is None:
            return repeat(self.constant_rates(examples))
        return self.schedule.rates(self.optimizer, steps=self.steps_per_epoch(examples))


def _initial(value: object) -> float:
    """Returns the common value of all parameters; raises ValueError, naming the field."""
    try:
        return number("init", value)
    except ValueError:
        raise ValueError(f"init is {shown(value)}; expected 'default' or a finite number") from None


def ran_on(engine: str, device: str, hardware: str) -> str:
    """Returns what a training ran on, in words; `hardware` is empty if it is that of the run."""
    return f"{engine} on {device}" + (f" ({hardware})" if hardware else "")


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
    """Time to prepare the engine (building, compiling, warming up); not part of the training time."""
    epoch_seconds: NDArray[np.float64]
    """Cumulative training time of all replicates together, shape (epochs + 1,), starting at 0."""
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    test_loss: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    predictions: NDArray[np.int64 | np.float64]
    """The number of test examples assigned to each class at the end, shape (classes, replicates)."""
    distance_from_initialisation: NDArray[np.float64]
    """Euclidean distance of each parameter from its initial value, shape (parameters, replicates).

    Taken at the end, in the order of `MLP.parameter_names`. Under SGD, exactly 0 means that the
    parameter never received a gradient.
    """
    observed: Mapping[str, NDArray[np.float64]]
    """The arrays returned by the training's observers, by name; the last axis is the replicates'."""
    outcomes: tuple[Outcome, ...]
    """The outcome of each replicate, one of OUTCOMES."""
    hardware: str = ""
    """The hardware's name, if it is not that of the other trainings of the run."""

    @property
    def ran_on(self) -> str:
        """The engine, device and hardware; times of trainings that differ in it are not comparable."""
        return ran_on(self.engine, self.device, self.hardware)

    @property
    def seconds(self) -> float:
        """Training time of all replicates together."""
        return float(self.epoch_seconds[-1])

    @property
    def outcome(self) -> Outcome:
        """The most frequent outcome of the replicates; the worst one in a tie."""
        counts = Counter(self.outcomes)
        return max(counts, key=lambda outcome: (counts[outcome], OUTCOMES.index(outcome)))

    @property
    def test_examples(self) -> int:
        """The number of examples in the test set."""
        return int(self.predictions[:, 0].sum())

    @property
    def final_test_accuracy(self) -> float:
        """Test accuracy after the last epoch, averaged over the replicates."""
        return float(self.test_accuracy[-1].mean())

    def time_to_accuracy(self, target: float) -> dict[str, list[float | None]]:
        """Returns when each replicate first reaches `target` test accuracy; None if it never does.

        The result has lists over the replicates of `epochs`, optimizer `steps` and `seconds` of training
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
    """Returns each replicate's first true epoch in `reached` (epochs + 1, replicates), or None."""
    return [int(each.argmax()) if each.any() else None for each in reached.T]


def classify_outcome(
    *, finite: bool, classes: int, classes_predicted: int, test_accuracy: float, learned_from: float
) -> Outcome:
    """Returns the outcome of one replicate, from its network at the end of training.

    `finite`: whether its parameters and losses are finite; `classes_predicted`: the number of
    classes that it predicts for at least one test example, of `classes`; `learned_from`: see `Dataset`.
    """
    if not finite:
        return "diverged"
    if classes_predicted == 1:
        return "constant"
    if test_accuracy >= learned_from:
        return "learned"
    return "partial" if test_accuracy > _CHANCE / classes else "chance"
