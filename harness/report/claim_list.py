"""The claims of an exercise as the page lists them: their order, names, meanings and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..exercise import row_name, slug
from ..files.record import Decision
from ..files.summary import ExerciseSummary
from ..verdicts import (
    DOES_NOT_HOLD,
    HOLDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    Verdict,
)
from .figures import Figure
from .legend import shown_lines
from .series import Line

MEANINGS: dict[Verdict, str] = {
    REPRODUCED: "The measurement agrees with the claim.",
    NOT_REPRODUCED: "The measurement contradicts the claim: a finding, not a failure.",
    HOLDS: "The measurement agrees with the claim.",
    DOES_NOT_HOLD: "The measurement contradicts the claim: a finding, not a failure.",
    INCONCLUSIVE: "Too close to call, still changing, or times that cannot be compared.",
    NOT_TESTABLE: "It takes more epochs than this run trained.",
}

# What needs a reader's attention comes first.
_ORDER: tuple[Verdict, ...] = (
    NOT_REPRODUCED,
    DOES_NOT_HOLD,
    INCONCLUSIVE,
    NOT_TESTABLE,
    REPRODUCED,
    HOLDS,
)


def in_reading_order(claims: Iterable[Decision]) -> list[Decision]:
    """Returns the claims that did not come back first, and those that did last."""
    return sorted(claims, key=lambda claim: _ORDER.index(claim.verdict))


def anchor(claim: Decision) -> str:
    """Returns the claim's id on the page: its exercise and the name of its test."""
    module, _, test = claim.id.partition("::")
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{slug(module)}-{test}").strip("-")


def figure_of(claim: Decision, exercise: ExerciseSummary, figures: Iterable[Figure]) -> Figure | None:
    """Returns the figure that shows the claim; None if it names none, or one that was not drawn."""
    name = f"{slug(exercise.module)}-{claim.shown_in}"
    return next((figure for figure in figures if claim.shown_in and figure.name == name), None)


def first_figure(
    claims: Sequence[Decision], exercise: ExerciseSummary, figures: Sequence[Figure]
) -> Figure | None:
    """Returns the first figure that shows a claim; if there is none, the first figure."""
    shown = (figure_of(claim, exercise, figures) for claim in claims)
    return next(filter(None, shown), next(iter(figures), None))


def lines_shown(claim: Decision, lines: Iterable[Line], figure: Figure) -> list[str]:
    """Returns the figure's lines that are, or contain, the claim's rows; empty for no emphasis."""
    rows = {line.label for line in lines if row_name(line.case.id) in claim.rows}
    found = {
        row.get("line")
        for data in figure.data.values()
        for row in data
        if rows & {row.get("line"), row.get("row")}
    }
    every = shown_lines(figure)
    mine = [line for line in every if line in found]
    return mine if len(mine) < len(every) else []
