"""Records: trainings and measurements as files in `runs/`, decisions as files in `claims/`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, model_validator

from model.experiment import Outcome, ran_on

from ..verdicts import Verdict
from ..wording import counted
from . import sealed
from .names import file_name
from .types import (
    Accuracy,
    AnExperiment,
    Count,
    DatasetName,
    Device,
    Digest,
    EngineName,
    Model,
    Number,
    Observed,
    Positive,
    Scale,
    Seconds,
    Seeds,
    Text,
    Timing,
    check_shapes,
    shape_of,
)


class RunFingerprint(Model):
    """The settings that a run's records depend on, besides the experiment."""

    scale: Scale
    dataset: DatasetName
    replicates: Positive
    engine: Text
    timing: Timing
    device: Device
    device_name: Text
    torch: Text
    code: Digest


class Hardware(Model):
    """The hardware that a row was trained on, if it is not the run's machine."""

    device_name: Text
    """The model of the CPU or GPU."""
    cores: Positive
    """The cores that the training could use."""

    def __str__(self) -> str:
        return f"{self.device_name}, {counted(self.cores, 'core')}"


class Block(Model):
    """A part of a row's seeds that a node of a cluster trained by itself."""

    seeds: Seeds
    node: Text
    """The node's host name."""
    device_name: Text
    """The model of its CPU or GPU."""
    seconds: Seconds
    """Of training; a row's time is the sum over its blocks."""
    begun_seconds: Seconds
    """From the session's connection to the cluster to the start of the task on the node."""
    busy_seconds: Seconds
    """From the start of the task on the node to its end."""
    lost: list[Text] = Field(default_factory=list, max_length=100)
    """The nodes where earlier attempts were lost; their times count nowhere."""


class AddedSeeds(Model):
    """Seeds that `--seeds-until-decided` added to a row after its training."""

    seeds: Seeds
    seconds: Seconds
    """Of training."""


class PublishedFigures(Model):
    """The assignment's figures for a row; None for a figure that it does not give."""

    test_accuracy: Accuracy | None
    seconds: Seconds | None
    remark: Text = ""


def _not_as_many(seeds: int, replicates: int) -> str:
    return f"it has {counted(seeds, 'seed')}, but {counted(replicates, 'replicate')}"


class Record(Model):
    """The fields of every file in `runs/`."""

    id: Text
    run: RunFingerprint
    device: Device
    seeds: Seeds

    @model_validator(mode="after")
    def _a_seed_for_each_replicate(self) -> Self:
        if len(self.seeds) < self.run.replicates:
            raise ValueError(_not_as_many(len(self.seeds), self.run.replicates))
        return self


class TrainingFields(Model):
    """The fields that a training's record and its entry in `summary.json` share."""

    id: Text
    experiment: AnExperiment
    engine: EngineName
    engines_left_out: dict[Text, Text] = Field(default_factory=dict)
    device: Device
    threads: Positive
    seeds: Seeds
    seconds: Seconds
    prepare_seconds: Seconds
    steps: Positive
    paper: PublishedFigures
    hardware: Hardware | None = None
    blocks: list[Block] = Field(default_factory=list, max_length=100_000)
    """Where a cluster trained it; empty if this machine did."""
    added: list[AddedSeeds] = Field(default_factory=list, max_length=100)
    """The last of the seeds, which were added later. The times are those of the other ones, together."""

    @property
    def timed_seeds(self) -> int:
        """The number of seeds that the times are of: those that were trained first, together."""
        return len(self.seeds) - sum(len(each.seeds) for each in self.added)

    @property
    def all_seconds(self) -> float:
        """The training time of all seeds, in seconds, including those that were added."""
        return self.seconds + sum(each.seconds for each in self.added)

    @model_validator(mode="after")
    def _added_seeds_are_the_last(self) -> Self:
        added = [seed for each in self.added for seed in each.seeds]
        if added and (len(added) >= len(self.seeds) or self.seeds[-len(added) :] != added):
            raise ValueError(f"seeds does not end with the added ones, {added}")
        return self

    @property
    def ran_on(self) -> str:
        """The engine and the device, and the hardware if it is not the run's machine.

        Times of rows that differ in it are not comparable.
        """
        return ran_on(self.engine, self.device, str(self.hardware or ""))


class TrainingRecord(Record, TrainingFields):
    """A training. Curves have shape (epochs + 1, seeds); see `model.experiment.Training`."""

    outcomes: list[Outcome]
    epoch_seconds: list[Seconds]
    train_loss: list[list[Number]]
    train_accuracy: list[list[Accuracy]]
    test_loss: list[list[Number]]
    test_accuracy: list[list[Accuracy]]
    predictions: list[list[Count]]
    distance_from_initialisation: list[list[Number]]
    observed: dict[Text, Observed]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.timed_seeds != self.run.replicates:
            raise ValueError(_not_as_many(self.timed_seeds, self.run.replicates))
        seeds, epochs, network = len(self.seeds), self.experiment.epochs, self.experiment.network
        curves = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
        check_shapes(
            self,
            {
                "epoch_seconds": (epochs + 1,),
                **dict.fromkeys(curves, (epochs + 1, seeds)),
                "predictions": (network.classes, seeds),
                "distance_from_initialisation": (len(network.parameter_names), seeds),
                "outcomes": (seeds,),
            },
        )
        for name, array in self.observed.items():
            if shape_of(array)[-1:] != (seeds,):
                raise ValueError(f"observed.{name} does not have shape (..., {seeds})")
        if self.epoch_seconds[0] != 0 or self.epoch_seconds[-1] != self.seconds:
            raise ValueError("epoch_seconds does not go from 0 to seconds")
        if any(later < earlier for earlier, later in pairwise(self.epoch_seconds)):
            raise ValueError("epoch_seconds decreases")
        if self.steps % epochs:
            raise ValueError(f"{self.steps} steps do not divide evenly into {epochs} epochs")
        return self


class MeasurementRecord(Record):
    """A measurement, with one result for each seed."""

    measured: list[dict[Text, JsonValue]]

    @model_validator(mode="after")
    def _one_for_each_seed(self) -> Self:
        check_shapes(self, {"measured": (len(self.seeds),)})
        return self


class Decision(Model):
    """A claim and its verdict in a run: an entry of `summary.json`."""

    id: Text
    """The node id of its test."""
    text: Text
    source: Text = ""
    verdict: Verdict
    evidence: Text
    """The figures that the verdict follows from, in a sentence or two."""
    rows: list[Text] = Field(default_factory=list, max_length=1000)
    """The names of the rows that the verdict follows from."""
    expected: Verdict | None = None
    needs: Text | None = None
    criterion: Text = ""
    """What the claim's words mean as a measurement."""
    shown_in: Text = ""
    """The figure that shows it, without the exercise's name."""


class ClaimRecord(Decision):
    """A decision as a file in `claims/`, with the fingerprint of its run."""

    run: RunFingerprint


class Resumed(Model):
    """`resumed.json`: the files in `runs/` that an earlier session made."""

    records: list[Text] = Field(max_length=100_000)


def read_record(path: Path) -> TrainingRecord | MeasurementRecord:
    """Returns the record in a file of `runs/`. Raises FileError if it is invalid or misnamed."""
    content = sealed.read_content(path)
    found: TrainingRecord | MeasurementRecord
    if "experiment" in content:
        found = sealed.parse(path, TrainingRecord, content)
    else:
        found = sealed.parse(path, MeasurementRecord, content)
    _check_name(path, content)
    return found


def read_claim(path: Path) -> ClaimRecord:
    """Returns the decision in a file of `claims/`. Raises FileError, like `read_record`."""
    content = sealed.read_content(path)
    found = sealed.parse(path, ClaimRecord, content)
    _check_name(path, content)
    return found


def key_of(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the key of a record: the fingerprint of its run, and a training's experiment."""
    return {name: content[name] for name in ("run", "experiment") if name in content}


def _check_name(path: Path, content: dict[str, Any]) -> None:
    if path.stem != (name := file_name(content["id"], key_of(content))):
        raise sealed.FileError(f"{path} cannot be read: its content belongs in {name}.json")
