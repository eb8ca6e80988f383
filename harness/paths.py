"""Where the suite's own files are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
LATEST = ROOT / "reports" / "latest"
PUBLISHED = ROOT / "reports" / "published"

PAGE = "report.html"  # of a report folder

# Files of a report folder that describe the machine and not one run: they stay with the latest report.
SPEED = "speed.json"  # what `make speed` measured
TIMES = "times.json"  # what `make times` measured
