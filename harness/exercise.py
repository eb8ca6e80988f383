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
    """A paper's results for a row; None for those that it does not give.

    The accuracy is a fraction of 1. Raises ValueError if it is not, and for negative seconds.
    """

    test_accuracy: float | None = None
    seconds: float | None = None
    remark: str = ""
    """The likely reason, in a sentence, if the accuracy is not reproduced and the reason is known."""

    def __post_init__(self) -> None:
        printable("remark", self.remark)
        for name in ("test_accuracy", "seconds"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, number(name, given, least=0))
        if self.test_accuracy is not None and self.test_accuracy > 1:
            raise ValueError(
                f"test_accuracy is {self.test_accuracy:g}; expected a fraction of 1, not a percentage"
            )


# The name becomes part of file names, which file systems limit to 255 bytes.
_MAX_NAME = 100


@dataclass(frozen=True)
class Row:
    """One row of an exercise's table.

    `name` is its stable test id, by which saved timings are matched. `settings` are the fields of its
    `Experiment` other than epochs; without a data set, the row trains on the session's. Raises
    ValueError, naming the row, for an invalid name or setting.
    """

    name: str
    settings: Mapping[str, Any]
    published: Published = Published()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"a row's name is {shown(self.name)}; expected text")
        if not isinstance(self.settings, Mapping) or not all(isinstance(n, str) for n in self.settings):
            raise ValueError(
                f"the row {self.name!r}: settings is {shown(self.settings)}; expected values by field"
            )
        if not isinstance(self.published, Published):
            raise ValueError(
                f"the row {self.name!r}: published is {shown(self.published)}; expected Published"
            )
        # A terminal would obey escape sequences, and pytest escapes other characters in node ids.
        if not (self.name.isascii() and self.name.isprintable()) or {*self.name} & {*"/\\"}:
            raise ValueError(
                f"a row's name is {shown(self.name)}; expected printable ASCII without / and \\"
            )
        if not 0 < len(self.name) <= _MAX_NAME:
            raise ValueError(f"a row's name is {shown(self.name)}; expected 1 to {_MAX_NAME} characters")
        try:
            if "epochs" in self.settings:
                raise ValueError("epochs cannot be set in a row; the exercise sets them for each scale")
            object.__setattr__(self, "settings", MappingProxyType({**self.settings}))
            self.experiment  # noqa: B018  # checks the settings
        except ValueError as error:
            raise ValueError(f"the row {self.name!r}: {error}") from None

    @property
    def experiment(self) -> Experiment:
        """Its experiment, except for the epochs, and for a data set that the session chooses."""
        return Experiment.of({**self.settings, "epochs": 1})


# A measurement other than a training: takes the data set and a seed, and returns JSON's types.
Measurement: TypeAlias = "Callable[[Data, int], dict[str, Any]]"


@dataclass(frozen=True)
class Results:
    """The results that an exercise's own figures are drawn from."""

    slug: str
    """The exercise's short name, used in the names of a figure's data."""
    trainings: Mapping[str, Training]
    """The trainings by the row's name."""
    measurements: Mapping[str, list[dict[str, Any]]]
    """The results of each measurement by its name, one for each seed."""


# The fields of an exercise that hold several values, each with its type and that in words.
_COLLECTIONS: dict[str, tuple[type, str]] = {
    "epochs": (Mapping, "epochs by scale"),
    "guesses": (Iterable, "a tuple of sentences"),
    "rows": (Iterable, "a tuple of rows"),
    "measurements": (Mapping, "functions by name"),
    "observers": (Iterable, "a tuple of observers"),
    "figures": (Mapping, "functions by name"),
}


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """An exercise of a study. Its module declares it as `EXERCISE`, and identifies it."""

    title: str
    question: str = ""
    source: str = ""
    """The paper's table of its rows, such as "Table 1"."""
    figure: str = ""
    """The paper's figure of its learning curves."""
    epochs: Mapping[str, int] = field(default_factory=dict)
    """The epochs of every row by scale, for scales at which they are not the study's."""
    guesses: tuple[str, ...] = ()
    """What the paper leaves open and what was chosen instead, a sentence each."""
    rows: tuple[Row, ...]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    """Measurements, other than trainings, that its claims need, by name."""
    observers: tuple[Observer, ...] = ()
    """The observers of its trainings."""
    figures: Mapping[str, Callable[[Results], object]] = field(default_factory=dict)
    """Functions that draw its own figures after the trainings, by the figures' names.

    Each returns a `harness.report.figures.Figure`, or None if the results lack what it needs.
    """
    story: Callable[[Results], str] | None = None
    """Says what was found and why, in two or three sentences with figures from the results.

    It is called after the trainings, whichever of them there are, and returns "" if too few.
    """

    def __post_init__(self) -> None:
        for name in ("title", "question", "source", "figure"):
            printable(name, getattr(self, name))
        if not self.title.strip():
            raise ValueError("title is empty; expected text")
        for name, (kind, expected) in _COLLECTIONS.items():
            given = getattr(self, name)
            if not isinstance(given, kind) or isinstance(given, str):
                raise ValueError(f"{name} is {shown(given)}; expected {expected}")
        for scale, epochs in self.epochs.items():
            whole(f"epochs[{scale!r}]", epochs)
        _check_kinds(self)
        if repeated := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(f"two rows of {self.title!r} are named {repeated[0]!r}; rename one")

    @property
    def names(self) -> list[str]:
        """The rows' names, for `pytest.mark.parametrize`."""
        return [row.name for row in self.rows]

    def row(self, name: str) -> Row:
        """Returns the row called `name`. Raises KeyError if there is none."""
        return {row.name: row for row in self.rows}[name]

    def where(self, *, published: bool = False, **values: Any) -> tuple[Row, ...]:
        """Returns the rows whose experiments have these values, in the exercise's order.

        For example, `where(optimizer=Adam, batch_size=32)`; see `harness.where.matches`. With
        `published`, returns only rows with a published test accuracy. Raises ValueError for a name that
        is not a field.
        """
        check_names(values, [row.experiment for row in self.rows])
        return tuple(
            row
            for row in self.rows
            if matches(row.experiment, values)
            and not (published and row.published.test_accuracy is None)
        )

    def experiment(self, row: Row, epochs: int, dataset: str) -> Experiment:
        """Returns the experiment of `row`, on the data set named `dataset` unless the row has its own.

        Raises ValueError if the data set does not fit the row's network.
        """
        return Experiment.of({"dataset": DATASETS[dataset], **row.settings, "epochs": epochs})


def case_id(module: str, row: str) -> str:
    """Returns the node id of a row's test, which identifies the row everywhere."""
    return f"{module}::test_training[{row}]"


def _check_kinds(exercise: Exercise) -> None:
    """Raises ValueError for a value of another type, or a name that cannot be shown."""
    from model.observers import Observer

    for name in ("guesses", "rows", "observers"):
        object.__setattr__(exercise, name, tuple(getattr(exercise, name)))
    for row in exercise.rows:
        if not isinstance(row, Row):
            raise ValueError(f"rows contains {shown(row)}; expected harness.exercise.Row")
    for name, measurement in exercise.measurements.items():
        printable("the name of a measurement", name)
        if not callable(measurement):
            raise ValueError(f"measurements[{name!r}] is {shown(measurement)}; expected a function")
    for name, draw in exercise.figures.items():
        if not (isinstance(name, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name)):
            raise ValueError(
                f"figures contains {shown(name)}; expected 1 to 40 characters of a to z, digits and -"
            )
        if not callable(draw):
            raise ValueError(f"figures[{name!r}] is {shown(draw)}; expected a function")
    for guess in exercise.guesses:
        printable("guesses", guess)
    if not (exercise.story is None or callable(exercise.story)):
        raise ValueError(f"story is {shown(exercise.story)}; expected a function or None")
    for observer in exercise.observers:
        if not isinstance(observer, Observer):
            raise ValueError(f"observers contains {shown(observer)}; expected model.observers.Observer")


def module_of(test: str) -> str:
    """Returns the path of a test's module, which its node id begins with."""
    return test.partition("::")[0]


def slug(module: str) -> str:
    """Returns an exercise's short name, for files and links: `1-x` for `bench/test_1_x.py`."""
    return PurePosixPath(module).stem.removeprefix("test_").replace("_", "-")


def row_name(case: str) -> str:
    """Returns the row's name in a case's node id: the part in brackets, or the whole id without any."""
    return case.partition("[")[2].removesuffix("]") or case


def short_name(case: str) -> str:
    """Returns the number of a case's exercise, if it has one, and its row.

    For example, `1. a` for `bench/test_1_x.py::test_t[a]`.
    """
    number = slug(module_of(case)).partition("-")[0]
    return f"{number}. {row_name(case)}" if number.isdecimal() else row_name(case)
