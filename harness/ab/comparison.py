"""Runs passes over the rows, each with new pairs of processes, until every row is decided."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal

from model.environment import available_cores

from ..compare.learning import Change
from ..wording import counted
from .decision import LOOKS, RowDecision, decide_speeds, learning_changes
from .selection import Selection
from .side import Checkout, Pair, SideError
from .turns import Pass, SelectedRow, take_turns

ABOutcome = Literal["worse", "undecided", "held"]


@dataclass
class ABComparison:
    """The results for the rows so far."""

    percent: float
    points: float
    passes: dict[str, list[Pass]]
    errors: dict[str, SideError] = field(default_factory=dict)
    """Rows that a side could not train; they are not tried again."""
    speeds: dict[str, RowDecision] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    """How each row's learning changed."""

    def differs(self, case: str) -> bool:
        """Returns whether the row's learning curves differ, so that it needs more seeds."""
        return (
            bool(self.passes[case]) and self.passes[case][0].curves[0] != self.passes[case][0].curves[1]
        )

    def is_open(self, case: str) -> bool:
        """Returns whether another pass may change the decision on the row."""
        if case in self.errors:
            return False
        speed = self.speeds.get(case)
        return speed is None or speed.speed == "undecided" or self.differs(case)

    @property
    def outcome(self) -> ABOutcome:
        """The overall result, which decides the exit status."""
        errors = self.errors.values()
        if any(error.side == "head" and error.kind == "failed" for error in errors):
            return "worse"
        if any(each.speed == "slower" for each in self.speeds.values()):
            return "worse"
        if any(change.outcome == "fell" for change in self.changes.values()):
            return "worse"
        unclear = (
            any(error.kind != "lacks it" for error in errors)
            or any(each.speed == "undecided" for each in self.speeds.values())
            or any(change.outcome == "underpowered" for change in self.changes.values())
        )
        return "undecided" if unclear else "held"


def compare_checkouts(
    selection: Selection, base: Checkout, head: Checkout, *, percent: float, points: float
) -> ABComparison:
    """Compares the selected rows.

    Raises ValueError if no row can be compared, unless the head failed to train one.
    """
    found = ABComparison(percent, points, {row.case: [] for row in selection.rows})
    count = len(selection.settings.seeds)
    for number in range(LOOKS[-1]):
        rows = [row for row in selection.rows if found.is_open(row.case)]
        if not rows:
            break
        seeds = [number * count + seed for seed in selection.settings.seeds]
        _pass(found, rows, (base, head), seeds, f"pass {number + 1}, {counted(len(rows), 'row')}")
        if len(found.errors) == len(selection.rows) and found.outcome != "worse":
            raise ValueError(f"nothing can be compared: {_why_nothing(found)}")
        if number + 1 in LOOKS:
            ratios = {
                case: [each.ratio for each in of]
                for case, of in found.passes.items()
                if case not in found.errors
            }
            found.speeds = {**decide_speeds(ratios, percent), **_decided(found)}
    measured = {case: of for case, of in found.passes.items() if case not in found.errors}
    found.changes = learning_changes(measured, points)
    return found


def _why_nothing(found: ABComparison) -> str:
    """Returns why no row was compared: the first error, and how many more there are."""
    errors = [error for error in found.errors.values() if error.kind != "lacks it"]
    first = (errors or [*found.errors.values()])[0]
    alike = all(str(error) == str(first) for error in found.errors.values())
    others = len(found.errors) - 1
    more = "" if alike or not others else f" (and {others} more)"
    return f"{first}{more}"


def _decided(found: ABComparison) -> dict[str, RowDecision]:
    """Returns the decisions of earlier looks, which are final."""
    return {
        case: verdict
        for case, verdict in found.speeds.items()
        if verdict.speed != "undecided" and case not in found.errors
    }


def _pass(
    found: ABComparison,
    rows: Sequence[SelectedRow],
    checkouts: tuple[Checkout, Checkout],
    seeds: list[int],
    title: str,
) -> None:
    """Takes turns on the rows, with one row at a time on each core, or one in all on a GPU."""
    left: SimpleQueue[SelectedRow] = SimpleQueue()
    for row in rows:
        left.put(row)
    at_once = available_cores() if rows[0].settings["device"] == "cpu" else [0]
    pairs = [Pair(*checkouts) for _ in at_once[: len(rows)]]
    stopping, shown = threading.Event(), threading.Event()
    fatal: list[Exception] = []

    def work(pair: Pair) -> None:
        while not stopping.is_set():
            try:
                row = left.get_nowait()
            except Empty:
                return
            # If a row's learning curves are equal on both sides, it is trained whole only once.
            whole = not found.passes[row.case] or found.differs(row.case)
            try:
                found.passes[row.case].append(take_turns(row, pair, seeds, whole=whole))
            except Exception as error:
                if stopping.is_set():  # the error comes from ending the sides
                    return
                if not isinstance(error, SideError):  # such as a lease that cannot be taken
                    fatal.append(error)
                    stopping.set()
                    return
                found.errors[row.case] = error
                pair.close()
            shown.set()
            print(f"\r{title}, {left.qsize()} left ", end="", file=sys.stderr, flush=True)

    # Daemons, so that a thread that waits for a lease does not keep an interrupted session alive.
    threads = [threading.Thread(target=work, args=(pair,), daemon=True) for pair in pairs]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stopping.set()
        for pair in pairs:
            pair.close()
        if shown.is_set():
            print(file=sys.stderr)
    if fatal:
        raise fatal[0]
