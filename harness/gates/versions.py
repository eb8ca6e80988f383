"""Reports saved runs that used other software, since a new PyTorch may be why a row is slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .baselines import SOFTWARE, SavedRun
from .gate_result import GateResult


def report_versions(result: GateResult, now: Mapping[str, str | None], runs: Sequence[SavedRun]) -> None:
    """Adds to `result` the software versions in which the saved `runs` differ from this run."""
    for name, title in SOFTWARE.items():
        ours = now.get(name)
        theirs = {run.versions[name] for run in runs if name in run.versions} - {ours}
        if theirs:
            saved = " and ".join(sorted(theirs))
            result.versions[name] = {"now": ours or "none", "saved": saved}
            result.notes.append(f"The saved runs used {title} {saved}; this run uses {ours or 'none'}.")
