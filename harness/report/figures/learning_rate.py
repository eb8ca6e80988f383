"""Final accuracy against learning rate, and the rates that end near the best."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np

from ...exercise import slug
from ...files.summary import Exercise
from ...stats import mean_and_interval, span_around_best
from ..lines import COLOURS, Line, phrase, varying
from .figure import (
    HEIGHT,
    PUBLISHED,
    PUBLISHED_NOTE,
    Figure,
    Rows,
    Spec,
    interval_note,
    json_number,
    layered,
    side_by_side,
)

_SPANS = {"5 points": 0.16, "1 point": 0.34}  # and the opacity of their shading
_SPAN_MARGIN = 10**0.12  # factor by which a span is drawn beyond its outer rates


def figures(exercise: Exercise, lines: list[Line]) -> list[Figure]:
    """A panel for each group of rows that differ in rate alone; none unless a group has three rates."""
    groups = {name: group for name, group in _groups(lines).items() if len(group) > 1}
    if not any(len(group) > 2 for group in groups.values()):
        return []
    data: dict[str, Rows] = {}
    panels = []
    rates = [line.case.experiment.learning_rate for group in groups.values() for line in group]
    for index, (title, group) in enumerate(groups.items()):
        name = f"rates-{slug(exercise.module)}-{index}"
        data[name], data[f"{name}-spans"] = _points(group), _within(group)
        panels.append(_panel(name, title, COLOURS[index % len(COLOURS)], rates))
    seeds = max(len(line.case.seeds) for line in lines)
    published = any(line.case.paper.test_accuracy is not None for line in lines)
    return [
        Figure(
            name=f"{slug(exercise.module)}-learning-rate",
            of=exercise.title,
            title="Final accuracy against learning rate",
            notes="Shaded: the unbroken span of tried rates that end within 5 points of the best, and, "
            "darker, within 1."
            + (f" {PUBLISHED_NOTE}" if published else "")
            + interval_note(seeds, "bars"),
            variants={"all": side_by_side(panels)},
            data=data,
        )
    ]


def _groups(lines: list[Line]) -> dict[str, list[Line]]:
    """The lines that differ in learning rate alone, ascending, by their other settings."""
    settings = [
        name for name in varying([line.case.experiment for line in lines]) if name != "learning_rate"
    ]
    groups: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: line.case.experiment.learning_rate):
        groups.setdefault(phrase(line.case.experiment, settings), []).append(line)
    # Groups in the order of the exercise's rows, not of the rates.
    order = [phrase(line.case.experiment, settings) for line in lines]
    return dict(sorted(groups.items(), key=lambda item: order.index(item[0])))


def _panel(name: str, title: str, colour: str, rates: list[float]) -> Spec:
    x_scale = alt.Scale(type="log", domain=[min(rates) / 1.6, max(rates) * 1.6], nice=False)
    y_scale = alt.Scale(domain=[0, 100])
    axis = alt.Axis(values=sorted(set(rates)), format="~g")
    x = alt.X("rate:Q", title="learning rate", scale=x_scale, axis=axis)
    y = alt.Y("accuracy:Q", title="final test accuracy (%)", scale=y_scale)
    spans = (
        alt.Chart(alt.NamedData(f"{name}-spans"))
        .mark_rect(color=colour, clip=True)
        .encode(
            alt.X("low:Q", title="learning rate", scale=x_scale, axis=axis),
            alt.X2("high:Q"),
            opacity=alt.Opacity(
                "within:O",
                legend=None,
                scale=alt.Scale(domain=list(_SPANS), range=list(_SPANS.values())),
            ),
            tooltip=[alt.Tooltip("within:O", title="within"), alt.Tooltip("decades:Q", format=".1f")],
        )
    )
    base = alt.Chart(alt.NamedData(name))
    tooltip = [
        alt.Tooltip("line:N", title="row"),
        alt.Tooltip("accuracy:Q", title="accuracy (%)", format=".2f"),
        alt.Tooltip("published:Q", title="published (%)", format=".1f"),
    ]
    return layered(
        spans,
        base.mark_line(color=colour, strokeWidth=1.8).encode(x, y),
        base.mark_rule(color=colour, strokeWidth=2).encode(
            x,
            alt.Y("low:Q", title="final test accuracy (%)", scale=y_scale),
            alt.Y2("high:Q"),
        ),
        base.mark_point(color=colour, filled=True, size=60, opacity=1).encode(x, y, tooltip=tooltip),
        base.transform_filter("isValid(datum.published)")
        .mark_point(shape=PUBLISHED, size=70, strokeWidth=2.2, opacity=1, color="#808080")
        .encode(
            x, alt.Y("published:Q", title="final test accuracy (%)", scale=y_scale), tooltip=tooltip
        ),
        height=HEIGHT,
        title=title or "all rows",
    )


def _points(group: list[Line]) -> Rows:
    rows = []
    for line in group:
        middle, low, high = map(float, mean_and_interval(100 * np.asarray(line.case.test_accuracy)))
        published = line.case.paper.test_accuracy
        row: dict[str, Any] = {
            "line": line.label,
            "rate": line.case.experiment.learning_rate,
            "accuracy": json_number(middle),
            "low": json_number(max(low, 0)),
            "high": json_number(min(high, 100)),
        }
        if published is not None:
            row["published"] = json_number(100 * published)
        rows.append(row)
    return rows


def _within(group: list[Line]) -> Rows:
    """For each of `_SPANS`, the unbroken span of rates around the best mean accuracy."""
    rates = [line.case.experiment.learning_rate for line in group]
    means = [float(np.mean(line.case.test_accuracy)) for line in group]
    rows = []
    for within in _SPANS:
        low, high = span_around_best(means, int(within.split()[0]) / 100)
        rows.append(
            {
                "within": within,
                "low": json_number(rates[low] / _SPAN_MARGIN),
                "high": json_number(rates[high] * _SPAN_MARGIN),
                "decades": json_number(math.log10(rates[high] / rates[low])),
            }
        )
    return rows
