"""Converts trainings to records, and records to trainings and to entries of the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from model.experiment import Training

from ..exercise import Published
from ..files.record import TrainingFields, TrainingRecord
from ..files.summary import CaseSummary, Reached
from .evenness import slowest_epoch

_ARRAYS = tuple(field.name for field in fields(Training) if str(field.type).startswith("NDArray"))
_OTHERS = tuple(
    field.name
    for field in fields(Training)
    if field.name not in (*_ARRAYS, "experiment", "observed", "hardware")
)


def to_record(
    training: Training,
    *,
    threads: int,
    left_out: Mapping[str, str],
    published: Published,
) -> dict[str, Any]:
    """Returns the part of a `TrainingRecord` that comes from its training, as JSON.

    `threads` are PyTorch's on a CPU; `left_out` has the reason for each engine that "auto" rejected.
    """
    others = {name: getattr(training, name) for name in _OTHERS}
    return {
        **{name: list(each) if isinstance(each, tuple) else each for name, each in others.items()},
        "seconds": training.seconds,
        "engines_left_out": dict(left_out),
        "threads": threads,
        "paper": asdict(published),
        "observed": {name: array.tolist() for name, array in training.observed.items()},
        **{name: getattr(training, name).tolist() for name in _ARRAYS},
    }


def to_training(record: TrainingRecord) -> Training:
    """Returns the training that `record` holds."""
    values: dict[str, Any] = {name: getattr(record, name) for name in _OTHERS}
    values = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
    for name in _ARRAYS:
        values[name] = np.array(getattr(record, name), dtype=float)
    values["observed"] = {name: np.array(each, dtype=float) for name, each in record.observed.items()}
    return Training(experiment=record.experiment, hardware=str(record.hardware or ""), **values)


def to_case(record: TrainingRecord, *, resumed: bool, remark: str = "") -> CaseSummary:
    """Returns the record's entry in the summary, with only the last value of each curve.

    `resumed`: whether an earlier session trained it; `remark`: that on its published figures.
    """
    training = to_training(record)
    fields = {name: getattr(record, name) for name in TrainingFields.model_fields}
    return CaseSummary(
        **{**fields, "paper": record.paper.model_copy(update={"remark": remark})},
        resumed=resumed,
        timing=record.run.timing,
        test_accuracy=training.test_accuracy[-1].tolist(),
        train_accuracy=training.train_accuracy[-1].tolist(),
        outcome=training.outcome,
        outcomes=list(training.outcomes),
        slowest_epoch=slowest_epoch(training.epoch_seconds),
        time_to_accuracy={
            name: Reached.model_validate(training.time_to_accuracy(target))
            for name, target in training.experiment.dataset.targets_by_name.items()
        },
    )
