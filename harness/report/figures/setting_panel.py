"""A panel of results against a setting, with a line for each group of rows that differ only in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ..series import COLOURS, Line
from .coincident import PALE, WIDE
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
    log_scale,
    spans_decades,
)
from .pointer import pointer_rule, value_of_line
from .published import by_cross
from .time_to_accuracy import percent

SPANS = {"5 points": 0.16, "1 point": 0.34}
"""How far below the best the accuracies of a span may be, and the opacity of its shading."""
FINAL = ("error", "accuracy")
"""The quantities of which there are values of single seeds, published values and spans."""
_MAX_TICKS = 12


@dataclass(frozen=True)
class SettingAxis:
    """The axis of the setting, logarithmic if the values span more than about a decade."""

    setting: str
    values: list[float]
    """Ascending."""

    @property
    def logarithmic(self) -> bool:
        return self.values[0] > 0 and spans_decades(self.values)

    @property
    def linear_up_to(self) -> float | None:
        """The value from which an axis that starts at 0 is logarithmic; None for other axes."""
        positive = [value for value in self.values if value > 0]
        return positive[0] if self.values[0] == 0 and spans_decades(positive) else None

    def around(self, low: float, high: float, share: float = 1 / 40) -> tuple[float, float]:
        """Returns the ends of a span of values, extended by a share of the axis on both sides."""
        first, last = self._position(self.values[0]), self._position(self.values[-1])
        margin = share * (last - first)
        ends = self._position(low) - margin, self._position(high) + margin
        return self._value_at(ends[0]), self._value_at(ends[1])

    def _position(self, value: float) -> float:
        """Returns the position of the value on the axis."""
        if (unit := self.linear_up_to) is not None:
            return math.copysign(math.log1p(abs(value) / unit), value)
        return math.log(value) if self.logarithmic else value

    def _value_at(self, position: float) -> float:
        """Returns the value at a position on the axis."""
        if (unit := self.linear_up_to) is not None:
            return math.copysign(unit * math.expm1(abs(position)), position)
        return math.exp(position) if self.logarithmic else position

    def encoding(self, field: str = "value") -> alt.X:
        domain = [*self.around(self.values[0], self.values[-1], share=1 / 20)]
        if self.logarithmic:
            scale = alt.Scale(type="log", domain=domain, nice=False)
        elif (unit := self.linear_up_to) is not None:
            scale = alt.Scale(type="symlog", constant=unit, domain=domain, nice=False)
        else:
            scale = alt.Scale(domain=domain, nice=False, zero=False)
        axis = alt.Axis(format="~g", labelOverlap="greedy", labelSeparation=4)
        if len(self.values) <= _MAX_TICKS:
            axis.values = self.values
        return alt.X(f"{field}:Q", title=self.setting, scale=scale, axis=axis)


@dataclass(frozen=True)
class Panel:
    """The properties that all variants of a panel share."""

    name: str
    """The name of its data; the data of its spans, if it has any, are called `NAME-spans`."""
    title: str
    target: str | None
    """The accuracy to which times are measured."""
    wide: Sequence[str] = ()
    """The labels of lines under others that nearly coincide with them."""
    gaps: Sequence[str] = ()
    """The labels of rows that no line joins."""


def draw_panel(
    panel: Panel,
    at: int,
    quantity: str,
    looks: Sequence[Line],
    data: Mapping[str, Rows],
    axis: SettingAxis,
    when: str,
) -> Spec:
    """Draws the panel; `looks` and `data` are those of all panels, which share scales and legend.

    A panel with spans has a single group, whose name is the panel's title. `at` is the panel's position
    among the others, and `when` says what published values are.
    """
    alone = f"{panel.name}-spans" in data
    vertical = _vertical(quantity, panel.target, data)
    x, y = axis.encoding(), alt.Y(f"{quantity}:Q", **vertical)
    colours, shapes = colour_and_shape(looks)
    legend = (
        None
        if alone
        else alt.Legend(title=None, orient="bottom", columns=3, symbolOpacity=1, symbolStrokeWidth=0)
    )
    colour = alt.Color("line:N", scale=colours, legend=legend)
    tooltip = _tooltip(quantity, panel.target, when if _is_published(data[panel.name]) else "")
    named = [alt.Tooltip("line:N", title="line"), alt.Tooltip("row:N", title="row"), *tooltip]
    base = alt.Chart(alt.NamedData(panel.name))
    of_gaps = f"indexof({json.dumps([*panel.gaps])}, datum.line) < 0"
    joined = base.transform_filter(of_gaps) if panel.gaps else base
    shown = legend_toggle(looks)
    opacity = alt.OpacityValue(1) if alone else faint_unless(shown)
    valid = base.transform_filter(f"isValid(datum.{quantity})")
    final = quantity in FINAL
    layers = [
        *([_spans(panel.name, colours, axis)] if alone and final else []),
        *(
            [
                base.transform_filter(alt.FieldOneOfPredicate(field="line", oneOf=[*panel.wide]))
                .mark_line(strokeWidth=WIDE)
                .encode(x, y, color=colour, opacity=faint_unless(shown, PALE))
            ]
            if panel.wide and final
            else []
        ),
        # A line breaks at a row without a value.
        joined.mark_line(strokeWidth=1.8, invalid="break-paths-show-path-domains").encode(
            x,
            y,
            color=colour,
            strokeDash=alt.StrokeDash("line:N", scale=dash_scale(looks), legend=legend),
            opacity=opacity,
        ),
        valid.transform_filter(f"isValid(datum.{quantity}_low)")
        .mark_rule(strokeWidth=2 if alone else 1.4, clip=True)
        .encode(
            x,
            alt.Y(f"{quantity}_low:Q", **vertical),
            alt.Y2(f"{quantity}_high:Q"),
            color=colour,
            opacity=opacity,
        ),
        _pointer(panel, at, quantity, axis, base, tooltip, looks, alone),
        valid.mark_point(filled=True, size=60).encode(
            x,
            y,
            color=colour,
            shape=alt.Shape("line:N", scale=shapes, legend=legend),
            tooltip=named,
            opacity=opacity,
        ),
    ]
    if final and f"{panel.name}-seeds" in data:
        seeds = alt.Chart(alt.NamedData(f"{panel.name}-seeds")).mark_circle(size=16, xOffset=6)
        layers.append(seeds.encode(x, y, color=colour, opacity=opacity))
    if final and _is_published(data[panel.name]):
        there = base.transform_filter(f"isValid(datum.published_{quantity})")
        for shape, labels in by_cross(looks).items():
            chosen = alt.FieldOneOfPredicate(field="line", oneOf=labels)
            layers.append(
                there.transform_filter(chosen)
                .mark_point(shape=shape, size=70, strokeWidth=2.2, filled=False)
                .encode(
                    x,
                    alt.Y(f"published_{quantity}:Q", **vertical),
                    color=alt.ColorValue(COLOURS[-1]) if alone else colour,
                    tooltip=named,
                    opacity=opacity,
                )
            )
    if not alone and at == 0:
        layers[0] = layers[0].add_params(shown)
    return layered(*layers, height=HEIGHT if alone else HEIGHT + 50, title=panel.title)


def _is_published(rows: Rows) -> bool:
    return any("published_error" in row for row in rows)


def _pointer(
    panel: Panel,
    at: int,
    quantity: str,
    axis: SettingAxis,
    base: alt.Chart,
    tooltip: Sequence[alt.Tooltip],
    looks: Sequence[Line],
    alone: bool,
) -> alt.Chart:
    """Returns the rule at the pointer: with all of a row's values, or with one of each group."""
    place = alt.Tooltip("value:Q", title=axis.setting)
    valid = base.transform_filter(f"isValid(datum.{quantity})")
    if alone:
        return pointer_rule(valid, axis.encoding(), [place, *tooltip], at)
    wide = valid.transform_pivot("line", groupby=["value"], value=quantity, op="mean")
    values = [value_of_line(look.label, ".3~g" if quantity == "seconds" else ".4~g") for look in looks]
    return pointer_rule(wide, axis.encoding(), [place, *values], at)


def _vertical(quantity: str, target: str | None, data: Mapping[str, Rows]) -> dict[str, Any]:
    """Returns the title, scale and axis; all panels have the same scale."""
    if quantity == "accuracy":
        title, scale, axis = "final test accuracy (%)", alt.Scale(domain=[0, 100]), alt.Axis()
        return {"title": title, "scale": scale, "axis": axis}
    title = {"error": "final test error (%)", "epochs": "epochs", "seconds": "training time (s)"}[
        quantity
    ]
    title += f" to {percent(target)}" if target and quantity != "error" else ""
    fields = (quantity, f"published_{quantity}")
    values = [row.get(field) for rows in data.values() for row in rows for field in fields]
    if quantity == "error" or spans_decades(values):
        return {"title": title, "scale": log_scale(values), "axis": log_axis(values)}
    highest = max((value for value in values if value is not None), default=1)
    scale = alt.Scale(domain=[0, 1.2 * highest], nice=False)
    axis = alt.Axis(tickCount=6, tickMinStep=1 if quantity == "epochs" else 0)
    return {"title": title, "scale": scale, "axis": axis}


def _tooltip(quantity: str, target: str | None, published: str) -> list[alt.Tooltip]:
    """Returns the values of a row that every row of such a panel has."""
    if quantity not in FINAL:
        to = percent(target) if target else "target"
        return [
            alt.Tooltip("epochs:Q", title=f"epochs to {to}", format=".3~g"),
            alt.Tooltip("seconds:Q", title=f"seconds to {to}", format=".3~g"),
        ]
    values = [
        alt.Tooltip("accuracy:Q", title="accuracy (%)", format=".2f"),
        alt.Tooltip("error:Q", title="error (%)", format=".2f"),
    ]
    if published:
        values.append(alt.Tooltip("published_accuracy:Q", title=f"{published} (%)", format=".1f"))
    return values


def _spans(name: str, colours: alt.Scale, axis: SettingAxis) -> alt.Chart:
    opacity = alt.Scale(domain=list(SPANS), range=list(SPANS.values()))
    chart: alt.Chart = (
        alt.Chart(alt.NamedData(f"{name}-spans"))
        .mark_rect(clip=True)
        .encode(
            axis.encoding("low"),
            alt.X2("high:Q"),
            color=alt.Color("line:N", scale=colours, legend=None),
            opacity=alt.Opacity("within:O", legend=None, scale=opacity),
            tooltip=[alt.Tooltip("within:O", title="within"), alt.Tooltip("span:N")],
        )
    )
    return chart
