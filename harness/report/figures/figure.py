"""What every figure has, and the parts that several kinds share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import altair as alt

from ..lines import Line

PUBLISHED = "M-.7,-.7L.7,.7M.7,-.7L-.7,.7"  # an x, which no line has for its shape
PUBLISHED_NOTE = "×: as published."
HEIGHT = 250
_WIDTHS = {1: 620, 2: 360, 3: 240}

_CONFIG = {
    "view": {"stroke": None},
    "axis": {
        "gridOpacity": 0.5,
        "labelFontSize": 11,
        "labelLimit": 210,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "title": {"fontSize": 13, "fontWeight": "bold", "subtitleFontSize": 11},
    "legend": {"labelFontSize": 11, "labelLimit": 260, "symbolSize": 80, "columnPadding": 16},
}

Rows = list[dict[str, Any]]
Spec = dict[str, Any]
Panel = alt.LayerChart | alt.FacetChart


@dataclass(frozen=True)
class Figure:
    """A figure, and the other ways to look at it."""

    name: str
    """Its file's, without ending."""
    title: str
    notes: str
    variants: dict[str, Spec]
    """Vega-Lite by what the button for it says; the first is the one that is drawn as SVG."""
    data: dict[str, Rows] = field(repr=False)
    """The rows that its charts name."""

    def standalone(self) -> dict[str, Any]:
        """The first variant with data, title and notes, for a file of its own that nobody points at."""
        title: dict[str, Any] = {
            "text": self.title,
            "subtitle": wrap(self.notes, 110),
            "anchor": "start",
        }
        spec = _seen(next(iter(self.variants.values())))
        config = {**spec.get("config", {}), "aria": False}
        title |= {"fontSize": 15, "offset": 14}
        return {**spec, "config": config, "title": title, "datasets": self.data}


def _seen(spec: Spec) -> Spec:
    """`spec` without the layers that are there for the pointer alone, and not seen."""
    if "concat" in spec:
        return {**spec, "concat": [_seen(panel) for panel in spec["concat"]]}
    if "layer" in spec:
        return {**spec, "layer": [_seen(part) for part in spec["layer"] if not _unseen(part)]}
    return spec


def _unseen(layer: Spec) -> bool:
    return isinstance(layer.get("mark"), dict) and layer["mark"].get("opacity") == 0


def side_by_side(panels: Sequence[Panel]) -> Spec:
    """Panels in two columns, or all of three in a row; the page has fewer columns where it is narrow.

    They are put together as plain Vega-Lite: Altair copies every part of a chart whenever it is put
    into another, and checks it all again, which takes longer than drawing it.
    """
    columns = 3 if len(panels) == 3 else min(2, len(panels))
    specs = [panel.to_dict(validate=False) for panel in panels]
    parameters = [parameter for spec in specs for parameter in spec.pop("params", [])]
    for spec in specs:
        del spec["config"], spec["$schema"]
        spec["width"] = _WIDTHS[columns]
    return {
        "$schema": alt.SCHEMA_URL,
        "config": _CONFIG,
        "concat": specs,
        "columns": columns,
        "params": parameters,
    }


def colour_and_shape(lines: Sequence[Line]) -> tuple[alt.Scale, alt.Scale]:
    """The scales that give the field `line` its colour and shape."""
    labels = [line.label for line in lines]
    return (
        alt.Scale(domain=labels, range=[line.colour for line in lines]),
        alt.Scale(domain=labels, range=[line.shape for line in lines]),
    )


def legend_toggle(lines: Sequence[Line]) -> alt.Parameter:
    """The lines that are shown: a click on the legend takes one away, and brings it back."""
    return alt.selection_point(
        name="shown",
        fields=["line"],
        bind="legend",
        toggle="true",
        clear=False,
        empty=False,
        value=[{"line": line.label} for line in lines],
    )


def json_number(value: float) -> float | None:
    """For JSON: five digits, and None where it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def log_scale(values: Iterable[float | None]) -> alt.Scale:
    """A logarithmic scale down to the least positive value; what is 0 is drawn at its bottom."""
    positive = [value for value in values if value is not None and value > 0]
    if not positive:
        return alt.Scale(type="symlog")
    low, high = min(positive), max(positive)
    return alt.Scale(
        type="log", domain=[low * 0.9, max(high, low * 1.0001) * 1.1], clamp=True, nice=False
    )


def log_axis(**settings: Any) -> alt.Axis:
    """An axis for a logarithmic scale, with few enough ticks for its labels to be read."""
    return alt.Axis(tickCount=5, labelOverlap=True, **settings)


def spans_decades(values: Iterable[float | None]) -> bool:
    """Whether the values span so much that a linear axis would hide most of it."""
    positive = [value for value in values if value is not None and value > 0]
    return bool(positive) and max(positive) > 20 * min(positive)


def interval_note(seeds: int, what: str = "bands") -> str:
    """What the bands are, where there are any."""
    return f" {what.capitalize()}: 95 % intervals of {seeds} seeds." if seeds > 1 else ""
