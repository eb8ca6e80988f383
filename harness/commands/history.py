"""Draws the history of many runs, and finds the steps in it: `make history`."""

from __future__ import annotations

import argparse
import sys

from ..atomic_json import write_text
from ..history.past_runs import read_runs
from ..history.steps import ACCEPTED_STEPS, HistoryStep, find_steps, one_sidedness, read_acceptances
from ..history.tracks import tracks_of
from ..paths import REPORTS, ROOT
from ..wording import counted
from .arguments import add_study, between, to_path

_SAVED = ROOT / ".benchmarks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        type=to_path,
        metavar="FOLDER",
        help="saved runs and report folders, or folders of either (default: .benchmarks and reports)",
    )
    parser.add_argument(
        "--percent",
        type=between(0.1, 1000),
        default=5.0,
        help="the step to find in times, in percent (default: 5)",
    )
    parser.add_argument(
        "--output",
        type=to_path,
        default=REPORTS / "history.html",
        metavar="FILE",
        help="the page (default: reports/history.html)",
    )
    add_study(parser)


def run(options: argparse.Namespace) -> None:
    try:
        from ..history.drawing import draw_history
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed; `make history` installs it") from None
    accepted = read_acceptances(options.study / ACCEPTED_STEPS)
    paths = options.paths or [path for path in (_SAVED, REPORTS) if path.is_dir()]
    runs, left_out = read_runs(paths, ROOT)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    if not runs:
        given = " and ".join(map(str, paths)) or f"{_SAVED} and {REPORTS}"
        raise ValueError(f"no readable run in {given}; train some with --benchmark-autosave")
    tracks = tracks_of(runs)
    steps = [step for track in tracks for step in find_steps(track, options.percent, accepted)]
    for step in steps:
        print(*_lines(step), sep="\n  ")
    if warning := one_sidedness(steps):
        print(f"One-sided: {warning}.")
    write_text(options.output, draw_history(tracks, steps, left_out))
    print(f"{counted(len(runs), 'run')}, {counted(len(steps), 'step')}. Written to {options.output}.")


def _lines(step: HistoryStep) -> list[str]:
    """Returns the step in lines: what, between which commits, and how to confirm or accept it."""
    lines = [f"{step.case}: {step.size}, {step.commits}"]
    if step.accepted:
        return [*lines, f"accepted by {step.accepted}"]
    if step.confirmation:
        lines.append(f"confirm: {step.confirmation}")
    if step.search:
        lines.append(f"find the commit: {step.search}")
    return [*lines, f"accept, in {ACCEPTED_STEPS} of the study: {step.acceptance}"]
