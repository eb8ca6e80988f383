"""Both sides of a row train it in turns, under one lease, and each turn is timed.

A turn is a part of an epoch: about 50 ms of whole batches, or a single batch that takes longer. Both
sides train on the same examples in the same order, so their turns pair. Who begins alternates (ABBA), so
that a steady drift of the machine cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..hardware.lease import hold_cores, lease_gpu
from .side import Pair, Side, SideError

_TURN_SECONDS = 0.05
_PASS_SECONDS = 1.0  # of a side's turns, where the row is not trained whole
_FEWEST = 2  # turns of a pass


@dataclass(frozen=True)
class SelectedRow:
    """A row that pytest selected, and the options that it is trained with."""

    case: str
    """Its node id."""
    module: str
    """The exercise's module, to be imported."""
    name: str
    settings: Mapping[str, Any]


@dataclass
class Pass:
    """What one pair of processes measured of a row."""

    seeds: list[int]
    engines: tuple[str, str] = ("", "")
    """Base's and head's."""
    turns: list[tuple[float, float]] = field(default_factory=list)
    """Base's and head's seconds in each pair of turns, scaled to a whole epoch."""
    curves: tuple[list[list[float]], list[list[float]]] = field(default_factory=lambda: ([], []))
    """Their test accuracies after each epoch, (epochs, seeds); empty where it was not trained whole."""
    targets: tuple[float, ...] = ()
    """The test accuracies whose first epoch is compared as well."""

    @property
    def ratio(self) -> float:
        """The logarithm of the head's time over the base's: the median over the turns."""
        return float(np.median([math.log(head / base) for base, head in self.turns]))


def take_turns(row: SelectedRow, pair: Pair, seeds: list[int], *, whole: bool) -> Pass:
    """Trains the row on both sides, whole or for about a second each. Raises SideError."""
    sides = pair.sides()
    base, head = (
        side.ask("prepare", module=row.module, row=row.name, settings=dict(row.settings))
        for side in sides
    )
    for name in ("examples", "batch_size", "epochs"):
        if base[name] != head[name]:
            raise SideError("base", f"its row has {name} {base[name]}, the head's {head[name]}")
    for name, value in base["experiment"].items():
        if name in head["experiment"] and head["experiment"][name] != value:
            raise SideError("base", f"its row has {name} {value}, the head's {head['experiment'][name]}")
    found = Pass(seeds, engines=(base["engine"], head["engine"]), targets=tuple(head["targets"]))
    with _leased(row.settings["device"], max(base["cores"], head["cores"])) as cores:
        for side, said in zip(sides, (base, head), strict=True):
            side.ask("build", cores=cores[: said["cores"]], seeds=seeds)
        _train(sides, found, head, whole=whole)
    return found


def _train(sides: tuple[Side, Side], found: Pass, row: Mapping[str, int], *, whole: bool) -> None:
    examples, done = row["examples"], 0
    size = min(row["batch_size"], examples)
    number, long_enough, wanted = 0, False, _FEWEST
    while len(found.turns) < wanted or (whole and done < row["epochs"] * examples):
        part = min(size, examples - done % examples)
        seconds = [0.0, 0.0]
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            seconds[which] = sides[which].ask("turn", examples=part)["seconds"]
        # The very first turn warms up; a short rest of an epoch tells little.
        if done and (long_enough or part == examples) and 2 * part > size:
            found.turns.append((seconds[0] * examples / part, seconds[1] * examples / part))
            wanted = _FEWEST if whole else max(_FEWEST, int(_PASS_SECONDS * part / size / max(seconds)))
        done, number = done + part, number + 1
        if not long_enough and part < examples:
            # The very first turn may take long for what it loads.
            long_enough = number > 1 and max(seconds) >= _TURN_SECONDS
            size = size if long_enough else min(2 * size, examples)
        if whole and done % examples == 0 and done <= row["epochs"] * examples:
            for side, curve in zip(sides, found.curves, strict=True):
                curve.append(side.ask("evaluate")["accuracy"])


@contextmanager
def _leased(device: str, cores: int) -> Iterator[list[int]]:
    """The cores to train on; none on a GPU, which is leased in their place."""
    if device == "cpu":
        with hold_cores(cores) as held:
            yield held
    else:
        with lease_gpu([torch.device(device)]):
            yield []
