"""Saved runs of other software: said, as a new PyTorch may be what made a row slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .baselines import SOFTWARE, SavedRun
from .gate_result import GateResult


def report_versions(result: GateResult, now: Mapping[str, str | None], runs: Sequence[SavedRun]) -> None:
    """Adds to `result` in which versions the saved `runs` that it went by differ from this run."""
    for name, title in SOFTWARE.items():
        ours = now.get(name)
        theirs = {run.versions[name] for run in runs if name in run.versions} - {ours}
        if theirs:
            saved = " and ".join(sorted(theirs))
            result.versions[name] = {"now": ours or "none", "saved": saved}
            result.notes.append(f"Compared with runs of {title} {saved}; this run has {ours or 'none'}.")
