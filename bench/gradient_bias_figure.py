"""The figure of the gradient bias: how far the mean of the next gradients is from the full gradient."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from harness.exercise import Results
from harness.report.figures.figure import (
    HEIGHT,
    Figure,
    Rows,
    Spec,
    interval_note,
    json_number,
    layered,
    log_axis,
    log_scale,
    side_by_side,
)
from harness.report.figures.pointer import pointer_rule, value_of_line
from harness.report.series import COLOURS
from harness.stats import mean_and_interval

_ORDERS = {"by_class": "sorted by class", "shuffled": "shuffled"}
_QUANTITIES = {
    "relative error": "relative distance from the full gradient",
    "cosine": "cosine to the full gradient",
}
_POSSIBLE = {"relative_error": (0, np.inf), "cosine": (-1, 1)}
_UNBIASED = "unbiased: 1/√k"


def draw_gradient_bias(results: Results) -> Figure | None:
    """Draws a panel for each checkpoint, with a line for each order."""
    seeds = results.measurements.get("gradient-bias", [])
    if not seeds:
        return None
    checkpoints = seeds[0]["by_class"]["checkpoints"]
    data = {f"bias-{results.slug}-{index}": _rows(seeds, index) for index in range(len(checkpoints))}
    return Figure(
        title="How far the mean of the next gradients is from the full gradient",
        notes="At fixed weights, over the next k single-example gradients in each order. "
        f"If they are unbiased, the error decreases as 1/√k (dotted). "
        "Distances of 0, of the mean over all examples, are "
        f"left out.{interval_note(len(seeds))}",
        variants={
            quantity: side_by_side(
                [
                    _panel(name, at, quantity, rows, f"after {checkpoint:g} epochs")
                    for at, ((name, rows), checkpoint) in enumerate(
                        zip(data.items(), checkpoints, strict=True)
                    )
                ]
            )
            for quantity in _QUANTITIES
        },
        data=data,
    )


def _panel(name: str, at: int, quantity: str, rows: Rows, title: str) -> Spec:
    key = quantity.replace(" ", "_")
    names = [*_ORDERS.values(), _UNBIASED]
    colour = alt.Scale(domain=names, range=[COLOURS[1], COLOURS[0], COLOURS[-1]])
    dash = alt.Scale(domain=names, range=[[6, 3], [1, 0], [2, 2]])
    legend = alt.Legend(
        title=None, orient="bottom", columns=3, symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1
    )
    values = [row.get(key) for row in rows]
    scale = (
        log_scale(values)
        if quantity == "relative error"
        else alt.Scale(
            domain=[min(-0.1, *(row["cosine"] for row in rows if row.get("cosine") is not None)), 1]
        )
    )
    x = alt.X(
        "k:Q", title="k, gradients averaged", scale=alt.Scale(type="log"), axis=log_axis(format="~s")
    )
    y_axis = log_axis(values) if quantity == "relative error" else alt.Axis()
    y = alt.Y(f"{key}:Q", title=_QUANTITIES[quantity], scale=scale, axis=y_axis)
    base = alt.Chart(alt.NamedData(name)).transform_filter(f"isValid(datum.{key})")
    valid = base.transform_filter(f"isValid(datum.{key}_low)")
    band = valid.mark_area(opacity=0.2, clip=True).encode(
        x,
        alt.Y(f"{key}_low:Q", title=_QUANTITIES[quantity], scale=scale, axis=y_axis),
        alt.Y2(f"{key}_high:Q"),
        color=alt.Color("line:N", scale=colour, legend=legend),
    )
    line = base.mark_line(strokeWidth=1.8, point={"size": 30, "opacity": 1}).encode(
        x,
        y,
        color=alt.Color("line:N", scale=colour, legend=legend),
        strokeDash=alt.StrokeDash("line:N", scale=dash, legend=legend),
    )
    wide = base.transform_pivot("line", groupby=["k"], value=key, op="mean")
    shares = [value_of_line(each, ".3~g") for each in names]
    rule = pointer_rule(wide, x, [alt.Tooltip("k:Q", format=","), *shares], at)
    has_band = any(row.get(f"{key}_low") is not None for row in rows)
    return layered(*([band] if has_band else []), line, rule, height=HEIGHT, title=title)


def _rows(seeds: list[dict[str, Any]], checkpoint: int) -> Rows:
    """Returns both orders' curves at a checkpoint, and the 1/√k line of an unbiased mean's error."""
    rows: Rows = []
    for order in _ORDERS:
        found = {
            key: mean_and_interval(np.array([seed[order][key][checkpoint] for seed in seeds]).T)
            for key in _POSSIBLE
        }
        for at, count in enumerate(seeds[0][order]["counts"]):
            row = {"line": _ORDERS[order], "k": count}
            for key, (middle, low, high) in found.items():
                # The mean over all examples is the full gradient; a logarithmic axis has no 0.
                zero = key == "relative_error" and middle[at] == 0
                row[key] = None if zero else json_number(middle[at])
                if low[at] < high[at]:
                    ends = np.clip([low[at], high[at]], *_POSSIBLE[key])
                    row |= {f"{key}_low": json_number(ends[0]), f"{key}_high": json_number(ends[1])}
            rows.append(row)
    begin = next(row for row in rows if row["line"] == _ORDERS["shuffled"])
    if begin["relative_error"] is not None:
        rows += [
            {
                "line": _UNBIASED,
                "k": k,
                "relative_error": json_number(begin["relative_error"] * (begin["k"] / k) ** 0.5),
            }
            for k in (begin["k"], seeds[0]["shuffled"]["counts"][-1])
        ]
    return rows
