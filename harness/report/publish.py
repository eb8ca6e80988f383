"""Keeps a run under `reports/published/`, and has the README tell what it found.

`make publish RUN=reports/latest NAME=epyc-2-cores`, or `python -m harness publish`.
Kept are the tables, the records of all trainings, the figures, and what `make speed` and `make
times` measured; the README's passages between `<!-- results: NAME -->` (`speed`, `times`) and
`<!-- end -->` are written anew from the kept files. A test has them agree.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from .. import atomic_json
from ..claim import VERDICTS
from ..exercise import row_name
from ..paths import PUBLISHED, ROOT, SPEED, TIMES
from . import tables

README = ROOT / "README.md"
_KEPT = ("summary.json", "summary.md", SPEED, TIMES, "runs", "figures")


def keep(run: Path, folder: Path) -> None:
    """Copies what is kept of `run` into `folder`, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in filter(Path.exists, (run / name for name in _KEPT)):
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, folder / path.name)


def rewritten(readme: str) -> str:
    """The README with its passages as the kept files have them."""

    def passage(found: re.Match[str]) -> str:
        kind, name = found["kind"], found["name"]
        return f"<!-- {kind}: {name} -->\n\n{_PASSAGES[kind](PUBLISHED / name)}\n\n<!-- end -->"

    return re.sub(
        r"<!-- (?P<kind>\w+): (?P<name>\S+) -->.*?<!-- end -->", passage, readme, flags=re.DOTALL
    )


def results(folder: Path) -> str:
    """The assignment's tables, what they cost, and how many claims came out how."""
    summary = atomic_json.read(folder / "summary.json")
    machine, cases = summary["machine"], {case["id"]: case for case in summary["cases"]}
    counts = Counter(claim["verdict"] for claim in summary["claims"])
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    replicates = max(len(case["seeds"]) for case in summary["cases"])
    first = [case for case in summary["exercises"][0]["cases"] if cases[case]["paper"]["seconds"]]
    ours, theirs = (
        sum(seconds) for seconds in zip(*(_both(cases[case]) for case in first), strict=True)
    )
    parts = [
        f"On {_machine(machine)}, `{summary['command']}` trained {len(cases)} rows "
        f"of {summary['exercises'][0]['epochs']} epochs "
        f"({'one seed' if replicates == 1 else f'{replicates} seeds'} each) in "
        f"{sum(case['seconds'] for case in cases.values()):,.0f} s of training. "
        f"The rows of Table 1 took {ours:,.0f} s, where the assignment's took {theirs:,.0f} s.\n"
        f"Of the assignment's {sum(counts.values())} claims it decided: {verdicts}. "
        f"All of it is in [reports/published/{folder.name}](reports/published/{folder.name}/summary.md)."
    ]
    for name, alternative in _FIGURES.items():
        if (folder / "figures" / f"{name}.svg").exists():
            parts.append(f"![{alternative}](reports/published/{folder.name}/figures/{name}.svg)")
    for exercise in summary["exercises"]:
        rows = [_row(cases[case]) for case in exercise["cases"] if case in cases]
        headers = ("row", "paper", "here", "paper (s)", "here (s)", "outcome")
        table = tabulate(
            rows, headers, "github", disable_numparse=True, colalign=("left", *["right"] * 4, "left")
        )
        parts.append(f"**Exercise {exercise['number']}: {exercise['title']}** ({exercise['source']})")
        parts.append(table)
    return "\n\n".join(parts)


def speed(folder: Path) -> str:
    """Every engine's time per step beside eager's, of one replicate."""
    measured = atomic_json.read(folder / SPEED)
    rows = [row for row in measured["rows"] if row["replicates"] == 1]
    by_case: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        by_case.setdefault((row["optimizer"], row["batch_size"]), {})[row["engine"]] = row
    names = [name for name in dict.fromkeys(row["engine"] for row in rows) if name != "eager"]
    body = []
    for (optimizer, batch_size), case in by_case.items():
        for name in names:
            if name in case:
                row = case[name]
                body.append(
                    (
                        tables.OPTIMIZER_NAMES[optimizer],
                        batch_size,
                        f"{case['eager']['us_per_step']:.0f}",
                        name,
                        f"{row['us_per_step']:.1f}",
                        f"{row['ratio_to_eager']:.1f}",
                        f"{row['share_of_roofline']:.0%}",
                    )
                )
    headers = (
        "optimizer",
        "batch",
        "eager (µs)",
        "engine",
        "µs a step",
        "times eager's speed",
        "of the limit",
    )
    table = tabulate(
        body,
        headers,
        "github",
        disable_numparse=True,
        colalign=("left", "right", "right", "left", *["right"] * 3),
    )
    return f"On {_machine(measured['machine'])}, one replicate on one core or GPU:\n\n{table}"


def times(folder: Path) -> str:
    """How far times under `-n` were from serial ones."""
    found = atomic_json.read(folder / TIMES)
    return (
        f"On {_machine(found['machine'])}, of {found['rounds']} runs each way, the times under "
        f"`-n {found['workers']}` were {found['lowest']:.2f} to {found['highest']:.2f} times the "
        f"serial ones, {found['median']:.2f} in the median of {len(found['rows'])} rows."
    )


_FIGURES = {"exercise-4-learning-rate": "Final test accuracy against learning rate, of Adam and SGD"}
_PASSAGES = {"results": results, "speed": speed, "times": times}


def _machine(machine: dict[str, Any]) -> str:
    cores = f", {machine['cores']} core{'s' if machine['cores'] > 1 else ''}" * (
        machine["device"] == "cpu"
    )
    return f"{machine['device_name']}{cores} (PyTorch {machine['torch']}, Python {machine['python']})"


def _both(case: dict[str, Any]) -> tuple[float, float]:
    return case["seconds"], case["paper"]["seconds"]


def _row(case: dict[str, Any]) -> tuple[str, ...]:
    cells = tables.format_row(row_name(case["id"]), case)
    name, here, paper, seconds, paper_seconds, outcome = cells[:6]
    return name, paper, here, paper_seconds, seconds, outcome


def main(run: Path, name: str) -> None:
    """Keeps the report folder `run` as `name`; ValueError where it is none, or the name is not one."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"the name is {name!r}; it takes letters, digits, '.', '-' and '_'")
    if not (run / "summary.json").exists():
        raise ValueError(
            f"{run} holds no summary.json; it takes the report folder of a run that has ended"
        )
    keep(run, PUBLISHED / name)
    README.write_text(rewritten(README.read_text()))
    print(f"kept as {(PUBLISHED / name).relative_to(ROOT)}; see git diff README.md")
