"""Measures the gates' rates of false alarms and detections, by resampling real runs.

`make calibrate RUNS=".benchmarks/*/*.json"`, or `python -m harness calibrate FILE...`, with saved runs
of unchanged code. For times, from at least nine runs, some are drawn as the baseline, one as the run to
judge, and others as its retrainings. For accuracies, two sets of seeds are compared, drawn from a run of
at least ten seeds. Slowdowns and drops are added to the drawn runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..compare.learning import Learning, compare_learning, targets_of
from ..gates.baselines import FOR_TIMES, SavedCase, SavedRun, read_saved_run
from ..gates.slowdown import RETRAININGS, EpochTimes, Judgement, Trainings, judge
from .arguments import to_path

SAVED = 5  # baseline runs in each draw
SEEDS = 5  # on each side
PERCENT = 10.0
POINTS = 1.0
QUIET = 0.3  # the largest standard deviation over seeds, in points, of rows that get a drop
DRAWS = 300

_FEWEST_RUNS = SAVED + 1 + RETRAININGS
_FEWEST_SEEDS = 2 * SEEDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=to_path, metavar="FILE", help="saved runs of unchanged code"
    )


def run(options: argparse.Namespace) -> None:
    calibrate_gates(options.files)


@dataclass(frozen=True)
class Rate:
    """How often an event happened."""

    what: str
    happened: int
    draws: int

    def __str__(self) -> str:
        return f"{self.what}: {self.happened} of {self.draws} ({self.happened / self.draws:.1%})"


def calibrate_gates(files: Sequence[Path]) -> None:
    """Prints the rates. Raises ValueError if there are too few runs and seeds to draw from."""
    runs = [read_saved_run(path) for path in files]
    alike = _largest_group(runs)
    seeds = max((len(case.extra_info.seeds) for run in runs for case in run.cases.values()), default=0)
    if len(alike) < _FEWEST_RUNS and seeds < _FEWEST_SEEDS:
        raise ValueError(
            f"there are {len(alike)} comparable saved runs, with up to {seeds} seeds; expected at least "
            f"{_FEWEST_RUNS} runs for times, or {_FEWEST_SEEDS} seeds for accuracies"
        )
    rng = np.random.default_rng(0)
    if len(alike) >= _FEWEST_RUNS:
        times = [{case: each.stats.min for case, each in run.cases.items()} for run in alike]
        print(*times_of(times, rng), sep="\n")
    for run in runs:
        if run.cases and min(len(case.extra_info.seeds) for case in run.cases.values()) >= _FEWEST_SEEDS:
            print(*accuracies_of(run, rng), sep="\n")


def _largest_group(runs: Sequence[SavedRun]) -> list[SavedRun]:
    """Returns the largest set of runs whose times can be compared with one of them."""
    groups = [[run for run in runs if _are_comparable(run, other)] for other in runs]
    return max(groups, key=len, default=[])


def _are_comparable(one: SavedRun, other: SavedRun) -> bool:
    common = one.cases.keys() & other.cases.keys()
    return not any(one.cases[case].differences(other.cases[case], FOR_TIMES) for case in common)


def times_of(runs: Sequence[EpochTimes], rng: np.random.Generator) -> list[Rate | str]:
    """Returns the time gate's false alarms and detections, with SAVED baseline runs."""
    cases = sorted(set.intersection(*({*run} for run in runs)))
    alarms, found, together, retrained, sizes = 0, 0, 0, 0, []
    for _ in range(DRAWS):
        drawn = [runs[index] for index in rng.permutation(len(runs))[:_FEWEST_RUNS]]
        judged, again = _judge(drawn, {})
        alarms += _alarm(judged)
        retrained += again
        sizes += [row.detectable for row in judged.rows.values()]
        case = cases[rng.integers(len(cases))]
        size = judged.rows[case].detectable
        found += _judge(drawn, {case: 1 + size / 100})[0].rows[case].slower
        together += _alarm(_judge(drawn, dict.fromkeys(cases, 1 + PERCENT / 100))[0])
    share = float(np.mean(np.array(sizes) <= 2 * PERCENT))
    return [
        f"Times: {len(runs)} runs of {len(cases)} rows, {SAVED} drawn as the baseline:",
        Rate("  runs of unchanged code with a false alarm", alarms, DRAWS),
        Rate("  slowdowns of one row by its smallest detectable size that were detected", found, DRAWS),
        Rate(f"  slowdowns of all rows by {PERCENT:g} % that were detected", together, DRAWS),
        f"  rows whose smallest detectable slowdown is {2 * PERCENT:g} % or less: {share:.0%}",
        f"  rows trained again per run of unchanged code: {retrained / DRAWS:.1f}",
    ]


def _judge(drawn: Sequence[EpochTimes], slower: Mapping[str, float]) -> tuple[Judgement, int]:
    """Judges as the gate does, with some rows made slower; also returns the number of retrainings."""
    saved, (now, *others) = drawn[:SAVED], drawn[SAVED:]
    trainings = [Trainings(_slowed(now, slower))]
    judged = judge(trainings, saved, PERCENT)
    again = 0
    for other in others:
        if not judged.suspects:
            break
        chosen = {case: other[case] for case in (*judged.suspects, *judged.controls) if case in other}
        trainings.append(Trainings(_slowed(chosen, slower), judged.controls))
        again += len(chosen)
        judged = judge(trainings, saved, PERCENT)
    return judged, again


def _slowed(times: EpochTimes, slower: Mapping[str, float]) -> EpochTimes:
    return {case: seconds * slower.get(case, 1.0) for case, seconds in times.items()}


def _alarm(judged: Judgement) -> bool:
    rows = any(row.slower for row in judged.rows.values())
    return rows or (judged.together is not None and judged.together.slower)


def accuracies_of(run: SavedRun, rng: np.random.Generator) -> list[Rate | str]:
    """Returns the accuracy gate's false alarms and detections, with SEEDS seeds on each side."""
    quiet = [
        case
        for case, each in run.cases.items()
        if 0 < np.std(each.extra_info.test_accuracy, ddof=1) <= QUIET / 100
    ]
    seeds = min(len(case.extra_info.seeds) for case in run.cases.values())
    alarms = found = 0
    for _ in range(DRAWS):
        drawn = rng.permutation(seeds)[:_FEWEST_SEEDS].tolist()
        ours, theirs = (
            {case: _drawn(each, part) for case, each in run.cases.items()}
            for part in (drawn[:SEEDS], drawn[SEEDS:])
        )
        alarms += any(
            change.outcome == "fell" for change in compare_learning(ours, theirs, POINTS).values()
        )
        if quiet:
            case = quiet[rng.integers(len(quiet))]
            worse = {**ours, case: _lowered(ours[case], POINTS / 100)}
            found += compare_learning(worse, theirs, POINTS)[case].outcome == "fell"
    rates: list[Rate | str] = [
        f"Accuracies: {len(run.cases)} rows under {seeds} seeds ({run.path.name}), {SEEDS} drawn for "
        "each side:",
        Rate("  runs of unchanged code with a false alarm", alarms, DRAWS),
    ]
    if quiet:
        of = f"  drops of {POINTS:g} point detected in one of {len(quiet)} rows that vary by at most"
        rates.append(Rate(f"{of} {QUIET} points", found, DRAWS))
    return rates


def _drawn(case: SavedCase, places: Sequence[int]) -> Learning:
    """Returns the case's learning under some of its seeds, which are renumbered."""
    info = case.extra_info
    return Learning(
        seeds=[*range(len(places))],
        epochs=info.epochs,
        test_accuracy=[info.test_accuracy[place] for place in places],
        epochs_to={
            target: [info.epochs_to[target][place] for place in places] for target in targets_of(info)
        },
    )


def _lowered(learning: Learning, by: float) -> Learning:
    """Returns the same learning with lower accuracies."""
    return replace(learning, test_accuracy=[accuracy - by for accuracy in learning.test_accuracy])
