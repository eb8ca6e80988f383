"""What kept the cores busy from the start of a session to its end."""

from __future__ import annotations

import altair as alt

from ...files.session_phases import PhasesFile
from ...wording import counted
from ..series import COLOURS
from .figure import HEIGHT, Figure, Rows, Spec, json_number, layered, side_by_side

_MINUTES_FROM = 600  # seconds


def timeline_figure(phases: PhasesFile) -> Figure:
    """Returns a figure of the number of busy cores over time, by phase."""
    worked = [each.phase for each in phases.phases if sum(each.cpu_seconds) >= 0.01]
    processes = "process" if phases.processes == 1 else f"{phases.processes} processes"
    return Figure(
        name="timeline",
        title="What kept the cores busy",
        notes=f"CPU time of the session's {processes} on {counted(phases.cores, 'core')}. "
        "The rest was idle, or went to other programs.",
        variants={"": side_by_side([_chart(phases, worked)])},
        data={"timeline": _rows(phases, worked)},
    )


def _chart(phases: PhasesFile, worked: list[str]) -> Spec:
    time, unit = ("minutes", "min") if phases.seconds >= _MINUTES_FROM else ("seconds", "s")
    bars = (
        alt.Chart(alt.NamedData("timeline"))
        .mark_bar()
        .encode(
            alt.X("begin:Q", title=f"time since the start ({unit})"),
            alt.X2("end:Q"),
            alt.Y("cores:Q", title="busy cores", stack="zero"),
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=worked, range=[*COLOURS[: len(worked)]]),
                legend=alt.Legend(title=None, orient="bottom", columns=4),
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("phase:N"),
                alt.Tooltip("begin:Q", title=time, format=".3~g"),
                alt.Tooltip("cores:Q", title="busy cores", format=".2f"),
            ],
        )
    )
    return layered(bars, height=HEIGHT)


def _rows(phases: PhasesFile, worked: list[str]) -> Rows:
    unit = 60 if phases.seconds >= _MINUTES_FROM else 1
    rows: Rows = []
    for each in phases.phases:
        if each.phase not in worked:
            continue
        length = phases.seconds / len(each.cpu_seconds)
        rows += [
            {
                "phase": each.phase,
                "order": worked.index(each.phase),
                "begin": json_number(part * length / unit),
                "end": json_number((part + 1) * length / unit),
                "cores": json_number(seconds / length),
            }
            for part, seconds in enumerate(each.cpu_seconds)
            if seconds > 0
        ]
    return rows
