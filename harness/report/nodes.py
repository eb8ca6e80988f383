"""Which nodes of a cluster trained which rows, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..exercise import row_name
from ..files.record import Block
from ..files.summary import CaseSummary
from ..wording import counted, first_few

_MOST_NODES = 10
_MOST_ROWS = 20


def nodes_of(case: CaseSummary) -> list[str]:
    """Returns the names of the nodes that trained the row, each once; none without a cluster."""
    return [*dict.fromkeys(block.node for block in case.blocks)]


def counts_of_nodes(cases: Iterable[CaseSummary]) -> list[str]:
    """Returns lines that say how many rows each node trained, and which rows lost an attempt."""
    on: dict[str, int] = defaultdict(int)
    lost = []
    for case in cases:
        for node in nodes_of(case):
            on[node] += 1
        if nodes := [node for block in case.blocks for node in block.lost]:
            lost.append(f"{row_name(case.id)} ({', '.join(dict.fromkeys(nodes))})")
    if not on:
        return []
    listed = [f"{counted(count, 'row')} on {node}" for node, count in sorted(on.items())]
    lines = [f"Trained on a cluster: {first_few(listed, _MOST_NODES)}."]
    if lost:
        lines.append(
            "Trained again after a node or a process was lost: "
            f"{first_few(lost, _MOST_ROWS)}; the lost attempts count in no time."
        )
    return lines


def rows_of_nodes(cases: Iterable[CaseSummary]) -> list[str]:
    """Returns a line that says which rows each node trained; with several blocks, which seeds."""
    on: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        blocks: dict[str, list[Block]] = defaultdict(list)
        for block in case.blocks:
            blocks[block.node].append(block)
        for node, of_node in blocks.items():
            seeds = [seed for block in of_node for seed in block.seeds]
            which = "" if len(seeds) == len(case.seeds) else f" (seeds {', '.join(map(str, seeds))})"
            on[node].append(f"{row_name(case.id)}{which}")
    if not on:
        return []
    listed = [f"on {node}: {', '.join(rows)}" for node, rows in sorted(on.items())]
    return [f"Trained {first_few(listed, _MOST_NODES, '; ')}."]
