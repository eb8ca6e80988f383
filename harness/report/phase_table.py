"""What a session spent its time on, as a table."""

from __future__ import annotations

from ..files.session_phases import PhasesFile
from ..wording import counted
from .tables import format_table


def format_phases(phases: PhasesFile, style: str = "github") -> str:
    """Formats the CPU time of each phase, the most first, and the time in which cores were idle.

    `style` is one of tabulate's formats.
    """
    available = phases.seconds * phases.cores
    used = {each.phase: sum(each.cpu_seconds) for each in phases.phases}
    rows = [
        [
            each.phase,
            f"{used[each.phase]:.1f}",
            f"{used[each.phase] / available:.0%}",
            f"{each.seconds:.1f}",
        ]
        for each in sorted(phases.phases, key=lambda each: -used[each.phase])
    ]
    idle = max(0.0, available - sum(used.values()))
    rows.append(["(cores idle)", f"{idle:.1f}", f"{idle / available:.0%}", ""])
    headers = ["phase", "CPU seconds", "of the cores' time", "seconds of processes"]
    return (
        f"{phases.seconds:.1f} s on {counted(phases.cores, 'core')}, in "
        f"{counted(phases.processes, 'process')}:\n\n"
        + format_table(rows, headers, ["left", "right", "right", "right"], style)
    )
