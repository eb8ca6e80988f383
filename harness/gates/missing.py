"""Rows that saved runs have and this one has not: gone, or left out by whoever started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..timing.session_rows import Absence
from ..wording import first_few
from .gate_result import Finding, GateResult

Why = Callable[[str], Absence]


def report_missing(result: GateResult, gate: str, rows: Mapping[str, str], why: Why) -> None:
    """Adds to `result` what became of `rows`, each with the name of the saved run that has it.

    A row that the session selected is a failure; one that it left out is a note.
    """
    left_out: dict[tuple[str, str], list[str]] = {}
    for case, run in rows.items():
        absence = why(case)
        if absence.missing:
            text = f"missing: {run} has this row, and this run does not: {absence.reason}"
            result.failures.append(Finding(gate, case, "missing", text))
        else:
            left_out.setdefault((run, absence.reason), []).append(case)
    for (run, reason), cases in left_out.items():
        result.notes.append(f"In {run} but not timed now ({reason}): {first_few(cases)}.")
