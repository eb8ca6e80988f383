"""Paths of the suite's own files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
BENCH = ROOT / "bench"  # the commands' study, unless another is named

PAGE = "report.html"  # in a report folder
BENCHMARK = "benchmark.json"  # pytest-benchmark's file of a merged report
PHASES = "phases.json"  # what the session's processes spent their time on
FIGURES = "figures.json"  # the figures that a study's exercises draw themselves

# Files of a report folder that describe the machine, not a run; the next run copies them.
SPEED = "speed.json"  # the results of `make speed`
SPEED_SO_FAR = "speed.partial.json"  # its results so far, while it measures or if it was stopped
TIMES = "times.json"  # the results of `make times`

REFUSED = 2  # exit status of a command that rejects its arguments


def expanded(given: str | Path) -> Path:
    """Returns the path with `~` expanded, which a shell does not do after a `=`.

    Raises ValueError, with the path and the reason, if there is no such home folder.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f"{str(given)!r}, but there is no such home folder") from None
