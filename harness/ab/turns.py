"""Trains a row on both sides alternately, under one lease, and times each turn.

A turn is a part of an epoch: about 50 ms of whole batches, or a single batch that takes longer. Both
sides train on the same examples in the same order, so their turns are compared in pairs. The sides
alternate in going first (ABBA), so that a steady drift of the machine cancels out.
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
_PASS_SECONDS = 0.4  # of a side's turns, if the row is not trained whole
_FEWEST = 2  # pairs of turns in a pass


@dataclass(frozen=True)
class SelectedRow:
    """A row that pytest selected, with its settings."""

    case: str
    """Its node id."""
    module: str
    """The name of the exercise's module."""
    name: str
    settings: Mapping[str, Any]


@dataclass
class Pass:
    """The measurements of a row by one pair of processes."""

    seeds: list[int]
    engines: tuple[str, str] = ("", "")
    """The base's and the head's engine."""
    turns: list[tuple[float, float]] = field(default_factory=list)
    """The base's and the head's seconds in each pair of turns, scaled to a whole epoch."""
    curves: tuple[list[list[float]], list[list[float]]] = field(default_factory=lambda: ([], []))
    """Their test accuracies after each epoch, (epochs, seeds); empty if it was not trained whole."""
    targets: tuple[float, ...] = ()
    """The target accuracies; the epochs to reach them are compared as well."""

    @property
    def ratio(self) -> float:
        """The logarithm of the ratio of the head's time to the base's: the median over the turns."""
        return float(np.median([math.log(head / base) for base, head in self.turns]))


def take_turns(row: SelectedRow, pair: Pair, seeds: list[int], *, whole: bool) -> Pass:
    """Trains the row on both sides, whole or for about a second each.

    Raises SideError if a side cannot train it, or if the sides' rows differ.
    """
    sides = pair.sides()
    base, head = (
        side.ask("prepare", module=row.module, row=row.name, settings=dict(row.settings))
        for side in sides
    )
    for name in ("examples", "batch_size", "epochs"):
        if base[name] != head[name]:
            raise SideError("base", f"{name} is {base[name]}, but {head[name]} in the head")
    for name, value in base["experiment"].items():
        if name in head["experiment"] and head["experiment"][name] != value:
            raise SideError("base", f"{name} is {value}, but {head['experiment'][name]} in the head")
    found = Pass(seeds, engines=(base["engine"], head["engine"]), targets=tuple(head["targets"]))
    with _leased(row.settings["device"], max(base["cores"], head["cores"])) as cores:
        for side, prepared in zip(sides, (base, head), strict=True):
            side.ask("build", cores=cores[: prepared["cores"]], seeds=seeds)
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
        # The very first turn is a warm-up; a short remainder of an epoch is too noisy.
        if done and (long_enough or part == examples) and 2 * part > size:
            found.turns.append((seconds[0] * examples / part, seconds[1] * examples / part))
            wanted = _FEWEST if whole else max(_FEWEST, int(_PASS_SECONDS * part / size / max(seconds)))
        done, number = done + part, number + 1
        if not long_enough and part < examples:
            # The very first turn may take long because it loads or compiles.
            long_enough = number > 1 and max(seconds) >= _TURN_SECONDS
            size = size if long_enough else min(2 * size, examples)
        if whole and done % examples == 0 and done <= row["epochs"] * examples:
            for side, curve in zip(sides, found.curves, strict=True):
                curve.append(side.ask("evaluate")["accuracy"])


@contextmanager
def _leased(device: str, cores: int) -> Iterator[list[int]]:
    """Leases the cores to train on, or the GPU; yields the cores, which are none on a GPU."""
    if device == "cpu":
        with hold_cores(cores) as held:
            yield held
    else:
        with lease_gpu([torch.device(device)]):
            yield []
