"""Rows that saved runs have and this run lacks: either missing, or left out on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..timing.session_rows import Absence
from ..wording import first_few
from .gate_result import Finding, GateResult

Why = Callable[[str], Absence]


def report_missing(result: GateResult, gate: str, rows: Mapping[str, str], why: Why) -> None:
    """Adds to `result` why this run lacks `rows`, each given with the name of a saved run that has it.

    A row that the session selected is a failure; a row that it left out is a note.
    """
    left_out: dict[tuple[str, str], list[str]] = {}
    for case, run in rows.items():
        absence = why(case)
        if absence.missing:
            text = f"missing: in {run} but not in this run, although it was selected: {absence.reason}"
            result.failures.append(Finding(gate, case, "missing", text))
        else:
            left_out.setdefault((run, absence.reason), []).append(case)
    for (run, reason), cases in left_out.items():
        result.notes.append(f"In {run} but not timed in this run ({reason}): {first_few(cases)}.")
