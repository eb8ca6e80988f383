"""`summary.json`: the exercises, cases and claims of a run, and the machine that it ran on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from model.experiment import Outcome

from ..exercise import slug
from .record import PublishedFigures
from .types import (
    Accuracy,
    AnExperiment,
    Count,
    DatasetName,
    Device,
    Digest,
    EngineName,
    Finite,
    Model,
    Positive,
    Scale,
    Seconds,
    Seeds,
    Text,
    Timing,
    check_shapes,
)

SCHEMA = 3


class Machine(Model):
    """Hardware and versions: these, and others by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text | Count | Finite | None]

    device: Device
    device_name: Text
    cores: Positive
    torch: Text
    python: Text


class StudySummary(Model):
    """A study in words; see `harness.study.Study`."""

    title: Text
    about: Text
    row: Text
    published: Text


class ExerciseSummary(Model):
    """An exercise; `cases` and `claims` are ids."""

    module: Text
    """The path of its module, as in node ids."""
    title: Text
    question: Text = ""
    source: Text = ""
    figure: Text = ""
    epochs: Positive
    cases: Annotated[list[Text], Field(max_length=10_000)]
    claims: Annotated[list[Text], Field(max_length=1000)]


class Reached(Model):
    """What each seed takes to reach a test accuracy; None where it never does."""

    epochs: list[Count | None]
    steps: list[Count | None]
    seconds: list[Seconds | None]


class CaseSummary(Model):
    """A training in short. Accuracies are per seed; seconds are of all seeds."""

    id: Text
    experiment: AnExperiment
    engine: EngineName
    engines_left_out: dict[Text, Text] = Field(default_factory=dict)
    device: Device
    threads: Positive
    resumed: bool
    timing: Timing
    seeds: Seeds
    seconds: Seconds
    prepare_seconds: Seconds
    steps: Positive
    test_accuracy: list[Accuracy]
    train_accuracy: list[Accuracy]
    outcome: Outcome
    time_to_accuracy: dict[Annotated[str, Field(pattern=r"^[01]\.\d{1,4}$")], Reached]
    paper: PublishedFigures

    @model_validator(mode="after")
    def _a_figure_for_each_seed(self) -> Self:
        count = (len(self.seeds),)
        check_shapes(self, {"test_accuracy": count, "train_accuracy": count})
        for reached in self.time_to_accuracy.values():
            check_shapes(reached, {"epochs": count, "steps": count, "seconds": count})
        return self


def _distinct(exercises: list[ExerciseSummary]) -> list[ExerciseSummary]:
    if len({slug(each.module) for each in exercises}) < len(exercises):
        raise ValueError("a module is there twice")
    return exercises


class Summary(Model):
    """All of it; its cases and claims are validated one by one."""

    schema_: Annotated[Literal[3], Field(alias="schema")]
    study: StudySummary
    scale: Scale
    dataset: DatasetName
    timing: Timing
    created: Text
    commit: Text | None = None
    code: Digest
    command: Text
    machine: Machine
    exercises: Annotated[list[ExerciseSummary], Field(max_length=50), AfterValidator(_distinct)]
    cases: Annotated[list[dict[str, Any]], Field(max_length=10_000)]
    claims: Annotated[list[dict[str, Any]], Field(max_length=1000)]
