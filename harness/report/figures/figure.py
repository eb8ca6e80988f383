"""`Figure`, and the parts that several kinds of figure share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import altair as alt

from ..series import Line

HEIGHT = 250
FAINT = 0.15
"""The opacity of lines that are not among those of the parameter `shown`."""
_WIDTHS = {1: 620, 2: 360, 3: 240}

_CONFIG = {
    # A figure is described as a whole; its marks, axes and legends have neither labels nor roles.
    "aria": False,
    "mark": {"aria": False},
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

_LOOKS = ("color", "shape", "strokeDash")
_MOST_POWERS = 7  # of ten that are ticks of an axis
_DIGITS_UP_TO = 2.8  # powers of ten with ticks in between
INVISIBLE = "pointer"
"""The beginning of the names of layers that only react to the pointer; files have none of them."""

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
        title |= {"fontSize": 15, "offset": 14}
        return {**spec, "title": title, "datasets": self.data}


def _visible(spec: Spec) -> Spec:
    """Returns `spec` without its invisible layers, which only react to the pointer."""
    if "concat" in spec:
        return {**spec, "concat": [_visible(panel) for panel in spec["concat"]]}
    if "layer" in spec:
        return {**spec, "layer": [_visible(part) for part in spec["layer"] if not _is_invisible(part)]}
    return spec


def _is_invisible(layer: Spec) -> bool:
    return str(layer.get("name", "")).startswith(INVISIBLE)


def layered(*layers: alt.Chart, height: int | dict[str, int], title: str = "") -> Spec:
    """Layers charts on top of each other, as a panel for `side_by_side`.

    They are combined as plain Vega-Lite: whenever a chart is put into another, Altair copies and
    validates every part of it again, which takes longer than drawing it.
    """
    specs = [layer.to_dict(validate=False) for layer in layers]
    for spec in specs:
        del spec["config"], spec["$schema"]
        # Altair names data that a layer brings along, and only a whole chart may name data.
        if own := spec.pop("datasets", {}):
            spec["data"] = {"values": own[spec["data"]["name"]]}
    return {"layer": specs, "height": height, **({"title": title} if title else {})}


def side_by_side(panels: Sequence[Spec]) -> Spec:
    """Arranges panels in two columns, or three in a row; the page uses fewer columns if it is narrow."""
    columns = 3 if len(panels) == 3 else min(2, len(panels))
    _without_repeated_scales(panels)
    return {
        "$schema": alt.SCHEMA_URL,
        "config": _CONFIG,
        "concat": [{**panel, "width": _WIDTHS[columns]} for panel in panels],
        "columns": columns,
    }


def _without_repeated_scales(panels: Sequence[Spec]) -> None:
    """Leaves each scale in the first layer that has it, which applies to all: a page has many layers.

    The panels share their scales of looks; places have scales of their own in each panel.
    """
    looks: dict[str, Any] = {}
    for panel in panels:
        places: dict[str, Any] = {}
        for layer in panel["layer"]:
            for channel, encoding in layer["encoding"].items():
                first = looks if channel in _LOOKS else places
                if not isinstance(encoding, dict) or not {"scale", "field"} <= encoding.keys():
                    continue
                if channel not in first:
                    first[channel] = encoding["scale"]
                elif first[channel] == encoding["scale"]:
                    del encoding["scale"]
                    # The page adapts a legend's columns to the names in the scale.
                    if encoding.get("legend") is not None:
                        del encoding["legend"]


def colour_and_shape(lines: Sequence[Line]) -> tuple[alt.Scale, alt.Scale]:
    """Returns the colour scale and the shape scale of the field `line`."""
    labels = [line.label for line in lines]
    return (
        alt.Scale(domain=labels, range=[line.colour for line in lines]),
        alt.Scale(domain=labels, range=[line.shape for line in lines]),
    )


def dash_scale(lines: Sequence[Line]) -> alt.Scale:
    """Returns the dash scale of the field `line`.

    Its legend, if it has one, must be that of the colours, so that they are one; the outlines of shapes,
    which it would dash, have no width there.
    """
    return alt.Scale(domain=[line.label for line in lines], range=[[*line.dash] for line in lines])


def legend_toggle(lines: Sequence[Line]) -> alt.Parameter:
    """Returns the parameter `shown`; a click on a line's legend entry makes it faint, or clear again.

    Its value lists the lines that are not faint, so that a figure can emphasise a few of them.
    """
    return alt.selection_point(
        name="shown",
        fields=["line"],
        bind="legend",
        toggle="true",
        clear=False,
        empty=False,
        value=[{"line": line.label} for line in lines],
    )


def faint_unless(shown: alt.Parameter, opacity: float = 1) -> alt.OpacityValue:
    """Returns an opacity that is lower for lines that are not among those of `shown`."""
    return opacity_if(shown, opacity, round(FAINT * opacity, 3))


def opacity_if(parameter: alt.Parameter, opacity: float, otherwise: float) -> alt.OpacityValue:
    """Returns an opacity that depends on the parameter; if nothing is selected, it is `otherwise`.

    `alt.condition` and `alt.value` return plain dicts. Altair compares each of those with every schema
    that it may fit, which is a third of the time that it takes to draw a page.
    """
    return alt.OpacityValue(
        otherwise, condition={"param": parameter.name, "empty": False, "value": opacity}
    )


def json_number(value: float) -> float | None:
    """Returns the value for JSON: five significant digits, or None if it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def log_domain(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Returns the ends of a logarithmic axis of these values, or None if none of them is positive."""
    positive = [value for value in values if value is not None and value > 0]
    if not positive:
        return None
    low, high = min(positive), max(positive)
    return low * 0.9, max(high, low * 1.0001) * 1.1


def log_scale(values: Iterable[float | None]) -> alt.Scale:
    """Returns a logarithmic scale from the smallest positive value; zeros are drawn at its bottom."""
    if (domain := log_domain(values)) is None:
        return alt.Scale(type="symlog")
    return alt.Scale(type="log", domain=[*domain], clamp=True, nice=False)


def log_axis(values: Iterable[float | None] = (), **settings: Any) -> alt.Axis:
    """Returns an axis for a logarithmic scale of these values, with few enough ticks to be legible.

    The ticks are at 1, 2, 5, 10, 20, ..., or at powers of ten if the values span more than two of them.
    """
    if (domain := log_domain(values)) is None:
        return alt.Axis(tickCount=5, labelOverlap=True, **settings)
    first, last = (math.floor(math.log10(end)) for end in domain)
    decades = math.log10(domain[1] / domain[0])
    every = 1 + (last - first) // _MOST_POWERS
    powers = range(first - first % every, last + 1, every)
    digits = (1, 2, 5) if decades <= _DIGITS_UP_TO else (1,)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
    ticks = [tick for tick in ticks if domain[0] <= tick <= domain[1]]
    if len(ticks) < 2:
        return alt.Axis(tickCount=5, labelOverlap=True, **settings)
    return alt.Axis(values=ticks, labelOverlap=True, **({"format": ",~g"} | settings))


def spans_decades(values: Iterable[float | None]) -> bool:
    """Returns whether the values span too much for a linear axis, which would hide most of them."""
    positive = [value for value in values if value is not None and value > 0]
    return bool(positive) and max(positive) > 10 * min(positive)


def interval_note(seeds: int, what: str = "bands", *, least: int | None = None) -> str:
    """Returns a sentence, after a space, that says what the bands are; empty for one seed.

    `least` is the lowest number of seeds of a row, if not all have as many.
    """
    if seeds < 2:
        return ""
    counts = f"{seeds}" if least in (None, seeds) else f"{least} to {seeds}"
    return f" {what.capitalize()}: 95 % intervals over {counts} seeds."
