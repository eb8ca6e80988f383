"""Published values as marks: crosses, so that no measured value looks like one."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from ...files.summary import ExerciseSummary
from ...wording import counted
from ..series import HOLLOW, Line

TIMES_SIGN = "M-.7,-.7L.7,.7M.7,-.7L-.7,.7"
PLUS_SIGN = "M-.95,0L.95,0M0,-.95L0,.95"
MARGIN = 12
"""Pixels from the right edge of a panel to the published values in its margin."""


def when_published(exercise: ExerciseSummary) -> str:
    """Returns "published", with the number of epochs if the run has fewer or more of them."""
    if exercise.full_epochs in (None, exercise.epochs):
        return "published"
    return f"published, after {counted(exercise.full_epochs, 'epoch')}"


def cross(line: Line) -> str:
    """Returns the shape of a line's published value; lines of one colour have different ones."""
    return PLUS_SIGN if line.shape in HOLLOW else TIMES_SIGN


def crosses_note(exercise: ExerciseSummary, lines: Sequence[Line], where: str = "") -> str:
    """Returns a sentence on the crosses of these lines; `where` adds their place."""
    when = when_published(exercise)
    if len({cross(line) for line in lines}) == 1:
        return f"{'+' if cross(lines[0]) == PLUS_SIGN else '×'}{where}: {when}."
    return f"× (filled shapes) and + (hollow ones){where}: {when}."


def by_cross(lines: Sequence[Line]) -> dict[str, list[str]]:
    """Returns the labels of the lines by the shapes of their published values.

    Each shape needs its own layer: a scale of shapes would be that of the measured values, too.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(cross(line), []).append(line.label)
    return found


def margin_title() -> alt.Chart:
    """Returns a small title of the right margin, below the numbers of the axis."""
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(text="published", fontSize=10, align="center", baseline="top", dx=MARGIN, dy=21)
        .encode(x=alt.XValue("width"), y=alt.YValue("height"))
    )
    return chart
