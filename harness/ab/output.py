"""Writes the result of a comparison: a table, `ab.json`, `ab.md`, and a forest plot, `ab.svg`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from .. import atomic_json, ownership
from ..compare.github import Level, tell_github
from ..exercise import row_name
from ..hardware.machine import candidate_devices, describe_machine
from ..session_settings import Settings
from .comparison import ABComparison
from .decision import detectable_change
from .provenance import Provenance, differing_versions

_HEADERS = ("row", "base (s/epoch)", "head (s/epoch)", "ratio (95 % interval)", "speed", "learning")
_ALIGN = ("left", "right", "right", "right", "left", "left")
_TITLES = {
    "held": "A/B: no regression",
    "worse": "A/B: regression",
    "undecided": "A/B: inconclusive",
}
# How values of "speed" in `ab.json` are shown, if not as they are.
_SHOWN = {
    "undecided": "inconclusive",
    "base lacks it": "not in the base",
    "head lacks it": "not in the head",
}


def write_comparison(
    found: ABComparison, settings: Settings, base: Provenance, head: Provenance
) -> None:
    """Prints the table and writes the files to the report folder."""
    rows = rows_of(found)
    title = f"{_TITLES[found.outcome]} (base: {base.words})"
    caption = _caption(found, base, head)
    text = "\n\n".join([title, _table(rows, "simple"), caption])
    print(text)
    folder = settings.report_dir
    ownership.make_or_share(folder)
    content = {
        "outcome": found.outcome,
        "base": base.to_dict(),
        "head": head.to_dict(),
        "percent": found.percent,
        "points": found.points,
        "scale": settings.scale,
        "dataset": settings.dataset,
        "machine": describe_machine(candidate_devices(settings.device)[0]),
        "rows": rows,
    }
    atomic_json.write_json(folder / "ab.json", content)
    markdown = [f"## {title}", _table(rows, "github"), caption]
    atomic_json.write_text(folder / "ab.md", "\n\n".join(markdown) + "\n")
    tell_github("\n\n".join(markdown) + "\n", _annotations(rows))
    print(f"\nWritten to {folder}/ab.json, ab.md{_draw(rows, title, found.percent, folder)}.")


def rows_of(found: ABComparison) -> list[dict[str, Any]]:
    """Returns each row's figures for `ab.json`: ratios of head to base with 95 % intervals."""
    return [_row(found, case) for case in found.passes]


def rows_in_words(found: ABComparison) -> str:
    """Returns the rows' results as text."""
    return "; ".join(_summary(row) for row in rows_of(found))


def _annotations(rows: list[dict[str, Any]]) -> Iterator[tuple[Level, str, str]]:
    """Yields GitHub's annotations: an error for each regression, a warning for the inconclusive rows."""
    unclear = []
    for row in rows:
        speed, learns = row["speed"], row.get("learning")
        if speed in ("slower", "head failed") or learns == "fell":
            title = "learns worse" if learns == "fell" else speed
            yield "error", title, f"{row['id']}: {_summary(row)}"
        elif speed not in ("same", "faster", "base lacks it") or learns == "underpowered":
            unclear.append(row["id"])
    if unclear:
        yield "warning", "inconclusive", f"could not be decided: {', '.join(unclear)}"


def _summary(row: dict[str, Any]) -> str:
    if "reason" in row:
        return f"{row['speed']}: {row['reason']}"
    _, base, head, ratio, speed, learning = _cells(row)
    return f"{speed}: {base} s per epoch in the base, {head} s now, ratio {ratio}; learning: {learning}"


def _row(found: ABComparison, case: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": case, "passes": len(found.passes[case])}
    if case in found.errors:
        error = found.errors[case]
        return {**row, "speed": f"{error.side} {error.kind}", "reason": error.reason}
    verdict, change, passes = found.speeds[case], found.changes[case], found.passes[case]
    middle, half = verdict.difference.estimate, verdict.difference.quantile(0.975)
    seconds = np.median([turn for each in passes for turn in each.turns], axis=0)
    return {
        **row,
        "engines": list(passes[0].engines),
        "base_epoch_seconds": float(seconds[0]),
        "head_epoch_seconds": float(seconds[1]),
        "ratio": math.exp(middle),
        "interval": [math.exp(middle - half), math.exp(middle + half)],
        "pass_ratios": [math.exp(each.ratio) for each in passes],
        "p": verdict.p,
        "speed": verdict.speed,
        "detectable_percent": detectable_change(verdict, len(found.speeds)),
        "learning": change.outcome,
        "seeds": change.seeds,
        "base_accuracy": change.before,
        "head_accuracy": change.now,
        "seeds_needed": change.seeds_needed,
    }


def _table(rows: list[dict[str, Any]], style: str) -> str:
    cells = [_cells(row) for row in rows]
    return tabulate(cells, _HEADERS, tablefmt=style, disable_numparse=True, colalign=_ALIGN)


def _cells(row: dict[str, Any]) -> list[str]:
    name = row_name(row["id"])
    if "reason" in row:
        return [name, "–", "–", "–", _shown(row["speed"]), row["reason"][:100]]
    low, high = row["interval"]
    base, head = row["engines"]
    speed = _shown(row["speed"])
    if row["speed"] == "undecided":
        speed += f", detects {row['detectable_percent']:.0f} %"
    return [
        name,
        f"{row['base_epoch_seconds']:.3g}",
        f"{row['head_epoch_seconds']:.3g}",
        f"{row['ratio']:.3f} ({low:.3f} to {high:.3f})",
        speed if base == head else f"{speed} (engine was {base}, is now {head})",
        _learning(row),
    ]


def _shown(speed: str) -> str:
    """Returns the words in which people see the row's speed; `ab.json` has the short one."""
    return _SHOWN.get(speed, speed)


def _learning(row: dict[str, Any]) -> str:
    if row["learning"] == "identical":
        return "identical"
    figures = f"accuracy {row['base_accuracy']:.4f}, now {row['head_accuracy']:.4f}"
    figures += f", {row['seeds']} seeds"
    if row["learning"] == "underpowered":
        needs = f"about {row['seeds_needed']}" if row["seeds_needed"] else "over 1000"
        return f"inconclusive, needs {needs} seeds ({figures})"
    return f"{'worse' if row['learning'] == 'fell' else 'not worse'} ({figures})"


def _caption(found: ABComparison, base: Provenance, head: Provenance) -> str:
    lines = [
        f"Head is {head.words}. The ratio is of head's time to base's: above 1, head is slower.",
        "Its interval is over pairs of processes that take turns. Same: a change of "
        f"{found.percent:g} % or more is excluded.",
    ]
    if any(decision.speed == "undecided" for decision in found.speeds.values()):
        lines.append(
            "Inconclusive: it is neither shown nor excluded; the percentage is the change that would "
            "have been detected."
        )
    if differences := differing_versions(base, head):
        lines.append(f"Versions differ: {differences}.")
    return "\n".join(lines)


def _draw(rows: list[dict[str, Any]], title: str, percent: float, folder: Path) -> str:
    """Draws the forest plot, if possible, and returns the end of the message about written files."""
    try:
        from .forest import draw_forest
    except ImportError as error:
        return f" (no figure: {error.name} is not installed)"
    measured = [{**row, "speed": _shown(row["speed"])} for row in rows if "ratio" in row]
    if not measured:
        return ""
    atomic_json.write_text(folder / "ab.svg", draw_forest(measured, title, percent))
    return " and ab.svg"
