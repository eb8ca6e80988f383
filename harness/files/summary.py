"""`summary.json`: the exercises, cases and claims of a run, and its machine."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from model.experiment import Outcome

from ..exercise import slug
from .record import Decision, TrainingFields
from .types import (
    Accuracy,
    Count,
    DatasetName,
    Device,
    Digest,
    Finite,
    Model,
    Positive,
    Scale,
    Seconds,
    Text,
    Timing,
    check_shapes,
)

SCHEMA: Literal[3] = 3


class Machine(Model):
    """The hardware and versions of a run: these fields, and others of any name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text | Count | Finite | None]

    device: Device
    device_name: Text
    cores: Positive
    torch: Text
    python: Text


class StudySummary(Model):
    """The texts of a study; see `harness.study.Study`."""

    title: Text
    about: Text
    row: Text
    published: Text


class ExerciseSummary(Model):
    """An exercise; `cases` and `claims` are node ids."""

    module: Text
    """The path of its module, as in node ids."""
    title: Text
    question: Text = ""
    source: Text = ""
    figure: Text = ""
    epochs: Positive
    full_epochs: Positive | None = None
    """The epochs at the study's full scale, that of published figures; None in earlier reports."""
    guesses: list[Text] = Field(default_factory=list)
    """What the paper leaves open, and what was chosen, a sentence each."""
    story: Text = ""
    """What was found and why, in two or three sentences with figures from this run."""
    cases: list[Text]
    claims: list[Text]


class Reached(Model):
    """When each seed reached a test accuracy; None if it never did."""

    epochs: list[Count | None]
    steps: list[Count | None]
    seconds: list[Seconds | None]


class CaseSummary(TrainingFields):
    """The summary of a training. Accuracies are per seed; seconds are for all seeds together.

    Seeds that were added later count in no time; see `TrainingFields.added`.
    """

    resumed: bool
    timing: Timing
    test_accuracy: list[Accuracy]
    train_accuracy: list[Accuracy]
    outcome: Outcome
    outcomes: list[Outcome] = Field(default_factory=list, max_length=100_000)
    """The outcome of each seed; empty in earlier reports."""
    slowest_epoch: Finite | None = None
    """The longest epoch's time as a multiple of the median one's; None for fewer than three epochs."""
    time_to_accuracy: dict[Annotated[str, Field(pattern=r"^[01]\.\d{1,4}$")], Reached]

    @model_validator(mode="after")
    def _a_figure_for_each_seed(self) -> Self:
        count = (len(self.seeds),)
        check_shapes(self, {"test_accuracy": count, "train_accuracy": count})
        if self.outcomes:
            check_shapes(self, {"outcomes": count})
        for reached in self.time_to_accuracy.values():
            check_shapes(reached, {"epochs": count, "steps": count, "seconds": count})
        return self


def _distinct(exercises: list[ExerciseSummary]) -> list[ExerciseSummary]:
    if len({slug(each.module) for each in exercises}) < len(exercises):
        raise ValueError("a module occurs twice")
    return exercises


class Summary(Model):
    """The whole file."""

    model_config = ConfigDict(validate_by_name=True)

    schema_: Annotated[Literal[3], Field(alias="schema")]
    study: StudySummary
    scale: Scale
    full_scale: Text = ""
    """The study's last scale, at which every claim can be decided; empty in earlier reports."""
    dataset: DatasetName
    timing: Timing
    shard: Text = ""
    """The part of the rows that the run is about, such as 2/4; empty if it is about all."""
    seeds_until_decided: Positive | None = None
    """Up to how many seeds rows got if a claim on them was open; None if no more than the run's."""
    created: Text
    commit: Text | None = None
    code: Digest
    command: Text
    machine: Machine
    exercises: Annotated[list[ExerciseSummary], AfterValidator(_distinct)]
    cases: list[CaseSummary]
    claims: list[Decision]

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file."""
        return self.model_dump(by_alias=True)
