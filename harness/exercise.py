"""What a module in `bench` declares: an exercise and the rows of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from model.experiment import Experiment

if TYPE_CHECKING:  # a report is drawn without PyTorch
    from model.data.mnist import Data


@dataclass(frozen=True)
class Published:
    """The assignment's figures for a row; None where it gives none."""

    test_accuracy: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """One row of an exercise's table.

    `name` is its stable test id: saved timings are matched by it. `settings` are the
    `Experiment`'s fields other than epochs and data set.
    """

    name: str
    settings: Mapping[str, Any]
    published: Published = Published()

    def __post_init__(self) -> None:
        if not self.name.isprintable():  # a terminal would obey its escape sequences
            raise ValueError(f"the row {self.name!r} has characters that cannot be printed")


# A measurement besides training: takes the data set and a seed, returns what JSON can hold.
Measurement: TypeAlias = "Callable[[Data, int], dict[str, Any]]"


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """An exercise of the assignment, declared as `EXERCISE` in its module."""

    number: int
    title: str
    question: str
    source: str
    """Where the assignment has the figures, like "Table 1"."""
    figure: str
    """Which of the assignment's figures shows its learning curves."""
    epochs: Mapping[str, int]
    """Epochs of every row, per scale."""
    rows: tuple[Row, ...]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    """Measurements that its claims need besides trainings, by name."""

    @property
    def names(self) -> list[str]:
        """The rows' names, for `pytest.mark.parametrize`."""
        return [row.name for row in self.rows]

    def row(self, name: str) -> Row:
        """The row called `name`; KeyError where there is none."""
        return {row.name: row for row in self.rows}[name]

    def experiment(self, row: Row, scale: str, dataset: str) -> Experiment:
        """The experiment of `row` at `scale` on `dataset`."""
        return Experiment(**row.settings, epochs=self.epochs[scale], dataset=dataset)


def case_id(module: str, row: str) -> str:
    """The node id of a row's test, which identifies it everywhere."""
    return f"{module}::test_training[{row}]"


def row_name(case: str) -> str:
    """The row's name in a case's node id: what is in brackets, or the whole id without any."""
    return case.partition("[")[2].removesuffix("]") or case
