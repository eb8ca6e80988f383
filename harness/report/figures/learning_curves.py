"""Learning curves: error and loss by epoch, and error by training time."""

from __future__ import annotations

from ...exercise import slug
from ...files.summary import ExerciseSummary
from ..alike import representatives
from ..differences import uneven_note
from ..series import MOST, Line, restyled, unlike_engines
from .coincident import coincidence_note, coincident
from .curve_panel import PANELS, Curves, curve_panel
from .curve_rows import SETS, curve_rows, published_rows, seed_rows, time_rows, values_of
from .figure import Figure, interval_note, side_by_side, spans_decades
from .published import crosses_note


def learning_curve_figures(exercise: ExerciseSummary, lines: list[Line]) -> list[Figure]:
    """Returns figures of error and loss by epoch, and error by training time, on both sets.

    If there are more rows than can be distinguished, they show the rows that represent all.
    """
    few = representatives([line for line in lines if line.curves], MOST)
    if not few.lines:
        return []
    lines = restyled(few.lines, few.differing) if few.note else few.lines
    drawn = [(line, line.curves) for line in lines if line.curves]
    # Errors before training are alike if the initialisation is.
    pairs = coincident(
        {line.label: values_of(curves, "test", "error")[1:].mean(axis=-1) for line, curves in drawn}
    )
    curves = Curves(
        name=f"curves-{slug(exercise.module)}",
        lines=lines,
        rows=curve_rows(drawn),
        seeds=seed_rows(drawn),
        published=published_rows(exercise, lines),
        wide=[*dict.fromkeys(pair.first for pair in pairs)],
    )
    counts = [len(line.case.seeds) for line in lines]
    seeds = max(counts)
    by_time = f"{curves.name}-times"
    figures = []
    for key, quantity, along, title in (
        ("error", "error", "epoch", "Error by epoch"),
        ("seconds", "error", "seconds", "Error by training time"),
        ("loss", "loss", "epoch", "Loss by epoch"),
    ):
        data = curves.data() | ({by_time: time_rows(drawn)} if along == "seconds" else {})
        charts = {
            kind: side_by_side(
                [curve_panel(curves, part, quantity, along, kind == "logarithmic") for part in PANELS]
            )
            for kind in ("logarithmic", "linear")
        }
        values = [row[f"{part}_{quantity}"] for row in curves.rows for part in SETS]
        if not spans_decades(values):
            charts = dict(reversed(charts.items()))
        notes = {
            "error": ["Share of misclassified images in the test set and in the training set."],
            "seconds": [
                f"The same error; times are of training alone{', for all seeds together' * (seeds > 1)}."
                + f"{unlike_engines(lines)} {uneven_note(lines)}".rstrip()
            ],
            "loss": ["The loss that training minimises, on both sets."],
        }[key]
        if 0 in values:
            notes.append("On a logarithmic axis, 0 is drawn at the bottom.")
        if quantity == "error":
            notes += _on_published(exercise, curves, along)
        if along == "epoch":
            notes.append(coincidence_note(pairs))
        notes.append(few.note)
        if seeds > 1:
            notes.append("Small dots: the single seeds at the end.")
        figures.append(
            Figure(
                name=f"{slug(exercise.module)}-{key}",
                of=exercise.title,
                title=title,
                notes=" ".join(filter(None, notes)) + interval_note(seeds, least=min(counts)),
                variants=charts,
                data=data,
            )
        )
    return figures


def _on_published(exercise: ExerciseSummary, curves: Curves, along: str) -> list[str]:
    """Returns sentences on the published values, drawn or not."""
    by_label = {line.label: line for line in curves.lines}
    notes = []
    if along == "epoch":
        if exercise.figure:
            notes.append(f"Published: {exercise.figure}.")
        if curves.published:
            lines = [by_label[row["line"]] for row in curves.published]
            notes.append(crosses_note(exercise, lines, " at the edge"))
            notes.append("Dotted: from the last value to the published one.")
        return notes
    inside, outside = curves.published_by_time()
    if inside:
        notes.append(crosses_note(exercise, [by_label[row["line"]] for row in inside]))
    if outside:
        first, last = (f"{end([row['seconds'] for row in outside]):,.0f}" for end in (min, max))
        times = f"{first} s" if first == last else f"{first} to {last} s"
        if len(outside) == 1:
            notes.append(f"A published time, {times} on other hardware, lies outside the axis.")
        else:
            notes.append(f"Published times, {times} on other hardware, lie outside the axis.")
    return notes
