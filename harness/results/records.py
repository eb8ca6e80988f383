"""The record of a training: made from it, turned into it again, and in short for the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from model.experiment import Training

from ..exercise import Published
from ..files.record import TrainingRecord

# The fields of a training that are arrays.
_ARRAYS = tuple(field.name for field in fields(Training) if str(field.type).startswith("NDArray"))


def to_record(
    training: Training,
    *,
    threads: int,
    left_out: Mapping[str, str],
    published: Published,
) -> dict[str, Any]:
    """The part of a `TrainingRecord` that comes from its training, as it is written.

    `threads` are PyTorch's on a CPU; `left_out` says by name why "auto" did not take an engine.
    """
    return {
        "engine": training.engine,
        "engines_left_out": dict(left_out),
        "device": training.device,
        "threads": threads,
        "seeds": list(training.seeds),
        "seconds": training.seconds,
        "prepare_seconds": training.prepare_seconds,
        "steps": training.steps,
        "outcomes": list(training.outcomes),
        "paper": asdict(published),
        "observed": {name: array.tolist() for name, array in training.observed.items()},
        **{name: getattr(training, name).tolist() for name in _ARRAYS},
    }


def to_training(record: TrainingRecord) -> Training:
    """The training that `record` holds."""
    return Training(
        experiment=record.experiment,
        engine=record.engine,
        device=record.device,
        seeds=tuple(record.seeds),
        steps=record.steps,
        prepare_seconds=record.prepare_seconds,
        outcomes=tuple(record.outcomes),
        observed={name: np.array(array, dtype=float) for name, array in record.observed.items()},
        **{name: np.array(getattr(record, name), dtype=float) for name in _ARRAYS},
    )


def to_case(record: TrainingRecord, *, resumed: bool) -> dict[str, Any]:
    """The case as `summary.json` lists it: the record, with only the last value of each curve.

    `resumed` says whether an earlier session made it.
    """
    training = to_training(record)
    kept = {
        "id",
        "experiment",
        "engine",
        "engines_left_out",
        "device",
        "threads",
        "seeds",
        "seconds",
        "prepare_seconds",
        "steps",
        "paper",
    }
    return {
        **record.model_dump(include=kept),
        "resumed": resumed,
        "timing": record.run.timing,
        "test_accuracy": training.test_accuracy[-1].tolist(),
        "train_accuracy": training.train_accuracy[-1].tolist(),
        "outcome": training.outcome,
        "time_to_accuracy": {
            name: training.time_to_accuracy(target)
            for name, target in training.experiment.dataset.targets_by_name.items()
        },
    }
