"""Time per optimizer step of each engine, compared with the roofline bound."""

from __future__ import annotations

import math

import altair as alt

from ...files.speeds import SpeedFile, SpeedRow
from ...wording import counted
from ..series import COLOURS, DASHES, SHAPES
from .figure import HEIGHT, Figure, Rows, Spec, json_number, layered, log_axis, side_by_side
from .pointer import pointer_rule, value_of_line

_BOUND = "roofline bound"
_QUANTITIES = {
    "time per step": ("seconds", "time per step"),
    "share of the bound": ("share", "share of the roofline bound (%)"),
}


def per_step_figures(speed: SpeedFile) -> list[Figure]:
    """Returns a figure with a panel for each optimizer, number of replicates and number of cores."""
    groups: dict[str, list[SpeedRow]] = {}
    for row in speed.rows:
        counts = counted(row.replicates, "replicate")
        if row.cores is not None:
            counts += f" on {counted(row.cores, 'core')}"
        groups.setdefault(f"{row.optimizer}, {counts}", []).append(row)
    if not groups:
        return []
    data = {f"speed-{index}": _rows(rows) for index, rows in enumerate(groups.values())}
    engines = list(dict.fromkeys(row.engine for row in speed.rows))
    return [
        Figure(
            name="speed",
            of="",
            title="Time per optimizer step, compared with the roofline bound",
            notes="The roofline bound is the longer of two times: bytes over measured bandwidth, and "
            "operations over the measured peak of a matrix product, on "
            f"{speed.machine.device_name[:60]}.",
            variants={
                label: side_by_side(
                    [
                        _panel(name, at, title, engines, *which)
                        for at, (name, title) in enumerate(zip(data, groups, strict=True))
                    ]
                )
                for label, which in _QUANTITIES.items()
            },
            data=data,
        )
    ]


def _panel(name: str, at: int, title: str, engines: list[str], key: str, axis: str) -> Spec:
    names = [*engines, _BOUND]
    colour, dash, shape = (
        alt.Scale(domain=names, range=[*(looks[i % len(looks)] for i in range(len(engines))), limit])
        for looks, limit in (
            (COLOURS[:-1], COLOURS[-1]),
            ([list(dash) for dash in DASHES], [2, 2]),
            (SHAPES, "stroke"),
        )
    )
    legend = alt.Legend(title=None, orient="bottom", columns=4)
    x = alt.X("batch:Q", title="batch size", scale=alt.Scale(type="log"), axis=log_axis(format="~s"))
    units = "format(datum.value, '~s') + 's'" if key == "seconds" else "datum.value"
    y = alt.Y(f"{key}:Q", title=axis, scale=alt.Scale(type="log"), axis=log_axis(labelExpr=units))
    base = alt.Chart(alt.NamedData(name)).transform_filter(f"isValid(datum.{key})")
    lines = base.mark_line(strokeWidth=1.8).encode(
        x,
        y,
        color=alt.Color("engine:N", scale=colour, legend=legend),
        strokeDash=alt.StrokeDash("engine:N", scale=dash, legend=legend),
    )
    points = base.mark_point(filled=True, size=50, opacity=1).encode(
        x,
        y,
        color=alt.Color("engine:N", scale=colour, legend=legend),
        shape=alt.Shape("engine:N", scale=shape, legend=legend),
        tooltip=[
            alt.Tooltip("engine:N"),
            alt.Tooltip("batch:Q", title="batch size", format=","),
            alt.Tooltip("seconds:Q", title="seconds per step", format=".3~s"),
            alt.Tooltip("share:Q", title="share of the bound (%)", format=".2~g"),
        ],
    )
    wide = base.transform_pivot("engine", groupby=["batch"], value=key, op="mean")
    values = [value_of_line(each, ".3~s" if key == "seconds" else ".2~g") for each in names]
    rule = pointer_rule(wide, x, [alt.Tooltip("batch:Q", title="batch size", format=","), *values], at)
    return layered(lines, rule, points, height=HEIGHT, title=title)


def _rows(rows: list[SpeedRow]) -> Rows:
    found = [
        {
            "engine": row.engine,
            "batch": row.batch_size,
            "seconds": json_number(row.us_per_step / 1e6),
            "share": json_number(math.nan if (share := row.share_of_roofline) is None else 100 * share),
        }
        for row in rows
    ]
    limits = {row.batch_size: us for row in rows if (us := row.roofline_us_per_step) is not None}
    return found + [
        {"engine": _BOUND, "batch": batch, "seconds": json_number(us / 1e6)}
        for batch, us in limits.items()
    ]
