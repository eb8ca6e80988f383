"""A panel of results against a setting, with a line for each group of rows that differ only in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from ..series import COLOURS, Line
from .figure import (
    HEIGHT,
    PUBLISHED,
    Rows,
    Spec,
    colour_and_shape,
    layered,
    legend_toggle,
    log_axis,
    log_scale,
    spans_decades,
)
from .time_to_accuracy import percent

SPANS = {"5 points": 0.16, "1 point": 0.34}
"""How far below the best the accuracies of a span may be, and the opacity of its shading."""
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


def draw_panel(
    panel: Panel, quantity: str, looks: Sequence[Line], data: Mapping[str, Rows], axis: SettingAxis
) -> Spec:
    """Draws the panel; `looks` and `data` are those of all panels, which share scales and legend.

    A panel with spans has a single group, whose name is the panel's title.
    """
    alone = f"{panel.name}-spans" in data
    y_title, y_scale, y_axis = _vertical(quantity, panel.target, data)
    x, y = axis.encoding(), alt.Y(f"{quantity}:Q", title=y_title, scale=y_scale, axis=y_axis)
    colours, shapes = colour_and_shape(looks)
    legend = (
        None
        if alone
        else alt.Legend(title=None, orient="bottom", columns=3, symbolOpacity=1, symbolStrokeWidth=0)
    )
    colour = alt.Color("line:N", scale=colours, legend=legend)
    tooltip = _tooltip(panel.target)
    base = alt.Chart(alt.NamedData(panel.name))
    shown = legend_toggle(looks)
    if not alone:
        base = base.transform_filter(shown)
    valid = base.transform_filter(f"isValid(datum.{quantity})")
    dashed: dict[tuple[int, ...], list[str]] = {}
    for look in looks:
        dashed.setdefault(look.dash, []).append(look.label)
    layers = [
        *([_spans(panel.name, colours, axis)] if alone and quantity == "accuracy" else []),
        *(
            # A line breaks at a row without a value.
            base.transform_filter(alt.FieldOneOfPredicate(field="line", oneOf=labels))
            .mark_line(strokeWidth=1.8, strokeDash=list(dash), invalid="break-paths-show-path-domains")
            .encode(x, y, color=colour)
            for dash, labels in dashed.items()
        ),
        valid.transform_filter(f"isValid(datum.{quantity}_low)")
        .mark_rule(strokeWidth=2 if alone else 1.4, clip=True)
        .encode(
            x,
            alt.Y(f"{quantity}_low:Q", title=y_title, scale=y_scale, axis=y_axis),
            alt.Y2(f"{quantity}_high:Q"),
            color=colour,
        ),
        valid.mark_point(filled=True, size=60, opacity=1).encode(
            x, y, color=colour, shape=alt.Shape("line:N", scale=shapes, legend=legend), tooltip=tooltip
        ),
    ]
    if quantity == "accuracy" and any("published" in row for row in data[panel.name]):
        crosses = base.transform_filter("isValid(datum.published)").encode(
            x, alt.Y("published:Q", title=y_title, scale=y_scale), tooltip=tooltip
        )
        mark = crosses.mark_point(shape=PUBLISHED, size=70, strokeWidth=2.2, opacity=1)
        layers.append(mark.encode(color=alt.value(COLOURS[-1]) if alone else colour))
    if not alone and panel.name == next(iter(data)):
        layers[0] = layers[0].add_params(shown)
    return layered(*layers, height=HEIGHT if alone else HEIGHT + 50, title=panel.title)


def _vertical(
    quantity: str, target: str | None, data: Mapping[str, Rows]
) -> tuple[str, alt.Scale, alt.Axis]:
    """Returns the title, scale and axis; all panels have the same scale."""
    if quantity == "accuracy":
        return "final test accuracy (%)", alt.Scale(domain=[0, 100]), alt.Axis()
    title = {"error": "final test error (%)", "epochs": "epochs", "seconds": "training time (s)"}[
        quantity
    ]
    title += f" to {percent(target)}" if target and quantity != "error" else ""
    values = [row[quantity] for rows in data.values() for row in rows if row.get(quantity) is not None]
    if quantity == "error" or spans_decades(values):
        return title, log_scale(values), log_axis()
    scale = alt.Scale(domain=[0, 1.2 * max(values, default=1)], nice=False)
    return title, scale, alt.Axis(tickCount=6, tickMinStep=1 if quantity == "epochs" else 0)


def _tooltip(target: str | None) -> list[alt.Tooltip]:
    tooltip = [
        alt.Tooltip("row:N", title="row"),
        alt.Tooltip("accuracy:Q", title="accuracy (%)", format=".2f"),
        alt.Tooltip("published:Q", title="published (%)", format=".1f"),
    ]
    if target:
        to = percent(target)
        tooltip += [
            alt.Tooltip("epochs:Q", title=f"epochs to {to}", format=".3~g"),
            alt.Tooltip("seconds:Q", title=f"seconds to {to}", format=".3~s"),
        ]
    return tooltip


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
