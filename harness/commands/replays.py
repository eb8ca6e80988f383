"""Measures how often a history has false steps, and how soon true ones are found, on saved runs.

`make replays RUNS="reports/gates/NAME/runs/*_quiet.json"`, or `python -m harness replays FILE...`, with
saved runs of unchanged code. Apache Otava, if `--otava` names an interpreter that has it, looks at the
same histories.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_json import write_json
from ..history.past_runs import read_runs
from ..history.replays import quiet_rows, replay
from ..history.tracks import tracks_of
from ..paths import ROOT
from .arguments import at_least, between, to_path

_FEWEST_RUNS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=to_path, metavar="FILE", help="saved runs of unchanged code"
    )
    parser.add_argument(
        "--histories",
        type=at_least(1),
        default=10,
        metavar="N",
        help="histories of each kind (default: 10)",
    )
    parser.add_argument(
        "--most-noise",
        type=between(0.01, 1000),
        metavar="PERCENT",
        help="only rows that vary by at most this from run to run (default: all)",
    )
    parser.add_argument(
        "--otava", type=Path, metavar="PYTHON", help="an interpreter with Apache Otava, to compare with"
    )
    parser.add_argument("--output", type=to_path, metavar="FILE", help="a JSON file for the rates")


def run(options: argparse.Namespace) -> None:
    runs, left_out = read_runs(options.files, ROOT)
    if left_out:
        raise ValueError(left_out[0])
    track = tracks_of(runs)[0]
    times = track.values("time")
    times = times[:, np.isfinite(times).all(axis=0)]
    if options.most_noise is not None and len(times) > 1:
        times = quiet_rows(times, options.most_noise)
    if len(times) < _FEWEST_RUNS or not times.shape[1]:
        raise ValueError(
            f"there are {len(times)} comparable saved runs, with {times.shape[1]} rows in all of them; "
            f"expected at least {_FEWEST_RUNS} runs and a row"
        )
    rates = {"machine": track.about, **replay(times, options.histories, options.otava)}
    print(*_lines(rates), sep="\n")
    if options.output:
        write_json(options.output, rates)


def _lines(rates: dict[str, Any]) -> list[str]:
    unchanged = rates["unchanged"]
    otava = (
        f" (Otava, looking once: {unchanged['false_steps_of_otava']})"
        if "false_steps_of_otava" in unchanged
        else ""
    )
    lines = [
        f"{rates['runs']} runs of {rates['rows']} rows on {rates['machine']}",
        f"{unchanged['nights']:,} nights of unchanged code: {unchanged['nights_with_a_false_step']} "
        f"with a false step, {unchanged['false_steps']} false steps{otava}",
    ]
    for each in rates["planted"]:
        ours, theirs = each["found_within"], each.get("found_within_by_otava", {})
        found = ", ".join(
            f"{within} nights {share:.0%}" + (f" (Otava {theirs[within]:.0%})" if theirs else "")
            for within, share in ours.items()
        )
        lines.append(f"{each['percent']:g} % after {each['nights_before']} nights: found within {found}")
    return lines
