"""The table of docs/failures.md, from docs/chaos.json."""

from __future__ import annotations

import json

from tabulate import tabulate

from harness import atomic_json
from harness.paths import ROOT
from harness.report.passages import CHAOS, find

JSON = ROOT / "docs" / "chaos.json"
DOCUMENT = ROOT / "docs" / "failures.md"


def table() -> str:
    """Returns the table of outcomes, by fault."""
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
    """Returns the document with the current table. Raises ValueError, in one line, for invalid marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    try:
        found = [passage for passage in find(text) if passage.kind == CHAOS]
    except ValueError as error:
        raise ValueError(f"{DOCUMENT}, {error}") from None
    if len(found) != 1:
        raise ValueError(f"{DOCUMENT} has {len(found)} passages <!-- {CHAOS} -->; expected one")
    return f"{text[: found[0].start]}\n\n{table()}\n\n{text[found[0].end :]}"


def write_document() -> None:
    """Writes the current table into the document."""
    atomic_json.write_text(DOCUMENT, document())
