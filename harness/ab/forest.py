"""Draws the forest plot of a comparison: each row's ratio with its interval."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from ..exercise import row_name

_COLOURS = {"slower": "#d55e00", "faster": "#009e73", "same": "#0072b2", "inconclusive": "#808080"}


def draw_forest(rows: list[dict[str, Any]], title: str, percent: float) -> str:
    """Returns an SVG of the rows' ratios; dashed lines mark a change of `percent` either way."""
    names = [f"{index + 1}. {row_name(row['id'])}" for index, row in enumerate(rows)]
    data = [
        {"row": name, "ratio": row["ratio"], "low": row["interval"][0], "high": row["interval"][1]}
        | {"speed": row["speed"]}
        for name, row in zip(names, rows, strict=True)
    ]
    size = 1 + percent / 100
    base = alt.Chart(alt.InlineData(values=data)).encode(
        y=alt.Y("row:N", sort=names, title=None),
        color=alt.Color(
            "speed:N",
            title=None,
            scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
            legend=alt.Legend(orient="bottom"),
        ),
    )
    ratio = alt.Scale(type="log", zero=False, nice=False, padding=10)
    intervals = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=ratio, title="time ratio, head to base"), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=50, opacity=1).encode(x="ratio:Q")
    limits = (
        alt.Chart(alt.InlineData(values=[{"at": at} for at in (1 / size, 1, size)]))
        .mark_rule(strokeDash=[4, 3], color="#808080")
        .encode(x="at:Q")
    )
    # A browser's font may be wider than the one that the margin was computed for.
    margins = {"left": 40, "right": 10, "top": 5, "bottom": 5}
    chart = alt.layer(limits, intervals, points).properties(title=title, width=480, padding=margins)
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))
