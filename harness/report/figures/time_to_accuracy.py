"""Time to accuracy: the time in which each row reaches the target accuracies."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from ...exercise import slug
from ...files.summary import ExerciseSummary
from ...stats import mean_and_interval
from ...wording import first_few
from ..differences import uneven_note
from ..series import COLOURS, SHAPES, Line, unlike_engines
from .figure import (
    Figure,
    Rows,
    Spec,
    interval_note,
    json_number,
    layered,
    log_axis,
    log_scale,
    side_by_side,
)

_MOST = 40  # rows in the figure
_NAMED = 12  # rows named in a sentence of the notes
# A long name has two lines, so that its end, which distinguishes it from others, is not cut off.
_CUT = "lastindexof(datum.label, ', ')"
_LABEL = (
    f"length(datum.label) > 34 && {_CUT} > 0 ? "
    f"[slice(datum.label, 0, {_CUT} + 1), slice(datum.label, {_CUT} + 2)] : datum.label"
)
_MEASURES = {"seconds": "training time (s)", "epochs": "epochs", "steps": "optimizer steps"}


def time_to_accuracy_figures(exercise: ExerciseSummary, lines: list[Line]) -> list[Figure]:
    """Returns one figure, in seconds, epochs or steps; none if fewer than two rows reach a target.

    If there are many rows, it shows those that reach the highest targets soonest.
    """
    reaching = [line for line in lines if any(_reached(line))]
    if len(reaching) < 2:
        return []
    shown = _soonest(reaching)
    rows, seed_rows = _rows(shown), _seed_rows(shown)
    name = f"times-{slug(exercise.module)}"
    counts = [len(line.case.seeds) for line in lines]
    labels = {line.label for line in reaching}
    never = [line.label for line in lines if line.label not in labels]
    targets = sorted({row["target"] for row in rows})
    notes = f"Time to the end of the first epoch with a test accuracy of at least {', '.join(targets)}."
    if never:
        firsts = {min(line.case.time_to_accuracy) for line in lines if line.case.time_to_accuracy}
        first = percent(min(firsts)) if len(firsts) == 1 else "any of these"
        notes += f" Never reached {first}: {first_few(never, _NAMED, '; ')}."
    if len(shown) < len(reaching):
        notes += (
            f" Showing {len(shown)} of the {len(reaching)} rows that reach a target: those with the "
            "highest target, then those with the shortest training time to it."
        )
    return [
        Figure(
            name=f"{slug(exercise.module)}-time-to-accuracy",
            of=exercise.title,
            title="Time to accuracy",
            notes=notes
            + (" Small dots: the single seeds." if seed_rows else "")
            + interval_note(max(counts), "bars", least=min(counts))
            + unlike_engines(lines)
            + f" {uneven_note(lines)}".rstrip(),
            variants={measure: _chart(name, rows, seed_rows, measure) for measure in _MEASURES},
            data={name: rows} | ({f"{name}-seeds": seed_rows} if seed_rows else {}),
        )
    ]


def _reached(line: Line) -> list[int]:
    """Returns the number of seeds that reach each target, the highest target first."""
    targets = sorted(line.case.time_to_accuracy.items(), reverse=True)
    return [sum(epoch is not None for epoch in reached.epochs) for _, reached in targets]


def _soonest(lines: list[Line]) -> list[Line]:
    """Returns at most `_MOST` of the rows, in their order."""

    def rank(line: Line) -> tuple[int, float]:
        """Returns the number of targets missed, and the seconds to the highest one reached."""
        missed = next(at for at, seeds in enumerate(_reached(line)) if seeds)
        _, reached = sorted(line.case.time_to_accuracy.items(), reverse=True)[missed]
        seconds = [each for each in reached.seconds if each is not None]
        return missed, sum(seconds) / len(seconds)

    kept = {line.label for line in sorted(lines, key=rank)[:_MOST]}
    return [line for line in lines if line.label in kept]


def _chart(name: str, rows: Rows, seeds: Rows, measure: str) -> Spec:
    lines = list(dict.fromkeys(row["line"] for row in rows))
    targets = sorted({row["target"] for row in rows})
    count = len(targets)
    colour = alt.Scale(domain=targets, range=[COLOURS[i % len(COLOURS)] for i in range(count)])
    shape = alt.Scale(domain=targets, range=[SHAPES[i % len(SHAPES)] for i in range(count)])
    legend = alt.Legend(title="test accuracy", orient="bottom", columns=3, symbolOpacity=1)
    values = [row[measure] for row in (*rows, *seeds)]
    scale, axis = log_scale(values), log_axis(values)
    base = alt.Chart(alt.NamedData(name)).transform_filter(f"datum.{measure} > 0")
    y = alt.Y("line:N", title=None, sort=lines, axis=alt.Axis(labelExpr=_LABEL))
    x = alt.X(f"{measure}:Q", title=_MEASURES[measure], scale=scale, axis=axis)
    path = base.mark_rule(strokeWidth=1, opacity=0.5).encode(
        alt.X(f"min({measure}):Q", title=_MEASURES[measure], scale=scale, axis=axis),
        alt.X2(f"max({measure}):Q"),
        y,
        color=alt.ColorValue("#808080"),
    )
    bars = (
        base.transform_filter(f"isValid(datum.{measure}_low)")
        .mark_rule(strokeWidth=5, opacity=0.3, clip=True)
        .encode(
            alt.X(f"{measure}_low:Q", title=_MEASURES[measure], scale=scale, axis=axis),
            alt.X2(f"{measure}_high:Q"),
            y,
            color=alt.Color("target:N", scale=colour, legend=legend),
        )
    )
    dots = (
        alt.Chart(alt.NamedData(f"{name}-seeds"))
        .mark_circle(size=16, opacity=0.9, yOffset=7)
        .encode(x, y, color=alt.Color("target:N", scale=colour, legend=legend))
    )
    points = base.mark_point(size=80, filled=True, opacity=1).encode(
        x,
        y,
        color=alt.Color("target:N", scale=colour, legend=legend),
        shape=alt.Shape("target:N", scale=shape, legend=legend),
        tooltip=[
            alt.Tooltip("line:N", title="line"),
            alt.Tooltip("row:N", title="row"),
            alt.Tooltip("target:N", title="test accuracy"),
            alt.Tooltip("seconds:Q", format=".3~g"),
            alt.Tooltip("epochs:Q", format=".3~g"),
            alt.Tooltip("steps:Q", format=","),
            alt.Tooltip("seeds:N", title="seeds that reach it"),
        ],
    )
    has_bars = any(f"{measure}_low" in row for row in rows)
    layers = [path, *([bars] if has_bars else []), points, *([dots] if seeds else [])]
    return side_by_side([layered(*layers, height={"step": 26})])


def _rows(lines: list[Line]) -> Rows:
    """Returns the means over the seeds that reach each target, for each line."""
    rows = []
    for line in lines:
        for target, reached in line.case.time_to_accuracy.items():
            row: dict[str, Any] = {"line": line.label, "row": line.name, "target": percent(target)}
            for measure in _MEASURES:
                values = [value for value in getattr(reached, measure) if value is not None]
                if not values:
                    break
                row["seeds"] = f"{len(values)} of {len(line.case.seeds)}"
                middle, low, high = map(float, mean_and_interval(np.array(values, dtype=float)))
                row[measure] = json_number(middle)
                if low < high:
                    # A logarithmic axis has no 0: an interval that reaches it ends at the axis.
                    row |= {
                        f"{measure}_low": json_number(max(low, middle / 1e3)),
                        f"{measure}_high": json_number(high),
                    }
            else:
                rows.append(row)
    return rows


def _seed_rows(lines: list[Line]) -> Rows:
    """Returns each seed's times to each target that it reaches, of rows with several seeds."""
    return [
        {
            "line": line.label,
            "row": line.name,
            "target": percent(target),
            "seed": seed,
            **{measure: json_number(getattr(reached, measure)[at]) for measure in _MEASURES},
        }
        for line in lines
        if len(line.case.seeds) > 1
        for target, reached in line.case.time_to_accuracy.items()
        for at, seed in enumerate(line.case.seeds)
        if reached.epochs[at] is not None
    ]


def percent(target: str) -> str:
    """Formats an accuracy for figures, like "97 %"."""
    return f"{float(target):.0%}".replace("%", " %")
