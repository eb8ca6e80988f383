"""What a module in `bench` declares: an exercise, and the rows of its table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from model.data.mnist import Data
from model.experiment import Experiment


@dataclass(frozen=True)
class Published:
    """What the assignment gives for a row; None for what it does not give."""

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


# What is measured beside trainings: of a data set, for one seed, something that JSON can hold.
Measurement = Callable[[Data, int], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """An exercise of the assignment, declared as `EXERCISE` in its module."""

    number: int
    title: str
    question: str
    source: str
    """Where the published figures stand."""
    figure: str
    """Which of the assignment's figures shows its learning curves."""
    epochs: Mapping[str, int]
    """Epochs of every row, per scale."""
    rows: tuple[Row, ...]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    """What its claims need besides trainings, by name."""

    @property
    def names(self) -> list[str]:
        """The rows' names, to parametrise a test with."""
        return [row.name for row in self.rows]

    def row(self, name: str) -> Row:
        """The row called `name`; KeyError where there is none."""
        return {row.name: row for row in self.rows}[name]

    def experiment(self, row: Row, scale: str, dataset: str) -> Experiment:
        """What `row` trains at `scale` on `dataset`."""
        return Experiment(**row.settings, epochs=self.epochs[scale], dataset=dataset)


def case_id(module: str, row: str) -> str:
    """The node id of a row's own test, by which everything about it is matched."""
    return f"{module}::test_training[{row}]"


def row_name(case: str) -> str:
    """The row of a case's node id, what stands in its brackets; an id without any as it is."""
    return case.partition("[")[2].removesuffix("]") or case


def discover_exercises(config: pytest.Config) -> dict[str, ModuleType]:
    """The suite's exercises: modules with an `EXERCISE`, by their path as it stands in node ids.

    They are looked for where a bare `pytest` would look: in the files of `testpaths`. To be
    called after collection alone, as a module imported here first would reach pytest
    without its rewritten assertions.
    """
    found = {}
    for folder in config.getini("testpaths"):
        for path in sorted(Path(config.rootpath, folder).glob("test_*.py")):
            relative = path.relative_to(config.rootpath)
            module = importlib.import_module(".".join(relative.with_suffix("").parts))
            if isinstance(getattr(module, "EXERCISE", None), Exercise):
                found[relative.as_posix()] = module
    return dict(sorted(found.items(), key=lambda item: item[1].EXERCISE.number))
