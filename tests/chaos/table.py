"""The table of docs/failures.md, from docs/chaos.json."""

from __future__ import annotations

import json
import re

from tabulate import tabulate

from harness.paths import ROOT

JSON = ROOT / "docs" / "chaos.json"
DOCUMENT = ROOT / "docs" / "failures.md"
_PASSAGE = re.compile(r"(?<=<!-- chaos -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)


def table() -> str:
    """What chaos came to, fault by fault."""
    found = json.loads(JSON.read_text())
    trials, machine = found["trials"], found["machine"]
    rows = []
    for fault in dict.fromkeys(trial["fault"] for trial in trials):
        of_fault = [trial for trial in trials if trial["fault"] == fault]
        rows.append(
            (
                fault,
                len(of_fault),
                sum(trial["kept"] for trial in of_fault),
                sum(trial["equal"] for trial in of_fault),
                sum(trial["untouched"] for trial in of_fault),
                sum(trial["left_running"] for trial in of_fault),
                sum(trial["exit"] is None for trial in of_fault),
            )
        )
    headers = (
        "fault", "sessions", "trainings resumed", "all equal", "others' files untouched",
        "processes left", "hung",
    )  # fmt: skip
    held = sum(trial["holds"] for trial in trials)
    return (
        f"On {machine['device_name']}, {machine['cores']} cores (PyTorch {machine['torch']}, Python "
        f"{machine['python']}): {len(trials)} sessions of {found['rows']} trainings under `-n 2`, each "
        f"with a fault at a random time within the {found['seconds']} s that one takes undisturbed, "
        f"then `--resume`. All of it held in {held} of {len(trials)}.\n\n"
        + tabulate(rows, headers, "github", colalign=("left", *["right"] * 6))
    )


def document() -> str:
    """The document as it should be."""
    return _PASSAGE.sub(lambda _: table(), DOCUMENT.read_text())


def write_document() -> None:
    """Writes it."""
    DOCUMENT.write_text(document())
