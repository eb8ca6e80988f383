"""Runs passes over the rows, each with new pairs of processes, until every row is decided."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal

from model.environment import available_cores

from ..compare.learning import Change
from .decision import LOOKS, RowDecision, alarm_level, decide_learning, decide_speeds
from .progress import PassProgress, summary_of
from .selection import Selection
from .side import Checkout, Pair, SideError
from .turns import Pass, SelectedRow, take_turns

_FUTILE = 2  # as many times as all passes' seeds: a row that needs more is not trained for its learning

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
        return speed is None or speed.speed == "undecided" or self._learning_is_open(case)

    def trains_whole(self, case: str) -> bool:
        """Returns whether the next pass trains the row to its end, because its learning is open."""
        return not self.passes[case] or self._learning_is_open(case)

    def _learning_is_open(self, case: str) -> bool:
        if not self.differs(case):
            return False
        change = self.changes.get(case)
        if change is None:
            return True
        affordable = _FUTILE * LOOKS[-1] * len(self.passes[case][0].seeds)
        return change.outcome == "underpowered" and (change.seeds_needed or math.inf) <= affordable

    def decide(self, number: int) -> None:
        """Decides the rows that are open, after so many passes. Earlier decisions are final."""
        measured = {case: of for case, of in self.passes.items() if case not in self.errors}
        speeds = decide_speeds(
            {case: [each.ratio for each in of] for case, of in measured.items()}, self.percent, number
        )
        for case, decision in speeds.items():
            if case not in self.speeds or self.speeds[case].speed == "undecided":
                self.speeds[case] = decision
        if not alarm_level(number):
            return
        for case, change in decide_learning(measured, self.points, number).items():
            if case not in self.changes or self.changes[case].outcome == "underpowered":
                self.changes[case] = change

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
    for number in range(1, LOOKS[-1] + 1):
        rows = [row for row in selection.rows if found.is_open(row.case)]
        if not rows:
            break
        seeds = [(number - 1) * count + seed for seed in selection.settings.seeds]
        _pass(found, rows, (base, head), seeds, PassProgress(number, len(rows)))
        if len(found.errors) == len(selection.rows) and found.outcome != "worse":
            raise ValueError(f"nothing can be compared: {_why_nothing(found)}")
        if number in LOOKS:
            found.decide(number)
            left = [row.name for row in rows if found.is_open(row.case)]
            print(summary_of(number, len(rows), left), file=sys.stderr)
    measured = {case: of for case, of in found.passes.items() if case not in found.errors}
    for case, change in decide_learning(measured, points, LOOKS[-1]).items():
        found.changes.setdefault(case, change)  # of rows that were decided before learning was looked at
    return found


def _why_nothing(found: ABComparison) -> str:
    """Returns why no row was compared: the first error, and how many more there are."""
    errors = [error for error in found.errors.values() if error.kind != "lacks it"]
    first = (errors or [*found.errors.values()])[0]
    alike = all(str(error) == str(first) for error in found.errors.values())
    others = len(found.errors) - 1
    more = "" if alike or not others else f" (and {others} more)"
    return f"{first}{more}"


def _pass(
    found: ABComparison,
    rows: Sequence[SelectedRow],
    checkouts: tuple[Checkout, Checkout],
    seeds: list[int],
    progress: PassProgress,
) -> None:
    """Takes turns on the rows, with one row at a time on each core, or one in all on a GPU."""
    left: SimpleQueue[SelectedRow] = SimpleQueue()
    for row in rows:
        left.put(row)
    at_once = available_cores() if rows[0].settings["device"] == "cpu" else [0]
    pairs = [Pair(*checkouts) for _ in at_once[: len(rows)]]
    stopping = threading.Event()
    fatal: list[Exception] = []

    def work(pair: Pair) -> None:
        while not stopping.is_set():
            try:
                row = left.get_nowait()
            except Empty:
                return
            whole = found.trains_whole(row.case)
            progress.begin(row.name)
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
            progress.finish(row.name)

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
        progress.close()
    if fatal:
        raise fatal[0]
