"""A vertical rule at the pointer, with the values of all lines at that place."""

from __future__ import annotations

import re
from collections.abc import Sequence

import altair as alt

from .figure import INVISIBLE, opacity_if


def pointer_rule(chart: alt.Chart, x: alt.X, tooltip: Sequence[alt.Tooltip], panel: int) -> alt.Chart:
    """Returns a layer with a rule for each row of the chart's data, visible if it is the nearest.

    The chart has a row for each place along `x`: one layer of a few rules is cheaper than a point for
    each value of each line.
    """
    hover = alt.selection_point(
        name=f"{INVISIBLE}_{panel}",
        nearest=True,
        encodings=["x"],
        on="pointermove",
        clear="pointerout",
        empty=False,
    )
    rule: alt.Chart = (
        chart.mark_rule(color="#808080", strokeWidth=1)
        .encode(x, opacity=opacity_if(hover, 1, 0), tooltip=[*tooltip])
        .add_params(hover)
        .properties(name=f"{INVISIBLE}_rule_{panel}")
    )
    return rule


def value_of_line(label: str, format: str, title: str = "") -> alt.Tooltip:
    """Returns a line's entry of the tooltip, for data with a field for each line."""
    field = re.sub(r"([\\.\[\]])", r"\\\1", label)
    return alt.Tooltip(field=field, type="quantitative", title=title or label, format=format)
