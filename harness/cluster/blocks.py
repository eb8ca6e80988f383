"""Blocks of seeds, which a cluster trains apart, and the one training that they make together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def cut_seeds(seeds: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """Returns the seeds in as few blocks as possible, of at most `most` seeds and about equal sizes."""
    count = -(-len(seeds) // most)
    return [tuple(int(seed) for seed in block) for block in np.array_split(list(seeds), count)]


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


# Lists of shape (..., seeds).
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
