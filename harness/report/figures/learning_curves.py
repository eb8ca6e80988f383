"""Learning curves: error and loss by epoch, and error by training time."""

from __future__ import annotations

import altair as alt
import numpy as np
from numpy.typing import NDArray

from ...exercise import slug
from ...files.record import TrainingRecord
from ...files.summary import ExerciseSummary
from ...stats import mean_and_interval
from ..alike import representatives
from ..series import MOST, Line, restyled, unlike_engines
from .figure import (
    HEIGHT,
    PUBLISHED,
    PUBLISHED_NOTE,
    Figure,
    Rows,
    Spec,
    colour_and_shape,
    interval_note,
    json_number,
    layered,
    legend_toggle,
    log_axis,
    log_scale,
    side_by_side,
    spans_decades,
)

_SETS = ("test", "training")
_QUANTITIES = {"error": "error (%)", "loss": "cross-entropy loss (nats)"}
_MAX_POINTS = 9000  # for all lines of an exercise, in each set
_SHAPES_PER_LINE = 7


def learning_curve_figures(exercise: ExerciseSummary, lines: list[Line]) -> list[Figure]:
    """Returns figures of error and loss by epoch, and error by training time, on both sets.

    If there are more rows than can be distinguished, they show the rows that represent all.
    """
    few = representatives([line for line in lines if line.curves], MOST)
    if not few.lines:
        return []
    lines = restyled(few.lines, few.differing) if few.note else few.lines
    drawn = [(line, line.curves) for line in lines if line.curves]
    name = f"curves-{slug(exercise.module)}"
    rows = _rows(drawn)
    published = _published(lines)
    data = {name: rows, f"{name}-published": published}
    seeds = max(len(line.case.seeds) for line in lines)
    has_seconds = any(row["seconds"] for row in published)
    made = []
    for key, quantity, along, title in (
        ("error", "error", "epoch", "Error by epoch"),
        ("seconds", "error", "seconds", "Error by training time"),
        ("loss", "loss", "epoch", "Loss by epoch"),
    ):
        values = [row[quantity] for row in rows]
        marked = quantity == "error" and (along == "epoch" or has_seconds) and published
        crosses = published if marked else []
        charts = {
            kind: _chart(name, lines, rows, quantity, along, kind == "logarithmic", crosses)
            for kind in ("logarithmic", "linear")
        }
        if not spans_decades(values):
            charts = dict(reversed(charts.items()))
        notes = {
            "error": "Share of misclassified images in the test set and in the training set.",
            "seconds": "The same error; times are of training alone, for all seeds together."
            + unlike_engines(lines),
            "loss": "The loss that training minimises, on both sets.",
        }[key]
        if key == "error" and exercise.figure:
            notes += f" Published: {exercise.figure}."
        if 0 in values:
            notes += " On a logarithmic axis, 0 is drawn at the bottom."
        if marked:
            notes += f" {PUBLISHED_NOTE}"
        if few.note:
            notes += f" {few.note}"
        made.append(
            Figure(
                name=f"{slug(exercise.module)}-{key}",
                of=exercise.title,
                title=title,
                notes=notes + interval_note(seeds),
                variants=charts,
                data=data,
            )
        )
    return made


def _chart(
    name: str,
    lines: list[Line],
    rows: Rows,
    quantity: str,
    along: str,
    logarithmic: bool,
    published: Rows,
) -> Spec:
    colours, shapes = colour_and_shape(lines)
    shown = legend_toggle(lines)
    legend = alt.Legend(title=None, orient="bottom", columns=2, symbolOpacity=1, symbolStrokeWidth=0)
    colour = alt.Color("line:N", scale=colours, legend=legend)
    y_title = _QUANTITIES[quantity]
    if along == "epoch":
        x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False))
    else:
        # Both panels have the same domain, which includes published times.
        seconds = [row["seconds"] for row in (*rows, *published)]
        x = alt.X("seconds:Q", title="training time (s)", scale=log_scale(seconds), axis=log_axis())
    y_axis = log_axis() if logarithmic else alt.Axis()
    tooltip = [
        alt.Tooltip("line:N", title="row"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("seconds:Q", title="seconds", format=".3~s"),
        alt.Tooltip("error:Q", title="error (%)", format=".2f"),
        alt.Tooltip("loss:Q", title="loss", format=".4~g"),
    ]
    dashed: dict[tuple[int, ...], list[str]] = {}
    for line in lines:
        dashed.setdefault(line.dash, []).append(line.label)
    banded = {row["set"] for row in rows if row.get(f"{quantity}_low") is not None}
    panels: list[Spec] = []
    for index, part in enumerate(_SETS):
        # Each set has its own scale: training errors drop to 0, test errors do not.
        values = [row[quantity] for row in (*rows, *published) if row.get("set", "test") == part]
        scale = log_scale(values) if logarithmic else alt.Scale()
        y = alt.Y(f"{quantity}:Q", title=y_title, scale=scale, axis=y_axis)
        base = (
            alt.Chart(alt.NamedData(name))
            .transform_filter(alt.datum["set"] == part)
            .transform_filter(shown)
        )
        if along == "seconds":
            base = base.transform_filter("datum.seconds > 0")
        valid = base.transform_filter(f"isValid(datum.{quantity}_low)")
        band = valid.mark_area(opacity=0.2, aria=False).encode(
            x,
            alt.Y(f"{quantity}_low:Q", title=y_title, scale=scale, axis=y_axis),
            alt.Y2(f"{quantity}_high:Q"),
            color=colour,
        )
        layers = [
            *([band] if part in banded else []),
            # Each dash has its own layer; a scale of dashes would also dash the legend's shapes.
            *(
                base.transform_filter(alt.FieldOneOfPredicate(field="line", oneOf=labels))
                .mark_line(strokeWidth=1.8, strokeDash=list(dash))
                .encode(x, y, color=colour)
                for dash, labels in dashed.items()
            ),
            base.transform_filter("datum.mark")
            .mark_point(size=50, filled=True, opacity=1)
            .encode(x, y, color=colour, shape=alt.Shape("line:N", scale=shapes, legend=legend)),
            # Invisible points, large enough to hit, show tooltips.
            base.mark_point(size=120, opacity=0, filled=True).encode(x, y, tooltip=tooltip),
        ]
        if published and part == "test":
            layers.append(_crosses(name, colour, x, y, shown))
        if index == 0:
            layers[0] = layers[0].add_params(shown)
        panels.append(layered(*layers, height=HEIGHT, title=f"{part} set"))
    return side_by_side(panels)


def _crosses(name: str, colour: alt.Color, x: alt.X, y: alt.Y, shown: alt.Parameter) -> alt.Chart:
    chart = alt.Chart(alt.NamedData(f"{name}-published")).transform_filter(shown)
    crosses: alt.Chart = (
        chart.transform_filter("isValid(datum.seconds)" if x.shorthand == "seconds:Q" else "true")
        .mark_point(shape=PUBLISHED, size=70, strokeWidth=2.2, opacity=1)
        .encode(
            x,
            y,
            color=colour,
            tooltip=[
                alt.Tooltip("line:N", title="published"),
                alt.Tooltip("error:Q", title="error (%)", format=".1f"),
                alt.Tooltip("seconds:Q", title="seconds", format=","),
            ],
        )
    )
    return crosses


def _rows(lines: list[tuple[Line, TrainingRecord]]) -> Rows:
    """Returns a row for each line, set and epoch; long trainings are thinned out evenly."""
    most = max(20, min(300, _MAX_POINTS // len(lines)))
    rows = []
    for index, (line, curves) in enumerate(lines):
        last = curves.experiment.epochs
        chosen = np.unique(np.linspace(0, last, min(most, last + 1)).round().astype(int))
        # Shapes are staggered between lines, and each line ends with one.
        every = max(1, len(chosen) // _SHAPES_PER_LINE)
        marked = {*chosen[index % every :: every].tolist(), last}
        seconds = np.asarray(curves.epoch_seconds)[chosen]
        for part, key in zip(_SETS, ("test", "train"), strict=True):
            error = mean_and_interval(100 - 100 * np.asarray(getattr(curves, f"{key}_accuracy"))[chosen])
            loss = mean_and_interval(np.asarray(getattr(curves, f"{key}_loss"))[chosen])
            for at, epoch in enumerate(chosen.tolist()):
                rows.append(
                    {
                        "line": line.label,
                        "set": part,
                        "epoch": epoch,
                        "seconds": json_number(seconds[at]),
                        "mark": epoch in marked,
                        **_interval("error", error, at),
                        **_interval("loss", loss, at),
                    }
                )
    return rows


def _interval(name: str, values: tuple[NDArray[np.float64], ...], at: int) -> dict[str, float | None]:
    """Returns the mean and its interval at an epoch, or the mean alone if the interval has no width."""
    middle, low, high = (json_number(each[at]) for each in values)
    if low == high:
        return {name: middle}
    return {name: middle, f"{name}_low": max(low, 0) if low is not None else None, f"{name}_high": high}


def _published(lines: list[Line]) -> Rows:
    return [
        {
            "line": line.label,
            "epoch": line.case.experiment.epochs,
            "error": json_number(100 - 100 * line.case.paper.test_accuracy),
            "seconds": line.case.paper.seconds,
        }
        for line in lines
        if line.case.paper.test_accuracy is not None
    ]
