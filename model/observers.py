"""Observers: an exercise's own measurements of its trainings, outside the training time.

An exercise declares its observers, and a training carries their arrays by name. The last axis of each
array is the replicates'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .diagnostics import unit_symmetry
from .evaluate import Evaluation
from .experiment import Experiment


@dataclass(frozen=True)
class LastEpoch:
    """The input of an observer when a training has ended."""

    experiment: Experiment
    parameters: list[Tensor]
    """The final parameters, stacked; see `network.stack_parameters`."""
    checkpoints: list[int]
    """The examples seen at each pause of the last epoch, including its start and its end."""
    on_test: list[Evaluation]
    """The evaluations of the test set at the checkpoints."""


@dataclass(frozen=True)
class Observer:
    """A measurement that adds arrays to each training."""

    observe: Callable[[LastEpoch], Mapping[str, NDArray[np.float64]]]
    pauses: Callable[[Experiment, NDArray[np.int64]], Iterable[int]] = lambda *_: ()
    """Returns after how many examples of the last epoch the test set is evaluated: whole batches. It
    receives the training set's labels."""


def _unit_symmetry(seen: LastEpoch) -> dict[str, NDArray[np.float64]]:
    return {
        "unit_spread": unit_symmetry.unit_spread(seen.parameters),
        "weight_ranks": unit_symmetry.weight_ranks(seen.parameters),
    }


UNIT_SYMMETRY = Observer(_unit_symmetry)
"""`unit_spread` and `weight_ranks` at the end; see `diagnostics.unit_symmetry`."""


def _stream(seen: LastEpoch) -> dict[str, NDArray[np.float64]]:
    if seen.experiment.order != "by_class":
        return {}
    accuracy = np.array([each.class_accuracy.T for each in seen.on_test])
    examples = np.array(seen.checkpoints, dtype=float)
    return {
        "stream_examples": np.repeat(examples[:, None], accuracy.shape[-1], axis=1),
        "stream_class_accuracy": accuracy,
    }


def _along_the_stream(experiment: Experiment, labels: NDArray[np.int64]) -> set[int]:
    """Returns the middle and the end of every class, rounded down to whole batches."""
    if experiment.order != "by_class":
        return set()
    ends = np.cumsum(np.bincount(labels))
    middles = (ends + np.append(0, ends[:-1])) // 2
    size = experiment.batch_size
    return {int(example) // size * size for example in (*ends[:-1], *middles)}


STREAM = Observer(_stream, _along_the_stream)
"""On a stream sorted by class, `stream_class_accuracy` of shape (checkpoints, classes, replicates): the
test accuracy of each class at the start of the last epoch and at the middle and end of every class's
part of it; and `stream_examples` of shape (checkpoints, replicates), the examples of the epoch seen by
then."""
