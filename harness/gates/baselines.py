"""Saved runs: pytest-benchmark's files, read and checked by one model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from model.experiment import Experiment
from model.values import one_line

from ..files import sealed
from ..files.types import (
    Accuracy,
    ADataset,
    ANetwork,
    AnOptimizer,
    ASchedule,
    FinitePositive,
    Model,
    Seconds,
)
from ..timing.session_rows import WHOLE
from ..timing.storage import ACCEPTED

# The fields that must be equal in two cases for their accuracies, or their times, to be compared.
_EXPERIMENT = tuple(each.name for each in fields(Experiment))
FOR_ACCURACY = ("scale", *_EXPERIMENT, "device", "engine", "timing")
FOR_TIMES = (*FOR_ACCURACY, "device_name", "cores", "replicates")
KNOWN_AT_START = ("scale", "dataset", "timing")

SOFTWARE = {"torch": "PyTorch", "numba": "Numba", "numpy": "NumPy", "python": "Python"}

Epoch = Annotated[int, Field(ge=0)]


class BaselineError(ValueError):
    """A saved run cannot be used; the message names the file and the reason, in one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class Statistics(Model):
    """Statistics of a case's rounds, in seconds; each round is an epoch."""

    min: FinitePositive
    max: FinitePositive
    mean: FinitePositive
    median: FinitePositive
    stddev: Seconds
    iqr: Seconds
    total: FinitePositive
    rounds: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.min <= self.median <= self.max or not math.isclose(
            self.total, self.mean * self.rounds, rel_tol=1e-6
        ):
            raise ValueError("its min, median, max, mean, total and rounds contradict each other")
        return self


class Info(Model):
    """The fields that the suite adds to a case, as pytest-benchmark's `extra_info`."""

    scale: str
    optimizer: AnOptimizer
    batch_size: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)]
    order: str
    init: str | float
    dataset: ADataset
    network: ANetwork
    schedule: ASchedule
    device: str
    device_name: str
    cores: Annotated[int, Field(ge=1)]
    engine: str
    timing: str
    seeds: Annotated[list[int], Field(min_length=1)]
    seconds: FinitePositive
    test_accuracy: list[Accuracy]
    epochs_to: dict[str, list[Epoch | None]]

    @property
    def replicates(self) -> int:
        return len(self.seeds)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        names = [*self.dataset.targets_by_name]
        if not {names[0], names[-1]} <= {*self.epochs_to}:
            raise ValueError(f"epochs_to lacks one of {names[0]}, {names[-1]}")
        lengths = {len(self.test_accuracy), *(len(each) for each in self.epochs_to.values())}
        if len(set(self.seeds)) < len(self.seeds) or lengths != {len(self.seeds)}:
            raise ValueError("its lists do not have one value for each seed")
        return self


class SavedCase(Model):
    """A row of this suite, in a saved run or in this one."""

    fullname: str
    stats: Statistics
    extra_info: Info

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.stats.rounds != self.extra_info.epochs:
            raise ValueError("stats.rounds is not equal to extra_info.epochs")
        if not math.isclose(self.stats.total, self.extra_info.seconds, rel_tol=1e-3):
            raise ValueError("stats.total is not equal to extra_info.seconds")
        return self

    def differences(self, there: SavedCase, names: Sequence[str]) -> list[str]:
        """Describes each of the fields `names` of `extra_info` that differs from the saved case."""
        return [
            f"{name} was {getattr(there.extra_info, name)} and is now {getattr(self.extra_info, name)}"
            for name in names
            if getattr(there.extra_info, name) != getattr(self.extra_info, name)
        ]


Cases = Mapping[str, SavedCase]  # by pytest node id


@dataclass(frozen=True)
class SavedRun:
    """This suite's cases in a file that pytest-benchmark saved."""

    path: Path
    cases: Cases
    whole: bool = False
    """Whether it was a run of the whole suite, so that a row that it lacks did not exist."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of the software that it ran with, as far as they are recorded."""
    saved: str = ""
    """When it was saved (ISO 8601), if that is recorded."""
    commit: str = ""
    """The commit of its checkout, if that is recorded."""
    committed: str = ""
    """When that commit was made (ISO 8601), if that is recorded."""

    @property
    def accepted(self) -> bool:
        """Whether earlier runs are ignored for the rows that this one has."""
        return re.fullmatch(rf"[0-9]+_{ACCEPTED}", self.path.stem) is not None


def read_saved_run(path: Path) -> SavedRun:
    """Reads the saved run in that file. Raises BaselineError if it cannot be used."""
    try:
        content = json.loads(sealed.read_bytes(path))
        cases = cases_of(content["benchmarks"])
    except ValidationError as error:
        raise BaselineError(f"the saved run {path} cannot be used: {_first(error)}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a pytest-benchmark file"
        raise BaselineError(f"the saved run {path} cannot be read: {reason}") from None
    commit = content.get("commit_info")
    commit = commit if isinstance(commit, dict) else {}
    return SavedRun(
        path,
        cases,
        content.get(WHOLE) is True,
        _versions(content),
        saved=_text(content.get("datetime")),
        commit=_text(commit.get("id")),
        committed=_text(commit.get("time")),
    )


def cases_of(benchmarks: Sequence[Mapping[str, Any]]) -> dict[str, SavedCase]:
    """Returns this suite's cases among pytest-benchmark's records, which may have others as well."""
    found = {}
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        if "test_accuracy" in info:
            case = SavedCase.model_validate(benchmark)
            found[case.fullname] = case
    return found


def _versions(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns the software versions that a saved run records; they are shown but decide nothing."""
    machine = content.get("machine_info")
    suite = machine.get("suite") if isinstance(machine, dict) else None
    found = {name: suite.get(name) for name in SOFTWARE} if isinstance(suite, dict) else {}
    return {name: one_line(version) for name, version in found.items() if isinstance(version, str)}


def _text(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _first(error: ValidationError) -> str:
    """Describes the first error, in one line."""
    detail = error.errors(include_url=False)[0]
    where = ".".join(map(str, detail["loc"])) or "a case"
    reason = detail["msg"].removeprefix("Value error, ")
    given = repr(detail["input"])
    return f"{where}: {reason[0].lower()}{reason[1:]}" + (f" (it is {given})" if len(given) < 40 else "")
