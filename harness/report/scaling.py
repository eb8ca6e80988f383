"""How well a cluster was used, and how well a larger one would be, from the blocks of a run."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from ..files.record import Block
from ..files.summary import CaseSummary
from ..wording import counted, format_duration
from .nodes import nodes_of
from .tables import format_table

_WORKERS = (8, 64, 512)
_SEEDS = (10, 30, 100, 1000)


@dataclass(frozen=True)
class Use:
    """How a run used its cluster."""

    wall_seconds: float
    """From the connection to the end of the last block."""
    busy: float
    """The share of the cores' time in which blocks ran, from 0 to 1."""
    training: float
    """The share in which epochs ran; a block also starts, evaluates and returns its results."""


def use_of(blocks: Sequence[Block], cores: int) -> Use:
    """Returns how the blocks, each on one core, used a cluster of that many cores."""
    wall = max(block.begun_seconds + block.busy_seconds for block in blocks)
    available = wall * cores
    return Use(
        wall,
        sum(block.busy_seconds for block in blocks) / available,
        sum(block.seconds for block in blocks) / available,
    )


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Returns when the last of these tasks ends if each goes to the first free worker, longest first."""
    ends = [0.0] * workers
    for task in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + task)
    return max(ends)


def scaling(cases: Sequence[CaseSummary]) -> str:
    """Returns how the run used its cluster, and a table of simulated larger runs, as Markdown.

    Raises LookupError if its rows were not trained on a cluster, on one core for each seed.
    """
    blocks = [block for case in cases for block in case.blocks]
    if not blocks or any(len(block.seeds) > 1 for block in blocks):
        raise LookupError("needs rows that a cluster trained, one seed on a core")
    nodes = sorted({node for case in cases for node in nodes_of(case)})
    use = use_of(blocks, len(nodes))
    measured = (
        f"{counted(len(blocks), 'block')} on {counted(len(nodes), 'node')} of a core took "
        f"{format_duration(use.wall_seconds)} from the connection to the last result. The cores were "
        f"busy for {use.busy:.0%} of that time, and trained for {use.training:.0%}; the rest is "
        "evaluation and the start of processes."
    )
    one_seed = [sum(block.busy_seconds for block in case.blocks) / len(case.seeds) for case in cases]
    start = min(block.begun_seconds for block in blocks)
    rows = []
    for seeds in _SEEDS:
        tasks = one_seed * seeds
        walls = {workers: start + makespan(tasks, workers) for workers in _WORKERS}
        rows.append(
            [
                f"{seeds:,}",
                *(
                    f"{format_duration(wall)}, {sum(tasks) / wall / workers:.0%}"
                    for workers, wall in walls.items()
                ),
            ]
        )
    headers = ["seeds", *(f"{workers} cores" for workers in _WORKERS)]
    table = format_table(rows, headers, ["right"] * len(headers), "pipe")
    return f"{measured}\n\n{table}"
