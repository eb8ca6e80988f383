"""An exercise as its part of the page shows it: its claims, its table and its figures in order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from ..exercise import row_name, short_name, slug
from ..files.record import Decision
from ..files.summary import CaseSummary, ExerciseSummary
from ..results.evenness import UNEVEN_SIGN
from .claim_list import anchor, figure_of, first_figure, in_reading_order, lines_shown
from .differences import (
    format_points,
    is_uneven,
    likely_reason,
    points_from_published,
    uneven_note,
)
from .figures import Figure
from .figures.time_to_accuracy import percent
from .headline import headline
from .load import Run
from .nodes import rows_of_nodes
from .series import Line, lines_of, unlike_engines
from .tables import NONE, RESUMED_NOTE, cells_of, format_seconds


def exercise_on_page(run: Run, exercise: ExerciseSummary, figures: Sequence[Figure]) -> dict[str, Any]:
    """Returns what the page's template needs to show the exercise."""
    lines = lines_of(run, exercise)
    decided = [run.claims[claim] for claim in exercise.claims if claim in run.claims]
    claims = in_reading_order(decided)
    first = first_figure(decided, exercise, figures)
    rows = [_row(line, exercise) for line in lines]
    engines = {(row["engine"], row["device"]) for row in rows}
    story = exercise.story or headline(lines)
    return {
        "about": exercise,
        "slug": slug(exercise.module),
        "story": story,
        "in_short": re.split(r"(?<=\.) (?=[A-Z])", story)[0],
        "claims": [_claim(claim, exercise, lines, figures) for claim in claims],
        "counts": Counter(claim.verdict for claim in claims),
        "rows": rows,
        "published": any(row["points"] is not None for row in rows),
        "several_seeds": any(len(line.case.seeds) > 1 for line in lines),
        "published_seconds": any(line.case.paper.seconds is not None for line in lines),
        "reasons": any(row["reason"] for row in rows),
        "named": any(row["label"] != row["name"] for row in rows),
        "target": _first_target(lines),
        "engine": " on ".join(*engines) if len(engines) == 1 else "",
        "notes": list(
            filter(
                None,
                (
                    uneven_note(lines),
                    unlike_engines(lines).strip(),
                    RESUMED_NOTE if any(line.case.resumed for line in lines) else "",
                    *rows_of_nodes([line.case for line in lines]),
                    _trained_alike([line.case for line in lines], run.cases.values()),
                ),
            )
        ),
        "missing": [row_name(case) for case in exercise.cases if case not in run.cases],
        "first_figure": first,
        "other_figures": [figure for figure in figures if figure is not first],
    }


def _trained_alike(cases: Collection[CaseSummary], every: Collection[CaseSummary]) -> str:
    """Returns a sentence that names the rows which other exercises have, too, with equal results."""
    of_results: dict[Any, list[str]] = {}
    for case in every:
        of_results.setdefault(_results(case), []).append(case.id)
    seconds = {case.id: format_seconds(case.seconds) for case in every}
    pairs = [
        f"{row_name(case.id)} in {seconds[case.id]} s ("
        + ", ".join(f"{short_name(each)} in {seconds[each]} s" for each in others)
        + ")"
        for case in cases
        if (others := [each for each in of_results[_results(case)] if each != case.id])
    ]
    named = ", ".join(pairs)
    return f"The same experiment as in another table, with the same accuracies: {named}." * bool(pairs)


def _results(case: CaseSummary) -> tuple[Any, ...]:
    return (case.experiment, *case.seeds, *case.test_accuracy, *case.train_accuracy)


def _claim(
    claim: Decision, exercise: ExerciseSummary, lines: list[Line], figures: Sequence[Figure]
) -> dict[str, Any]:
    figure = figure_of(claim, exercise, figures)
    return {
        "about": claim,
        "anchor": anchor(claim),
        "test": claim.id.rpartition("::")[2],
        "unused": [name for name in map(row_name, exercise.cases) if name not in claim.rows],
        "figure": figure,
        "lines": lines_shown(claim, lines, figure) if figure else [],
    }


def _first_target(lines: list[Line]) -> str:
    """Returns the first target accuracy, like "90 %", or "learn" if rows differ in it."""
    first = {min(line.case.time_to_accuracy) for line in lines if line.case.time_to_accuracy}
    return percent(min(first)) if len(first) == 1 else "learn"


def _row(line: Line, exercise: ExerciseSummary) -> dict[str, Any]:
    """Returns the formatted cells of a row, with its label and its mean epochs to the first target."""
    case = line.case
    cells = cells_of(case)._asdict()
    first = min(case.time_to_accuracy, default=None)
    epochs = (
        [epoch for epoch in case.time_to_accuracy[first].epochs if epoch is not None] if first else []
    )
    points = points_from_published(case)
    return {
        **cells,
        "label": line.label,
        "seconds": cells["seconds"] + (f" {UNEVEN_SIGN}" if is_uneven(case) else ""),
        "points": points,
        "difference": NONE if points is None else format_points(points),
        "reason": likely_reason(case, exercise),
        "epochs": f"{sum(epochs) / len(epochs):.3g}" if len(epochs) == len(case.seeds) else NONE,
    }
