"""What a module of a study declares: an exercise and the rows of its table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from model.dataset import DATASETS
from model.experiment import Experiment
from model.values import number, printable, shown, whole

from .where import check_names, matches

if TYPE_CHECKING:  # a report is drawn without PyTorch
    from model.data.mnist import Data
    from model.experiment import Training
    from model.observers import Observer


@dataclass(frozen=True)
class Published:
    """A paper's figures for a row; None where it gives none.

    The accuracy is a fraction of 1. Raises ValueError for one that is not, and for negative seconds.
    """

    test_accuracy: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("test_accuracy", "seconds"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, number(name, given, least=0))
        if self.test_accuracy is not None and self.test_accuracy > 1:
            raise ValueError(
                f"test_accuracy is {self.test_accuracy:g}; expected a fraction of 1, not a percentage"
            )


# The name is a part of file names, which file systems keep to 255 bytes.
_MAX_NAME = 100


@dataclass(frozen=True)
class Row:
    """One row of an exercise's table.

    `name` is its stable test id: saved timings are matched by it. `settings` are the `Experiment`'s
    fields other than epochs; without a data set the row trains on the session's. Raises ValueError, in a
    sentence with the row's name, for a name or settings that are not allowed.
    """

    name: str
    settings: Mapping[str, Any]
    published: Published = Published()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"the name {shown(self.name)} of a row takes text")
        if not isinstance(self.settings, Mapping) or not all(isinstance(n, str) for n in self.settings):
            raise ValueError(
                f"the row {self.name!r}: settings are {shown(self.settings)}; expected values by field"
            )
        if not isinstance(self.published, Published):
            raise ValueError(
                f"the row {self.name!r}: published is {shown(self.published)}; expected Published"
            )
        # A terminal would obey its escape sequences; pytest writes other than ASCII in another way.
        if not (self.name.isascii() and self.name.isprintable()) or {*self.name} & {*"/\\"}:
            raise ValueError(f"the name {shown(self.name)} of a row takes printable ASCII but / and \\")
        if not 0 < len(self.name) <= _MAX_NAME:
            raise ValueError(f"the name {shown(self.name)} of a row takes 1 to {_MAX_NAME} characters")
        try:
            if "epochs" in self.settings:
                raise ValueError("epochs cannot be set in a row; the exercise sets them for each scale")
            object.__setattr__(self, "settings", MappingProxyType({**self.settings}))
            self.experiment  # noqa: B018  # as its settings are checked by it
        except ValueError as error:
            raise ValueError(f"the row {self.name!r}: {error}") from None

    @property
    def experiment(self) -> Experiment:
        """Its experiment, but for epochs, and for the data set where that is the session's."""
        return Experiment.of({**self.settings, "epochs": 1})


# A measurement besides training: takes the data set and a seed, returns what JSON can hold.
Measurement: TypeAlias = "Callable[[Data, int], dict[str, Any]]"


@dataclass(frozen=True)
class Results:
    """What a run has of an exercise, for its own figures."""

    slug: str
    """The short name of the exercise, for the names of a figure's data."""
    trainings: Mapping[str, Training]
    """By the row's name."""
    measurements: Mapping[str, list[dict[str, Any]]]
    """By name: for each seed what the measurement returned."""


# What the fields of an exercise that hold several values take.
_COLLECTIONS = {
    "epochs": "epochs by scale",
    "rows": "a tuple of rows",
    "measurements": "functions by name",
    "observers": "a tuple of observers",
    "figures": "functions by name",
}


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """An exercise of a study, declared as `EXERCISE` in its module, which identifies it."""

    title: str
    question: str = ""
    source: str = ""
    """Where a paper has its rows, like "Table 1"."""
    figure: str = ""
    """Which of the paper's figures shows its learning curves."""
    epochs: Mapping[str, int] = field(default_factory=dict)
    """Epochs of every row by scale, where they are not the study's."""
    rows: tuple[Row, ...]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    """Measurements that its claims need besides trainings, by name."""
    observers: tuple[Observer, ...] = ()
    """What is observed of its trainings."""
    figures: Mapping[str, Callable[[Results], object]] = field(default_factory=dict)
    """Functions that draw figures of its own, by the figures' names, after the trainings.

    Each returns a `harness.report.figures.Figure`, or None where the results lack what it takes.
    """

    def __post_init__(self) -> None:
        for name in ("title", "question", "source", "figure"):
            printable(name, getattr(self, name))
        if not self.title.strip():
            raise ValueError("title is empty; expected text")
        for name, takes in _COLLECTIONS.items():
            given, kind = getattr(self, name), Mapping if "by" in takes else Iterable
            if not isinstance(given, kind) or isinstance(given, str):
                raise ValueError(f"{name} is {shown(given)}; expected {takes}")
        for scale, epochs in self.epochs.items():
            whole(f"epochs[{scale!r}]", epochs)
        _check_kinds(self)
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(f"two rows of {self.title!r} are called {twice[0]!r}")

    @property
    def names(self) -> list[str]:
        """The rows' names, for `pytest.mark.parametrize`."""
        return [row.name for row in self.rows]

    def row(self, name: str) -> Row:
        """The row called `name`; KeyError where there is none."""
        return {row.name: row for row in self.rows}[name]

    def where(self, *, published: bool = False, **values: Any) -> tuple[Row, ...]:
        """The rows whose experiments have these values, in the exercise's order.

        `where(optimizer=Adam, batch_size=32)`; see `harness.where.matches`. With `published`, only rows
        that a paper has a test accuracy of. Raises ValueError for a name that is no field.
        """
        check_names(values, [row.experiment for row in self.rows])
        return tuple(
            row
            for row in self.rows
            if matches(row.experiment, values)
            and not (published and row.published.test_accuracy is None)
        )

    def experiment(self, row: Row, epochs: int, dataset: str) -> Experiment:
        """The experiment of `row`, on the data set of that name unless it has its own.

        Raises ValueError for a data set that is not for the row's network.
        """
        return Experiment.of({"dataset": DATASETS[dataset], **row.settings, "epochs": epochs})


def case_id(module: str, row: str) -> str:
    """The node id of a row's test, which identifies it everywhere."""
    return f"{module}::test_training[{row}]"


def _check_kinds(exercise: Exercise) -> None:
    """Raises ValueError for a row, measurement or observer that is none."""
    from model.observers import Observer

    for name in ("rows", "observers"):
        object.__setattr__(exercise, name, tuple(getattr(exercise, name)))
    for row in exercise.rows:
        if not isinstance(row, Row):
            raise ValueError(f"rows has {shown(row)}; expected harness.exercise.Row")
    for name, measurement in exercise.measurements.items():
        printable("the name of a measurement", name)
        if not callable(measurement):
            raise ValueError(f"measurements[{name!r}] is {shown(measurement)}; expected a function")
    for name, draw in exercise.figures.items():
        if not (isinstance(name, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name)):
            raise ValueError(f"figures has {shown(name)}; a name takes a to z, digits and -")
        if not callable(draw):
            raise ValueError(f"figures[{name!r}] is {shown(draw)}; expected a function")
    for observer in exercise.observers:
        if not isinstance(observer, Observer):
            raise ValueError(f"observers has {shown(observer)}; expected model.observers.Observer")


def module_of(test: str) -> str:
    """The path of a test's module, in its node id."""
    return test.partition("::")[0]


def slug(module: str) -> str:
    """The short name of an exercise, for files and links: `1-x` for the module `bench/test_1_x.py`."""
    return PurePosixPath(module).stem.removeprefix("test_").replace("_", "-")


def row_name(case: str) -> str:
    """The row's name in a case's node id: what is in brackets, or the whole id without any."""
    return case.partition("[")[2].removesuffix("]") or case
