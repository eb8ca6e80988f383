"""Data sets as values: their names, their shapes, and the accuracies that a network should reach.

`model.data` finds and loads them. `Dataset.of("name", function)` makes your own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from .values import number, one_line, shown, whole

Arrays: TypeAlias = (
    "tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]"
)
"""Training inputs (examples, inputs) and labels (examples,), and those of the test set."""

# The sparse engine's indices are 16 bits wide.
_MAX_INPUTS = 65_535


@dataclass(frozen=True)
class Dataset:
    """A data set that is loaded by its name, or your own, made by `of`.

    Raises ValueError, naming the field, for an invalid value.
    """

    name: str
    inputs: int = 784
    classes: int = 10
    examples: int = 60_000
    """The size of the training set."""
    targets: tuple[float, ...] = (0.90, 0.95, 0.97)
    """Test accuracies in ascending order. The tables give the first epoch that reaches each of them; a
    network has learned if it ends at the lowest of them or above."""
    digest: str | None = None
    """The SHA-256 of the arrays of your own data set; None for a data set that is loaded by its name."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,39}", self.name):
            raise ValueError(
                f"name is {shown(self.name)}; expected up to 40 of a to z, digits, '.', '-' and '_'"
            )
        for field in ("inputs", "classes", "examples"):
            object.__setattr__(self, field, whole(field, getattr(self, field)))
        if not isinstance(self.targets, tuple | list) or not self.targets:
            raise ValueError(
                f"targets is {shown(self.targets)}; expected test accuracies, like (0.9, 0.95)"
            )
        targets = tuple(number("targets", each, above=0, below=1) for each in self.targets)
        if [*targets] != sorted({round(each, 2) for each in targets}):
            raise ValueError(f"targets is {shown(targets)}; expected whole percents in ascending order")
        object.__setattr__(self, "targets", targets)

    def __str__(self) -> str:
        return self.name

    @property
    def targets_by_name(self) -> dict[str, float]:
        """The targets by their names in files, like "0.90"."""
        return {f"{target:.2f}": target for target in self.targets}

    @property
    def learned_from(self) -> float:
        """The final test accuracy from which a network counts as having learned."""
        return self.targets[0]

    @classmethod
    def of(
        cls,
        name: str,
        function: Callable[[], tuple[Any, Any, Any, Any]],
        *,
        targets: tuple[float, ...] = (0.90, 0.95, 0.97),
    ) -> Dataset:
        """Makes your own data set; `function` returns training inputs and labels, then the test ones.

        Inputs are an array of numbers of shape (examples, ...), in which each example is flattened;
        labels are whole numbers from 0, all of which occur in the test set. The function is called once,
        immediately. Raises ValueError if the arrays are invalid.
        """
        if name in DATASETS:
            raise ValueError(f"name is {shown(name)}, which is a built-in data set; choose another name")
        arrays = _checked(function())
        inputs, labels, _, test_labels = arrays
        digest = hashlib.sha256()
        for each in arrays:
            digest.update(str(each.shape).encode() + np.ascontiguousarray(each).tobytes())
        made = cls(
            name, inputs.shape[1], int(test_labels.max()) + 1, len(labels), targets, digest.hexdigest()
        )
        _arrays[cast(str, made.digest)] = arrays
        return made

    def arrays(self) -> Arrays:
        """Returns the arrays of your own data set; raises ValueError if this process did not make it."""
        if self.digest not in _arrays:
            raise ValueError(
                f"data set {self.name} was not made in this process; make it with Dataset.of"
            )
        return _arrays[self.digest]

    def to_dict(self) -> str | dict[str, Any]:
        """Returns the value in a form for JSON: its name, or all fields of your own data set."""
        if self.digest is None:
            return self.name
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "targets": [*self.targets],
        }

    @classmethod
    def from_dict(cls, content: object) -> Dataset:
        """Returns the data set that `to_dict` wrote; raises ValueError if the content is invalid."""
        if isinstance(content, str):
            if content not in DATASETS:
                raise ValueError(f"dataset is {shown(content)}; expected one of {', '.join(DATASETS)}")
            return DATASETS[content]
        known = {each.name for each in fields(cls)}
        if not isinstance(content, Mapping) or {*content} != known or not _is_digest(content["digest"]):
            raise ValueError(
                f"dataset is {shown(content)}; expected a name, or {', '.join(sorted(known))}"
            )
        return cls(**content)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _checked(arrays: object) -> Arrays:
    """Returns the arrays in the engines' form; raises ValueError if they are invalid."""
    if not isinstance(arrays, tuple | list) or len(arrays) != 4:
        raise ValueError(
            f"the data set is {shown(arrays)}; "
            "expected four arrays: training inputs and labels, test inputs and labels"
        )
    found: list[Any] = []
    kinds = product(("training", "test"), ("inputs", "labels"))
    for given, (which, kind) in zip(arrays, kinds, strict=True):
        try:
            array = np.asarray(given)
        except Exception as error:  # such as for a tensor on a GPU
            raise ValueError(f"the {which} {kind} cannot be made an array: {one_line(error)}") from None
        if array.dtype.kind not in ("iu" if kind == "labels" else "iufb") or not array.size:
            expected = "whole numbers" if kind == "labels" else "numbers"
            raise ValueError(
                f"the {which} {kind} are {array.dtype} of shape {array.shape}; expected some {expected}"
            )
        found.append(array)
    for inputs, labels, which in ((*found[:2], "training"), (*found[2:], "test")):
        if labels.ndim != 1 or inputs.ndim < 2 or len(inputs) != len(labels):
            raise ValueError(
                f"the {which} inputs have shape {inputs.shape}, the labels {labels.shape}; "
                "expected (examples, inputs) and (examples,)"
            )
    inputs, labels, test_inputs, test_labels = found
    if inputs.shape[1:] != test_inputs.shape[1:]:
        raise ValueError(
            f"the training inputs have shape {inputs.shape}, the test inputs {test_inputs.shape}; "
            "expected examples of one shape"
        )
    flat = [each.reshape(len(each), -1).astype(np.float32) for each in (inputs, test_inputs)]
    if flat[0].shape[1] > _MAX_INPUTS:
        raise ValueError(f"an example has {flat[0].shape[1]} inputs; expected up to {_MAX_INPUTS}")
    if not all(np.isfinite(each).all() for each in flat):
        raise ValueError("the inputs are not all finite in float32; expected finite numbers")
    classes = [*np.unique(test_labels)]
    if classes != [*range(len(classes))] or len(classes) < 2 or not {*np.unique(labels)} <= {*classes}:
        raise ValueError(
            f"the test labels are {shown([int(each) for each in classes])}; "
            "expected all of 0 to classes - 1, and no others in the training set"
        )
    return flat[0], labels.astype(np.int64), flat[1], test_labels.astype(np.int64)


# Guess: the targets of all data sets but MNIST, from an accuracy that this network passes within an
# epoch or two to about its best.
_HARDER = (0.80, 0.85, 0.88)
MNIST = Dataset("mnist")
FASHION_MNIST = Dataset("fashion-mnist", targets=_HARDER)
KMNIST = Dataset("kmnist", targets=_HARDER)
EMNIST_LETTERS = Dataset("emnist-letters", classes=26, examples=124_800, targets=_HARDER)
EMNIST_DIGITS = Dataset("emnist-digits", examples=240_000)

DATASETS: Mapping[str, Dataset] = {
    each.name: each for each in (MNIST, FASHION_MNIST, KMNIST, EMNIST_LETTERS, EMNIST_DIGITS)
}

_arrays: dict[str, Arrays] = {}  # the arrays of data sets made by `Dataset.of`, by digest
