"""Blocks of seeds that were trained apart, and the one training that they make together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model.experiment import Training

from ..files.record import MeasurementRecord, TrainingRecord


def cut_seeds(seeds: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """Returns the seeds in as few blocks as possible, of at most `most` seeds and about equal sizes."""
    count = -(-len(seeds) // most)
    return [tuple(seeds[at] for at in block) for block in np.array_split(range(len(seeds)), count)]


def join(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the record of a row from those of its blocks, in the order of their seeds.

    Its times are the sums over the blocks. Raises ValueError if the blocks were trained by different
    engines or with different numbers of steps.
    """
    first, *others = parts
    for name in ("engine", "steps"):
        for other in others:
            if other[name] != first[name]:
                raise ValueError(f"its blocks differ: {name} is {first[name]} and {other[name]}")
    times = [np.array(part["epoch_seconds"]) for part in parts]
    total = np.sum(times, axis=0)
    return {
        **first,
        "seeds": [seed for part in parts for seed in part["seeds"]],
        "outcomes": [each for part in parts for each in part["outcomes"]],
        "seconds": float(total[-1]),
        "epoch_seconds": total.tolist(),
        "prepare_seconds": sum(part["prepare_seconds"] for part in parts),
        "threads": max(part["threads"] for part in parts),
        **{name: _beside([part[name] for part in parts]) for name in _CURVES},
        "observed": {
            name: _beside([part["observed"][name] for part in parts]) for name in first["observed"]
        },
    }


def with_more_seeds(record: TrainingRecord, more: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of a record with seeds that were trained later, on the same engine.

    Its times remain those of the run's own seeds, to be comparable with other rows' and other runs'.
    """
    before = record.model_dump(mode="json")
    added = {"seeds": more["seeds"], "seconds": more["seconds"]}
    return {
        **join([before, more]),
        **{name: before[name] for name in ("seconds", "epoch_seconds", "prepare_seconds")},
        "added": [*before["added"], added],
    }


def with_more_results(record: MeasurementRecord, more: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of a measurement's record with the results of seeds measured later."""
    before = record.model_dump(mode="json")
    return {**before, **{name: [*before[name], *more[name]] for name in ("seeds", "measured")}}


def of_first_seeds(training: Training, count: int) -> Training:
    """Returns the results of a training's first seeds; times remain as they are."""
    return replace(
        training,
        seeds=training.seeds[:count],
        outcomes=training.outcomes[:count],
        observed={name: array[..., :count] for name, array in training.observed.items()},
        **{name: getattr(training, name)[..., :count] for name in _CURVES},
    )


# Arrays, or nested lists, of shape (..., seeds).
_CURVES = (
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "predictions",
    "distance_from_initialisation",
)


def _beside(lists: list[Any]) -> Any:
    """Returns nested lists of shape (..., seeds), joined along their last axis."""
    return np.concatenate([np.array(each) for each in lists], axis=-1).tolist()
