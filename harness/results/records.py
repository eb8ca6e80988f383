"""The record of a case, as `runs/` holds it: the whole training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from model.experiment import TARGETS, Experiment, Training

from ..exercise import Published

# The fields of a training that are arrays.
_ARRAYS = tuple(field.name for field in fields(Training) if str(field.type).startswith("NDArray"))


def to_record(
    training: Training,
    *,
    exercise: int,
    threads: int,
    left_out: Mapping[str, str],
    published: Published,
) -> dict[str, Any]:
    """The part of a case's record that comes from its training.

    `threads` are PyTorch's on a CPU; `left_out` says by name why "auto" did not take an engine.
    """
    return {
        "exercise": exercise,
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
        **{name: getattr(training, name).tolist() for name in _ARRAYS},
    }


def to_training(record: dict[str, Any]) -> Training:
    """The training that `record` holds."""
    return Training(
        experiment=Experiment(**record["experiment"]),
        engine=record["engine"],
        device=record["device"],
        seeds=tuple(record["seeds"]),
        steps=record["steps"],
        prepare_seconds=record["prepare_seconds"],
        outcomes=tuple(record["outcomes"]),
        **{name: np.array(record[name], dtype=float) for name in _ARRAYS},
    )


def is_valid_record(record: Any) -> bool:
    """Whether `record`, read from a file, has all that this version writes."""
    try:
        if "experiment" in record:
            to_case({**record, "resumed": True})
        return isinstance(record["run"], dict) and {"id", "exercise", "seeds", "device"} <= record.keys()
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def to_case(record: dict[str, Any]) -> dict[str, Any]:
    """The case as `summary.json` lists it: the record, with only the last value of each curve."""
    training = to_training(record)
    kept = (
        "id",
        "exercise",
        "experiment",
        "engine",
        "engines_left_out",
        "device",
        "threads",
        "resumed",
        "seeds",
        "seconds",
        "prepare_seconds",
        "steps",
    )
    return {
        **{key: record[key] for key in kept},
        "timing": record["run"]["timing"],
        "test_accuracy": training.test_accuracy[-1].tolist(),
        "train_accuracy": training.train_accuracy[-1].tolist(),
        "outcome": training.outcome,
        "time_to_accuracy": {f"{target:.2f}": training.time_to_accuracy(target) for target in TARGETS},
        "paper": record["paper"],
    }
