"""`--time-compare-fail`: this run's times against all saved ones that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..wording import count_rows, first_few
from .baselines import FOR_TIMES, Cases, SavedRun
from .gate_result import Finding, GateResult
from .retraining import RetrainingError
from .slowdown import RETRAININGS, Judgement, Slowdown, Trainings, judge

TIME_OPTION = "--time-compare-fail"

_NEWEST = 30  # saved runs that count
FEWEST = 5  # of a row, to know how much it varies

Retrain = Callable[[Collection[str]], Cases]


def check_times(
    result: GateResult, current: Cases, runs: Sequence[SavedRun], percent: float, retrain: Retrain
) -> list[SavedRun]:
    """Adds to `result` which rows are slower than in saved `runs`, and what it could have seen.

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
            f"nothing was compared: needs {FEWEST} saved runs of a row with the same settings, on "
            f"such hardware, and no row has more than {max(map(len, counted.values()), default=0)}"
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
        result.notes.append(f"Suspect rows could not be trained again: {error}")
    undecided = _tell(result, judged, saved_runs=len(saved), percent=percent)
    new = [case for case in current if not any(case in run.cases for run in runs)]
    few = {case: len(of) for case, of in counted.items() if case not in enough and case not in new}
    for case, count in few.items():
        text = f"a row needs {FEWEST} saved runs that can be compared; how many it has is in brackets"
        result.underpowered.append(Finding(TIME_OPTION, case, "underpowered", text, takes=str(count)))
    result.require_decided(TIME_OPTION, len(judged.rows), undecided, f"{len(saved)} saved runs")
    if new:
        result.notes.append(f"Not in saved runs, so not compared: {first_few(new)}.")
    return used


def counting(case: str, runs: Sequence[SavedRun]) -> list[SavedRun]:
    """The runs with that row, from the last accepted one of them on."""
    having = [run for run in runs if case in run.cases]
    accepted = [index for index, run in enumerate(having) if run.accepted]
    return having[accepted[-1] :] if accepted else having


def most_that_could_count(runs: Sequence[SavedRun], known: Mapping[str, object]) -> int:
    """How many runs any row has at most with these settings, all that is known before it trains."""
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
    """The rows that this run lacks and the runs `used` have, each with the last run that has it.

    A row that a later whole run lacks is left out: somebody removed it, and saved a run without it.
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


def _tell(result: GateResult, judged: Judgement, *, saved_runs: int, percent: float) -> int:
    """Adds to `result` what was found; returns how many rows could not be decided."""
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
            text = f"may have missed a slowdown of {percent:g} %; the detectable one is in brackets"
            takes = f"{row.detectable:.0f} %"
            result.underpowered.append(Finding(TIME_OPTION, case, "underpowered", text, figures, takes))
        else:
            result.passed.append(Finding(TIME_OPTION, case, "not slower", "not slower", figures))
    smallest = [row.detectable for row in judged.rows.values()]
    in_all = f", of {judged.together.detectable:.0f} % in all rows together" if judged.together else ""
    result.notes.append(
        f"Times: {count_rows(len(judged.rows))} against {saved_runs} saved runs. A slowdown of "
        f"{np.median(smallest):.0f} % in the median row would have been found, of "
        f"{max(smallest):.0f} % in the noisiest{in_all} (gate.json has each row's)."
    )
    if any(size > percent for size in smallest):
        result.notes.append(
            "Smaller slowdowns can be detected with more saved runs, more epochs (--scale paper), or "
            "A/B (make ab BASE=REVISION)."
        )
    return undecided


def _slower(case: str | None, row: Slowdown) -> str:
    low, high = row.interval
    by = f"slower by {row.percent:.0f} % (95 % interval {low:.0f} to {high:.0f} %)"
    if case is None:
        return f"All rows together are {by} than in {row.saved} saved runs."
    times = "once" if row.trainings == 1 else f"{row.trainings} times"
    return f"{by} than in {row.saved} saved runs, trained {times}"
