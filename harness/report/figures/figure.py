"""`Figure`, and the parts that several kinds of figure share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import altair as alt

from ..series import Line

PUBLISHED = "M-.7,-.7L.7,.7M.7,-.7L-.7,.7"  # an x, a shape that no line has
PUBLISHED_NOTE = "×: published value."
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


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its variants, such as linear and logarithmic."""

    title: str
    notes: str
    variants: dict[str, Spec]
    """Vega-Lite specs by the label of their button; the first is drawn as SVG."""
    data: dict[str, Rows] = field(repr=False)
    """The data sets that the specs name."""
    name: str = ""
    """The file name without its suffix. The name of an exercise's own figure is set by the exercise."""
    of: str = ""
    """The title of the figure's exercise; empty for figures of the whole run."""

    def standalone(self) -> dict[str, Any]:
        """Returns the first variant as a complete spec with data, title and notes, not interactive."""
        title: dict[str, Any] = {
            "text": ": ".join(filter(None, (self.of, self.title))),
            "subtitle": wrap(self.notes, 110),
            "anchor": "start",
        }
        spec = _visible(next(iter(self.variants.values())))
        config = {**spec.get("config", {}), "aria": False}
        title |= {"fontSize": 15, "offset": 14}
        return {**spec, "config": config, "title": title, "datasets": self.data}


def _visible(spec: Spec) -> Spec:
    """Returns `spec` without its invisible layers, which only react to the pointer."""
    if "concat" in spec:
        return {**spec, "concat": [_visible(panel) for panel in spec["concat"]]}
    if "layer" in spec:
        return {**spec, "layer": [_visible(part) for part in spec["layer"] if not _is_invisible(part)]}
    return spec


def _is_invisible(layer: Spec) -> bool:
    return isinstance(layer.get("mark"), dict) and layer["mark"].get("opacity") == 0


def layered(*layers: alt.Chart, height: int | dict[str, int], title: str = "") -> Spec:
    """Layers charts on top of each other, as a panel for `side_by_side`.

    They are combined as plain Vega-Lite: whenever a chart is put into another, Altair copies and
    validates every part of it again, which takes longer than drawing it.
    """
    specs = [layer.to_dict(validate=False) for layer in layers]
    for spec in specs:
        del spec["config"], spec["$schema"]
    return {"layer": specs, "height": height, **({"title": title} if title else {})}


def side_by_side(panels: Sequence[Spec]) -> Spec:
    """Arranges panels in two columns, or three in a row; the page uses fewer columns if it is narrow."""
    columns = 3 if len(panels) == 3 else min(2, len(panels))
    return {
        "$schema": alt.SCHEMA_URL,
        "config": _CONFIG,
        "concat": [{**panel, "width": _WIDTHS[columns]} for panel in panels],
        "columns": columns,
    }


def colour_and_shape(lines: Sequence[Line]) -> tuple[alt.Scale, alt.Scale]:
    """Returns the colour scale and the shape scale of the field `line`."""
    labels = [line.label for line in lines]
    return (
        alt.Scale(domain=labels, range=[line.colour for line in lines]),
        alt.Scale(domain=labels, range=[line.shape for line in lines]),
    )


def legend_toggle(lines: Sequence[Line]) -> alt.Parameter:
    """Returns the parameter that hides or shows a line when its legend entry is clicked."""
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
    """Returns the value for JSON: five significant digits, or None if it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def log_scale(values: Iterable[float | None]) -> alt.Scale:
    """Returns a logarithmic scale from the smallest positive value; zeros are drawn at its bottom."""
    positive = [value for value in values if value is not None and value > 0]
    if not positive:
        return alt.Scale(type="symlog")
    low, high = min(positive), max(positive)
    return alt.Scale(
        type="log", domain=[low * 0.9, max(high, low * 1.0001) * 1.1], clamp=True, nice=False
    )


def log_axis(**settings: Any) -> alt.Axis:
    """Returns an axis for a logarithmic scale, with few enough ticks to keep labels legible."""
    return alt.Axis(tickCount=5, labelOverlap=True, **settings)


def spans_decades(values: Iterable[float | None]) -> bool:
    """Returns whether the values span too much for a linear axis, which would hide most of them."""
    positive = [value for value in values if value is not None and value > 0]
    return bool(positive) and max(positive) > 20 * min(positive)


def interval_note(seeds: int, what: str = "bands") -> str:
    """Returns a sentence, after a space, that says what the bands are; empty for one seed."""
    return f" {what.capitalize()}: 95 % intervals over {seeds} seeds." if seeds > 1 else ""
