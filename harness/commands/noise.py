"""Measures how noisy this machine is, and which slowdowns the gates can detect on it.

`make noise`, or `python -m harness noise`, with pytest's arguments after `--` to select rows. Trains the
rows in several runs, then in A/B with the working tree on both sides. Writes `noise.json` to the report
folder and prints it as a table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tabulate import tabulate

from .. import atomic_json, ownership, run_folders
from ..ab.comparison import ABComparison, compare_checkouts
from ..ab.decision import detectable_change
from ..ab.selection import select
from ..ab.side import Checkout
from ..exercise import row_name
from ..gates.baselines import Cases
from ..gates.retraining import RetrainingError, retrain
from ..gates.slowdown import Judgement, Trainings, judge
from ..hardware.disturbance import DisturbanceWatch
from ..hardware.machine import candidate_devices, describe_machine
from .arguments import at_least

_PERCENT = 10.0  # the slowdown to detect

_HEADERS = (
    "row",
    "noise within\na run (%)",
    "noise between\nruns (%)",
    "noise in\nA/B (%)",
    "detectable with\nsaved runs (%)",
    "detectable\nwith A/B (%)",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "python -m harness noise [--runs N] [-- pytest's arguments]"
    parser.add_argument(
        "--runs",
        type=at_least(2),
        default=6,
        metavar="N",
        help="number of runs: those used as the baseline, plus one (default: 6)",
    )


def run(options: argparse.Namespace) -> None:
    measure_noise(options.runs, options.pytest_arguments)


def measure_noise(runs: int, arguments: Sequence[str]) -> None:
    """Measures the noise and prints it. Raises ValueError if the rows cannot be trained."""
    selection = select(arguments)
    run_folders.check_free(selection.settings.report_dir, "noise.json")
    cases = [row.case for row in selection.rows]
    watch = DisturbanceWatch()
    trained: list[Cases] = []
    for number in range(runs):
        print(f"\rrun {number + 1} of {runs} ", end="", file=sys.stderr, flush=True)
        try:
            trained.append(retrain(cases, selection.settings, selection.root))
        except RetrainingError as error:
            raise ValueError(f"the rows cannot be trained: {error}") from None
    print(file=sys.stderr)
    head = Checkout("head", selection.root, Path(sys.executable))
    compared = compare_checkouts(selection, head, head, percent=_PERCENT, points=1)
    if len(compared.errors) == len(cases):
        raise ValueError(f"the rows cannot be trained in A/B: {next(iter(compared.errors.values()))}")
    times = [{case: each.stats.min for case, each in run.items()} for run in trained]
    judged = judge([Trainings(times[-1])], times[:-1], _PERCENT)
    rows = [_row(case, trained, judged, compared) for case in cases if case not in compared.errors]
    found = {
        "machine": describe_machine(candidate_devices(selection.settings.device)[0]),
        "disturbances": watch.found(),
        "scale": selection.settings.scale,
        "runs": runs,
        "together_detectable": judged.together.detectable if judged.together else None,
        "rows": rows,
    }
    folder = selection.settings.report_dir
    ownership.make_or_share(folder)
    atomic_json.write_json(folder / "noise.json", found)
    _show(found)


def _row(
    case: str, trained: Sequence[Cases], judged: Judgement, compared: ABComparison
) -> dict[str, Any]:
    stats = [run[case].stats for run in trained if case in run]
    ratios = [each.ratio for each in compared.passes[case]]
    return {
        "id": case,
        "within": 100 * median(each.stddev / each.mean for each in stats),
        "between": 100 * float(np.std(np.log([each.min for each in stats]), ddof=1)),
        "in_turns": 100 * float(np.std(ratios, ddof=1)),
        "detectable": judged.rows[case].detectable,
        "ab_detectable": detectable_change(compared.speeds[case], len(compared.speeds)),
        "ab_passes": len(ratios),
    }


def _show(found: dict[str, Any]) -> None:
    noise, detectable = ("within", "between", "in_turns"), ("detectable", "ab_detectable")
    rows = [
        (
            row_name(row["id"]),
            *(f"{row[name]:.1f}" for name in noise),
            *(f"{row[name]:.0f}" for name in detectable),
        )
        for row in found["rows"]
    ]
    print(tabulate(rows, _HEADERS, disable_numparse=True, colalign=("left", *["right"] * 5)))
    together = found["together_detectable"]
    print(
        "\nNoise is a standard deviation: of the epochs within a run, of the fastest epoch between "
        f"{found['runs']} runs,\nand of the time ratio between pairs of processes that take turns "
        "(A/B). Detectable is the smallest slowdown\nthat is detected 19 times in 20, with "
        f"{found['runs'] - 1} saved runs (in all rows together: "
        f"{'unknown' if together is None else f'{together:.0f} %'}) or with A/B. "
        + " ".join(found["disturbances"])
    )
