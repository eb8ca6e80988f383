"""`--time-compare-fail`: compares this run's times with all comparable saved runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..wording import counted, first_few
from .baselines import FOR_TIMES, Cases, SavedRun
from .gate_result import Finding, GateResult
from .retraining import RetrainingError
from .slowdown import RETRAININGS, Judgement, Slowdown, Trainings, judge

TIME_OPTION = "--time-compare-fail"

_NEWEST = 30  # saved runs that are compared
FEWEST = 5  # saved runs of a row that are needed to estimate its noise

Retrain = Callable[[Collection[str]], Cases]


def check_times(
    result: GateResult, current: Cases, runs: Sequence[SavedRun], percent: float, retrain: Retrain
) -> list[SavedRun]:
    """Adds to `result` which rows are slower than in the saved `runs`, and which cannot be decided.

    Returns the runs that it compared with, oldest first.
    """
    counted = {
        case: [run for run in counting(case, runs) if not ours.differences(run.cases[case], FOR_TIMES)][
            -_NEWEST:
        ]
        for case, ours in current.items()
    }
    enough = {case: of for case, of in counted.items() if len(of) >= FEWEST}
    if not enough:
        text = (
            f"nothing was compared: a row needs {FEWEST} saved runs with the same settings and "
            f"hardware, and no row has more than {max(map(len, counted.values()), default=0)}"
        )
        result.failures.append(Finding(TIME_OPTION, None, "not compared", text))
        return []
    times: dict[Path, dict[str, float]] = {run.path: {} for run in runs}
    for case, of in enough.items():
        for run in of:
            times[run.path][case] = run.cases[case].stats.min
    used = [run for run in runs if times[run.path]]
    saved = [times[run.path] for run in used]
    now = [Trainings(_times(current))]
    judged = judge(now, saved, percent)
    try:
        while judged.suspects and len(now) <= RETRAININGS:
            again = retrain([*judged.suspects, *judged.controls])
            now.append(Trainings(_times(again), judged.controls))
            judged = judge(now, saved, percent)
    except RetrainingError as error:
        result.notes.append(f"Rows that look slower could not be trained again: {error}")
    undecided = _report(result, judged, saved_runs=len(saved), percent=percent)
    new = [case for case in current if not any(case in run.cases for run in runs)]
    few = {case: len(of) for case, of in counted.items() if case not in enough and case not in new}
    for case, count in few.items():
        text = f"fewer than {FEWEST} comparable saved runs; number found in parentheses"
        result.underpowered.append(Finding(TIME_OPTION, case, "underpowered", text, takes=str(count)))
    result.require_decided(TIME_OPTION, len(judged.rows), undecided, f"{len(saved)} saved runs")
    if new:
        result.notes.append(f"Not in any saved run, so not compared: {first_few(new)}.")
    return used


def counting(case: str, runs: Sequence[SavedRun]) -> list[SavedRun]:
    """Returns the runs that have the row, starting with the last accepted one among them."""
    having = [run for run in runs if case in run.cases]
    accepted = [index for index, run in enumerate(having) if run.accepted]
    return having[accepted[-1] :] if accepted else having


def most_that_could_count(runs: Sequence[SavedRun], known: Mapping[str, object]) -> int:
    """Returns the largest number of runs that any row has with the settings `known` before training."""
    cases = set().union(*(run.cases for run in runs))
    return max(
        (
            sum(
                all(
                    str(getattr(run.cases[case].extra_info, name)) == str(value)
                    for name, value in known.items()
                )
                for run in counting(case, runs)
            )
            for case in cases
        ),
        default=0,
    )


def absent(current: Cases, runs: Sequence[SavedRun], used: Sequence[SavedRun]) -> dict[str, str]:
    """Returns the rows that `used` has and this run lacks, each with the newest run that has it.

    Leaves out a row that a later run of the whole suite lacks: it was removed, and a run saved since.
    """
    newest = {case: run for run in used for case in run.cases if case not in current}
    return {
        case: run.path.stem
        for case, run in newest.items()
        if not any(
            later.whole and case not in later.cases
            for later in runs[[each.path for each in runs].index(run.path) + 1 :]
        )
    }


def _times(cases: Cases) -> dict[str, float]:
    return {name: case.stats.min for name, case in cases.items()}


def _report(result: GateResult, judged: Judgement, *, saved_runs: int, percent: float) -> int:
    """Adds the findings to `result`; returns how many rows are inconclusive."""
    undecided = 0
    together = [(None, judged.together)] if judged.together else []
    for case, row in (*together, *judged.rows.items()):
        figures = {
            "percent": row.percent,
            "interval": row.interval,
            "p": row.p,
            "trainings": row.trainings,
            "saved_runs": row.saved,
            "detectable": row.detectable,
        }
        if row.slower:
            result.failures.append(Finding(TIME_OPTION, case, "slower", _slower(case, row), figures))
        elif row.detectable > percent:
            undecided += case is not None
            text = (
                f"slowdowns of {percent:g} % may go undetected; smallest detectable slowdown in "
                "parentheses"
            )
            takes = f"{row.detectable:.0f} %"
            result.underpowered.append(Finding(TIME_OPTION, case, "underpowered", text, figures, takes))
        else:
            result.passed.append(Finding(TIME_OPTION, case, "not slower", "not slower", figures))
    smallest = [row.detectable for row in judged.rows.values()]
    in_all = f", {judged.together.detectable:.0f} % in all rows together" if judged.together else ""
    result.notes.append(
        f"Times: {counted(len(judged.rows), 'row')} compared with {saved_runs} saved runs. Smallest "
        f"detectable slowdown: {np.median(smallest):.0f} % in the median row, {max(smallest):.0f} % in "
        f"the noisiest row{in_all}; gate.json lists every row."
    )
    if any(size > percent for size in smallest):
        result.notes.append(
            "To detect smaller slowdowns, save more runs, train more epochs (--scale paper), or use A/B "
            "(make ab BASE=REVISION)."
        )
    return undecided


def _slower(case: str | None, row: Slowdown) -> str:
    low, high = row.interval
    text = (
        f"{row.percent:.0f} % slower than in {row.saved} saved runs (95 % interval {low:.0f} to "
        f"{high:.0f} %)"
    )
    if case is None:
        return f"all rows together are {text}"
    return f"{text}, trained {'once' if row.trainings == 1 else f'{row.trainings} times'}"
