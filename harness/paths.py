"""Where the suite's own files are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
BENCH = ROOT / "bench"  # the study that commands are about, unless another is named

PAGE = "report.html"  # of a report folder
FIGURES = "figures.json"  # the figures that a study's exercises drew themselves

# Files of a report folder that describe the machine and not one run: the next run takes copies of them.
SPEED = "speed.json"  # what `make speed` measured
SPEED_SO_FAR = "speed.partial.json"  # the same while it measures, or of one that was stopped
TIMES = "times.json"  # what `make times` measured

REFUSED = 2  # exit status of a command that refuses what it was given


def expanded(given: str | Path) -> Path:
    """Returns the path with `~` as the home folder, which a shell does not expand behind a `=`.

    Raises ValueError, with the path and why, if there is no such home folder.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f"{str(given)!r}, and there is no such home folder") from None
