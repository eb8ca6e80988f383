"""What kept the cores busy from the start of a session to its end."""

from __future__ import annotations

import altair as alt

from ...files.session_phases import PhasesFile
from ...wording import counted
from ..series import COLOURS
from .figure import HEIGHT, Figure, Rows, Spec, json_number, layered, side_by_side

_MINUTES_FROM = 600  # seconds
_SHOWN = len(COLOURS) - 1  # phases; the others are one
_OTHER = "other"


def timeline_figure(phases: PhasesFile) -> Figure:
    """Returns a figure of the number of busy cores over time, by phase."""
    names = _shown(phases)
    return Figure(
        name="timeline",
        title="What kept the cores busy",
        notes=f"CPU time of {counted(phases.processes, 'process')} on {counted(phases.cores, 'core')}. "
        "The rest was idle, or went to other programs.",
        variants={"": side_by_side([_chart(phases, names)])},
        data={"timeline": _rows(phases, names)},
    )


def _shown(phases: PhasesFile) -> list[str]:
    """Returns the phases with the most CPU time, in their order, then `_OTHER` if there are more."""
    by_time = sorted(phases.phases, key=lambda each: -sum(each.cpu_seconds))
    most = {each.phase for each in by_time[:_SHOWN] if sum(each.cpu_seconds) > 0}
    names = [each.phase for each in phases.phases if each.phase in most]
    others = any(sum(each.cpu_seconds) > 0 for each in phases.phases if each.phase not in most)
    return [*names, _OTHER] if others else names


def _chart(phases: PhasesFile, names: list[str]) -> Spec:
    time, unit = ("minutes", "min") if phases.seconds >= _MINUTES_FROM else ("seconds", "s")
    bars = (
        alt.Chart(alt.NamedData("timeline"))
        .mark_rect()
        .encode(
            alt.X("begin:Q", title=f"time since the start ({unit})"),
            alt.X2("end:Q"),
            alt.Y("low:Q", title="busy cores"),
            alt.Y2("high:Q"),
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=names, range=[*COLOURS[: len(names)]]),
                legend=alt.Legend(title=None, orient="bottom", columns=4),
            ),
            tooltip=[
                alt.Tooltip("phase:N"),
                alt.Tooltip("begin:Q", title=time, format=".3~g"),
                alt.Tooltip("cores:Q", title="busy cores", format=".2f"),
            ],
        )
    )
    return layered(bars, height=HEIGHT)


def _rows(phases: PhasesFile, names: list[str]) -> Rows:
    """Returns a rectangle for each phase in each part of the session, on top of those before it."""
    parts = len(phases.phases[0].cpu_seconds)
    length = phases.seconds / parts
    unit = 60 if phases.seconds >= _MINUTES_FROM else 1
    rows: Rows = []
    for part in range(parts):
        low = 0.0
        for name in names:
            cores = sum(
                each.cpu_seconds[part] / length
                for each in phases.phases
                if name == (each.phase if each.phase in names else _OTHER)
            )
            if cores > 0:
                rows.append(
                    {
                        "phase": name,
                        "begin": json_number(part * length / unit),
                        "end": json_number((part + 1) * length / unit),
                        "low": json_number(low),
                        "high": json_number(low + cores),
                        "cores": json_number(cores),
                    }
                )
            low += cores
    return rows
