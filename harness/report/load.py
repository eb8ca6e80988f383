"""Reads a report folder, whose files may come from anywhere, be of any size, and be damaged.

Without a valid `summary.json` there is no page: ReportError says why in one line. A case, claim or
record that is damaged or unknown is left out, and `Run.left_out` says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from model.experiment import Experiment, Outcome

from ..claim import Decision
from ..exercise import Published
from ..paths import SPEED
from ..results.summary import SCHEMA

_MAX_BYTES = 64 * 2**20  # of all files of a folder; a run at the paper's scale has 2 MiB
_MAX_CASES = 200


_Kind = TypeVar("_Kind")


class ReportError(Exception):
    """A report folder cannot be read or written; the message says which and why, in one line."""


Text = Annotated[str, Field(max_length=5000)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Accuracy = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _experiment(value: Any) -> Experiment:
    """Makes an Experiment; pydantic itself would ignore unknown fields."""
    try:
        return value if isinstance(value, Experiment) else Experiment(**value)
    except TypeError as error:
        raise ValueError(str(error)) from None


AnExperiment = Annotated[Experiment, PlainValidator(_experiment)]


def _possible(published: Published) -> Published:
    accuracy, seconds = published.test_accuracy, published.seconds
    if not (accuracy is None or 0 <= accuracy <= 1) or not (seconds is None or 0 <= seconds < inf):
        raise ValueError("a published figure is out of range")
    return published


class Exercise(BaseModel):
    """An exercise as `summary.json` lists it; `cases` and `claims` are ids."""

    number: Annotated[int, Field(ge=0, le=999)]
    title: Text
    question: Text = ""
    source: Text
    figure: Text = ""
    epochs: Count
    cases: list[Text]
    claims: list[Text]


class Reached(BaseModel):
    """What each seed takes to reach a test accuracy; None where it never does."""

    epochs: list[Count | None]
    steps: list[Count | None]
    seconds: list[Seconds | None]


class Case(BaseModel):
    """A case of `summary.json`. Accuracies are fractions of 1, per seed; seconds are of all seeds."""

    id: Text
    experiment: AnExperiment
    engine: Text
    device: Text
    resumed: bool = False
    timing: Text
    seeds: Annotated[list[int], Field(min_length=1)]
    seconds: Seconds
    prepare_seconds: Seconds
    steps: Count
    test_accuracy: list[Accuracy]
    train_accuracy: list[Accuracy]
    outcome: Outcome
    time_to_accuracy: dict[Annotated[str, Field(pattern=r"^[01]\.\d{1,4}$")], Reached]
    paper: Annotated[Published, AfterValidator(_possible)]

    @model_validator(mode="after")
    def _a_figure_for_each_seed(self) -> Case:
        if not len(self.seeds) == len(self.test_accuracy) == len(self.train_accuracy):
            raise ValueError("it has not as many accuracies as seeds")
        return self


class Summary(BaseModel):
    """`summary.json`; its cases and claims are validated one by one."""

    scale: Text
    dataset: Text
    timing: Text
    created: Text
    commit: Text | None = None
    command: Text
    machine: dict[Text, Text | int | float | None]
    exercises: Annotated[list[Exercise], Field(max_length=50)]
    cases: list[Any]
    claims: list[Any]


class Curves(BaseModel):
    """The arrays of a case's record. Curves have the shape (epochs + 1, seeds)."""

    id: Text
    experiment: AnExperiment
    seeds: list[int]
    epoch_seconds: list[float]
    train_loss: list[list[float]]
    train_accuracy: list[list[float]]
    test_loss: list[list[float]]
    test_accuracy: list[list[float]]
    checkpoint_examples: list[Count] = []
    checkpoint_class_accuracy: list[list[list[float]]] = []

    @model_validator(mode="after")
    def _shapes(self) -> Curves:
        curve = (self.experiment.epochs + 1, len(self.seeds))
        shapes = {
            "epoch_seconds": curve[:1],
            **dict.fromkeys(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), curve),
            "checkpoint_class_accuracy": (len(self.checkpoint_examples), 10, len(self.seeds)),
        }
        for name, shape in shapes.items():
            if name in self.model_fields_set and _shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has not the shape {shape}")
        return self


class Bias(BaseModel):
    """A gradient-bias measurement along one order; see `model.diagnostics.gradient_bias`."""

    checkpoints: list[float]
    counts: list[Count]
    cosine: list[list[float]]
    relative_error: list[list[float]]

    @model_validator(mode="after")
    def _shapes(self) -> Bias:
        shape = (len(self.checkpoints), len(self.counts))
        if not _shape(self.cosine) == _shape(self.relative_error) == shape:
            raise ValueError(f"its curves have not the shape {shape}")
        return self


class Measurement(BaseModel):
    """A record of a measurement besides training, seed by seed."""

    id: Text
    exercise: int
    measured: list[Any]


class SpeedRow(BaseModel):
    """An engine's time per step, as `make speed` measured it."""

    engine: Text
    optimizer: Text
    batch_size: Annotated[int, Field(ge=1)]
    replicates: Annotated[int, Field(ge=1)]
    cores: Annotated[int, Field(ge=1)] | None = None
    us_per_step: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    roofline_us_per_step: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    share_of_roofline: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Speed(BaseModel):
    """`speed.json`."""

    rows: Annotated[list[SpeedRow], Field(max_length=1000)]
    machine: dict[Text, Text | int | float | None]


@dataclass(frozen=True)
class Run:
    """A run, as far as its report folder could be read."""

    folder: Path
    summary: Summary
    cases: dict[str, Case]
    claims: dict[str, Decision]
    curves: dict[str, Curves]
    """By case, for those that have a record."""
    biases: dict[int, list[dict[str, Bias]]]
    """Gradient-bias measurements by exercise: per seed, by order."""
    speed: Speed | None
    left_out: list[str] = field(default_factory=list)
    """What was left out, and why: a line each."""


def load(folder: Path) -> Run:
    """Reads the run in `folder`.

    Raises ReportError where it is none, or one that this version cannot read.
    """
    reader = _Reader()
    path = folder / "summary.json"
    if not path.is_file():
        raise ReportError(f"{folder} is no report of a finished run: it has no summary.json")
    content = reader.read(path)
    if not isinstance(content, dict):
        raise ReportError(f"{path} cannot be read: it holds no summary")
    if (schema := content.get("schema")) != SCHEMA:
        raise ReportError(
            f"{path} has schema {_short(repr(schema))}; this version reads schema {SCHEMA}"
        )
    try:
        summary = Summary.model_validate(content)
    except ValidationError as error:
        raise ReportError(f"{path} cannot be read: {_why(error)}") from None

    left_out: list[str] = []
    listed = {case for exercise in summary.exercises for case in exercise.cases}
    cases = {case.id: case for case in _valid(Case, summary.cases[:_MAX_CASES], "the case", left_out)}
    if len(summary.cases) > _MAX_CASES:
        left_out.append(f"{len(summary.cases) - _MAX_CASES} cases beyond the first {_MAX_CASES}")
    for case in [case for case in cases if case not in listed]:
        left_out.append(f"the case {_short(case)}: no exercise lists it")
        del cases[case]
    claims = {claim.id: claim for claim in _valid(Decision, summary.claims, "the claim", left_out)}

    curves: dict[str, Curves] = {}
    biases: dict[int, list[dict[str, Bias]]] = {}
    for name, record in reader.records(folder / "runs", left_out):
        if "measured" in record:
            _add_bias(record, name, biases, left_out)
        elif record.get("id") in cases:
            for found in _valid(Curves, [record], f"{name} of", left_out):
                if found.experiment == cases[found.id].experiment:
                    curves[found.id] = found
                else:
                    left_out.append(f"{name}: its experiment is not the summary's")
    left_out += [
        f"curves of {_short(case)}: no record in runs/ that could be read"
        for case in cases.keys() - curves.keys()
    ]
    return Run(folder, summary, cases, claims, curves, biases, reader.speed(folder, left_out), left_out)


class _Reader:
    """Reads JSON files, up to _MAX_BYTES in all."""

    def __init__(self) -> None:
        self._left = _MAX_BYTES

    def read(self, path: Path) -> Any:
        """The file's content. Raises ReportError, which names the file, if it cannot be read."""
        try:
            with path.open("rb") as file:
                content = file.read(self._left + 1)
            if len(content) > self._left:
                raise ReportError(
                    f"{path} cannot be read: with it, the report has more than {_MAX_BYTES >> 20} MiB"
                )
            self._left -= len(content)
            return json.loads(content)
        except OSError as error:
            raise ReportError(f"{path} cannot be read: {error.strerror}") from None
        except RecursionError:
            raise ReportError(f"{path} cannot be read: it is nested too deeply") from None
        except ValueError as error:
            raise ReportError(f"{path} cannot be read: {error}") from None

    def records(self, folder: Path, left_out: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The records in `folder`, with their file names."""
        for path in sorted(path for path in folder.glob("*.json") if path.is_file()):
            try:
                record = self.read(path)
            except ReportError as error:
                left_out.append(str(error))
                continue
            if isinstance(record, dict):
                yield f"runs/{path.name}", record
            else:
                left_out.append(f"{path} cannot be read: it holds no record")

    def speed(self, folder: Path, left_out: list[str]) -> Speed | None:
        """The folder's `speed.json`, if there is one."""
        if not (path := folder / SPEED).is_file():
            return None
        try:
            return Speed.model_validate(self.read(path))
        except ReportError as error:
            left_out.append(str(error))
        except ValidationError as error:
            left_out.append(f"{path} cannot be read: {_why(error)}")
        return None


def _valid(kind: type[_Kind], entries: list[Any], what: str, left_out: list[str]) -> Iterator[_Kind]:
    for entry in entries:
        try:
            yield TypeAdapter(kind).validate_python(entry)
        except ValidationError as error:
            name = entry.get("id", "without id") if isinstance(entry, dict) else "without id"
            left_out.append(f"{what} {_short(name)}: {_why(error)}")


def _add_bias(
    record: dict[str, Any], name: str, biases: dict[int, list[dict[str, Bias]]], left_out: list[str]
) -> None:
    """Adds a gradient-bias record, the only measurement that has a figure."""
    if not str(record.get("id")).endswith("::gradient-bias"):
        return
    for found in _valid(Measurement, [record], f"{name} of", left_out):
        try:
            biases[found.exercise] = _BIASES.validate_python(found.measured)
        except ValidationError as error:
            left_out.append(f"{name} of {_short(found.id)}: {_why(error)}")


_BIASES = TypeAdapter(Annotated[list[dict[str, Bias]], Field(min_length=1, max_length=1000)])


def _why(error: ValidationError) -> str:
    """The first error, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return _short(f"{where}: {said}" if where else said)


def _short(text: Any) -> str:
    """At most 200 characters, in one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else f"{line[:200]}…"


def _shape(nested: ArrayLike) -> tuple[int, ...] | None:
    """The shape of nested lists; None if they are ragged."""
    try:
        return np.shape(nested)
    except ValueError:
        return None
