"""A panel of learning curves: the error or the loss on a set, by epoch or by training time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ..series import Line
from .coincident import PALE, WIDE
from .curve_rows import QUANTITIES
from .end_labels import end_labels, height_at, label_positions
from .figure import (
    HEIGHT,
    Rows,
    Spec,
    colour_and_shape,
    dash_scale,
    faint_unless,
    layered,
    legend_toggle,
    log_axis,
    log_domain,
    log_scale,
)
from .pointer import pointer_rule, value_of_line
from .published import MARGIN, by_cross, margin_title

PANELS = {"test": "test set", "training": "training set"}
"""The titles of the panels, by set."""
_TITLES = {"error": "error (%)", "loss": "cross-entropy loss (nats)"}


@dataclass(frozen=True)
class Curves:
    """What all figures of an exercise's learning curves share."""

    name: str
    lines: list[Line]
    rows: Rows
    seeds: Rows
    published: Rows
    wide: list[str]
    """The labels of lines under others that nearly coincide with them."""

    def data(self) -> dict[str, Rows]:
        extra = {"seeds": self.seeds, "published": self.published}
        return {self.name: self.rows} | {
            f"{self.name}-{key}": rows for key, rows in extra.items() if rows
        }

    def published_by_time(self) -> tuple[Rows, Rows]:
        """Returns the published values with times on the axis of measured times, and the others."""
        measured = [row["seconds"] for row in self.rows if row["seconds"]]
        timed = [row for row in self.published if row["seconds"] is not None]
        ends = (min(measured), max(measured)) if measured else (0, 0)
        inside = [row for row in timed if ends[0] <= row["seconds"] <= ends[1]]
        return inside, [row for row in timed if row not in inside]


def curve_panel(curves: Curves, part: str, quantity: str, along: str, logarithmic: bool) -> Spec:
    """Draws a set's panel. Each has its own scale: training errors drop to 0, test errors do not."""
    field, panel = f"{part}_{quantity}", [*PANELS].index(part)
    marked = part == "test" and quantity == "error"
    published: Rows = []
    if marked:
        published = curves.published if along == "epoch" else curves.published_by_time()[0]
    values = [row.get(field) for row in (*curves.rows, *curves.seeds, *published)]
    domain = log_domain(values) if logarithmic else _linear_domain(values, QUANTITIES[quantity])
    scale = log_scale(values) if logarithmic else alt.Scale(domain=list(domain or (0, 1)), nice=False)
    axis = log_axis(values) if logarithmic else alt.Axis(tickCount=6)
    looks: dict[str, Any] = {"title": _TITLES[quantity], "scale": scale, "axis": axis}
    x, y = _along(curves, along), alt.Y(f"{field}:Q", **looks)
    colours, shapes = colour_and_shape(curves.lines)
    shown = legend_toggle(curves.lines)
    legend = alt.Legend(title=None, orient="bottom", columns=2, symbolOpacity=1, symbolStrokeWidth=0)
    colour = alt.Color("line:N", scale=colours, legend=legend)
    base = alt.Chart(alt.NamedData(curves.name))
    if along == "seconds":
        base = base.transform_filter("datum.seconds > 0")
    dash = alt.StrokeDash("line:N", scale=dash_scale(curves.lines), legend=legend)
    layers = []
    if any(f"{field}_low" in row for row in curves.rows):
        layers.append(
            base.transform_filter(f"isValid(datum.{field}_low)")
            .mark_area(clip=True)
            .encode(
                x,
                alt.Y(f"{field}_low:Q", **looks),
                alt.Y2(f"{field}_high:Q"),
                color=colour,
                opacity=faint_unless(shown, 0.2),
            )
        )
    if curves.wide:
        layers.append(
            base.transform_filter(alt.FieldOneOfPredicate(field="line", oneOf=curves.wide))
            .mark_line(strokeWidth=WIDE)
            .encode(x, y, color=colour, opacity=faint_unless(shown, PALE))
        )
    layers.append(
        base.mark_line(strokeWidth=1.8).encode(
            x, y, color=colour, strokeDash=dash, opacity=faint_unless(shown)
        )
    )
    layers.append(_pointer(curves, base, x, field, along, panel))
    layers.append(
        base.transform_filter("datum.mark")
        .mark_point(size=50, filled=True)
        .encode(
            x,
            y,
            color=colour,
            shape=alt.Shape("line:N", scale=shapes, legend=legend),
            opacity=faint_unless(shown),
            tooltip=_tooltip(field, quantity),
        )
    )
    if curves.seeds:
        layers.append(
            alt.Chart(alt.NamedData(f"{curves.name}-seeds"))
            .mark_circle(size=18)
            .encode(x, y, color=colour, opacity=faint_unless(shown, 0.8))
        )
    if published:
        layers += _crosses(curves, published, colour, x, looks, shown)
    in_margin = along == "epoch" and bool(published)
    if along == "epoch" and domain:
        places = _label_places(curves, field, domain, logarithmic)
        if places:
            layers.append(end_labels(places, shown, MARGIN + 9 if in_margin else 9, panel))
    if in_margin:
        layers.append(margin_title())
    if panel == 0:
        layers[0] = layers[0].add_params(shown)
    return layered(*layers, height=HEIGHT, title=PANELS[part])


def _linear_domain(values: Sequence[float | None], most: float) -> tuple[float, float]:
    highest = max((value for value in values if value is not None), default=1)
    return 0, min(most, 1.05 * highest or 1)


def _along(curves: Curves, along: str) -> alt.X:
    if along == "epoch":
        axis, scale = alt.Axis(tickMinStep=1, tickCount=6), alt.Scale(nice=False)
        return alt.X("epoch:Q", title="epoch", axis=axis, scale=scale)
    seconds = [row["seconds"] for row in curves.rows]
    title = "training time (s)"
    return alt.X("seconds:Q", title=title, scale=log_scale(seconds), axis=log_axis(seconds))


def _pointer(curves: Curves, base: alt.Chart, x: alt.X, field: str, along: str, panel: int) -> alt.Chart:
    format = ".2f" if field.endswith("error") else ".4~g"
    if along == "epoch":
        wide = base.transform_pivot("line", groupby=["epoch"], value=field, op="mean")
        tooltip = [alt.Tooltip("epoch:Q", title="epoch")]
        tooltip += [value_of_line(line.label, format) for line in curves.lines]
    else:
        wide = alt.Chart(alt.NamedData(f"{curves.name}-times"))
        tooltip = [alt.Tooltip("seconds:Q", title="after (s)", format=".3~g")]
        part = field.partition("_")[0]
        drawn = [line for line in curves.lines if line.curves]
        tooltip += [
            value_of_line(f"{part}_{index}", format, line.label) for index, line in enumerate(drawn)
        ]
    return pointer_rule(wide, x, tooltip, panel)


def _tooltip(field: str, quantity: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("line:N", title="line"),
        alt.Tooltip("row:N", title="row"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("seconds:Q", title="seconds", format=".3~g"),
        alt.Tooltip(f"{field}:Q", title=_TITLES[quantity], format=".4~g"),
    ]


def _crosses(
    curves: Curves,
    published: Rows,
    colour: alt.Color,
    x: alt.X,
    looks: Mapping[str, Any],
    shown: alt.Parameter,
) -> list[alt.Chart]:
    """Returns the published values: at their times, or at the right edge, after all epochs."""
    drawn = {row["line"] for row in published}
    chart = alt.Chart(alt.NamedData(f"{curves.name}-published"))
    at_edge = "epoch" in x.shorthand
    where: Mapping[str, Any] = (
        {"x": alt.XValue("width"), "xOffset": alt.XOffsetValue(MARGIN)} if at_edge else {"x": x}
    )
    # In the margin, a cross may be next to another line's name: a thin rule leads to it from its line.
    leads = [
        chart.mark_rule(strokeWidth=1, strokeDash=[2, 2], x2Offset=MARGIN).encode(
            x=alt.XValue("width"),
            x2=alt.X2Value("width"),
            y=alt.Y("measured_error:Q", **looks),
            y2=alt.Y2("test_error:Q"),
            color=colour,
            opacity=faint_unless(shown, 0.7),
        )
    ]
    return (leads if at_edge else []) + [
        chart.transform_filter(alt.FieldOneOfPredicate(field="line", oneOf=labels))
        .mark_point(shape=shape, size=60, strokeWidth=2.2, filled=False)
        .encode(
            **where,
            y=alt.Y("test_error:Q", **looks),
            color=colour,
            opacity=faint_unless(shown),
            tooltip=[
                alt.Tooltip("line:N", title="line"),
                alt.Tooltip("row:N", title="row"),
                alt.Tooltip("test_error:Q", title="error (%)", format=".1f"),
                alt.Tooltip("seconds:Q", title="seconds", format=","),
                alt.Tooltip("published:N", title="source"),
            ],
        )
        for shape, labels in by_cross([line for line in curves.lines if line.label in drawn]).items()
    ]


def _label_places(
    curves: Curves, field: str, domain: tuple[float, float], logarithmic: bool
) -> dict[str, float]:
    """Returns where the lines' names are, if there is room for them at the ends."""
    ends = {row["line"]: row[field] for row in curves.rows}  # the last of each line
    if None in ends.values() or len({line.case.experiment.epochs for line in curves.lines}) > 1:
        return {}
    heights = {
        label: height_at(value, domain, HEIGHT, logarithmic=logarithmic) for label, value in ends.items()
    }
    return label_positions(heights, HEIGHT)
