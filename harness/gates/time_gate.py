"""`--time-compare-fail`: this run's times against all saved ones that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from .answer import Answer, Finding, listed, rows
from .baselines import FOR_TIMES, Cases, SavedRun
from .retraining import RetrainingError
from .slowdown import RETRAININGS, Judgement, Slowdown, Trainings, judge

OPTION = "--time-compare-fail"

_NEWEST = 30  # saved runs that count
_FEWEST = 5  # that tell how much rows vary

Retrain = Callable[[Collection[str]], Cases]


def ask(
    answer: Answer, current: Cases, runs: Sequence[SavedRun], percent: float, retrain: Retrain
) -> None:
    """Adds to `answer` which rows are slower than in saved `runs`, and what it could have seen."""
    alike = [_alike(current, run) for run in _counted(runs)]
    saved = [times for times in alike if times][-_NEWEST:]
    if len(saved) < _FEWEST:
        _tell_too_few(answer, len(saved))
        return
    now = [Trainings(_times(current))]
    judged = judge(now, saved, percent)
    try:
        while judged.suspects and len(now) <= RETRAININGS:
            again = retrain([*judged.suspects, *judged.controls])
            now.append(Trainings(_times(again), judged.controls))
            judged = judge(now, saved, percent)
    except RetrainingError as error:
        answer.notes.append(f"Suspect rows could not be trained again: {error}")
    _tell(answer, judged, saved_runs=len(saved), percent=percent)
    if new := [case for case in current if case not in judged.rows]:
        answer.notes.append(f"Not in saved runs, so not compared: {listed(new)}.")


def _tell_too_few(answer: Answer, saved: int) -> None:
    if saved == 0:
        text = "nothing was compared: no saved run has a row of this one, set up alike, on such hardware"
        answer.failures.append(Finding(OPTION, None, "not compared", text))
    else:
        text = f"slowdowns can be told from {_FEWEST} saved runs on, and there are {saved}; save more"
        answer.underpowered.append(Finding(OPTION, None, "underpowered", text))


def _times(cases: Cases) -> dict[str, float]:
    return {name: case.stats.min for name, case in cases.items()}


def _alike(current: Cases, run: SavedRun) -> dict[str, float]:
    """The times of a saved run's rows that can be compared with this one's."""
    return {
        name: seconds
        for name, seconds in _times(run.cases).items()
        if name in current and not current[name].differences(run.cases[name], FOR_TIMES)
    }


def _counted(runs: Sequence[SavedRun]) -> Sequence[SavedRun]:
    """The runs from the last accepted one on."""
    accepted = [index for index, run in enumerate(runs) if run.accepted]
    return runs[accepted[-1] :] if accepted else runs


def _tell(answer: Answer, judged: Judgement, *, saved_runs: int, percent: float) -> None:
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
            answer.failures.append(Finding(OPTION, case, "slower", _slower(case, row), figures))
        elif row.detectable > percent:
            text = (
                f"a slowdown by {percent:g} % might have been missed, but not by so much as in brackets"
            )
            takes = f"{row.detectable:.0f} %"
            answer.underpowered.append(Finding(OPTION, case, "underpowered", text, figures, takes))
        else:
            answer.passed.append(Finding(OPTION, case, "not slower", "not slower", figures))
    smallest = [row.detectable for row in judged.rows.values()]
    in_all = f", of {judged.together.detectable:.0f} % in all rows together" if judged.together else ""
    answer.notes.append(
        f"Times: {rows(len(judged.rows))} against {saved_runs} saved runs. A slowdown of "
        f"{np.median(smallest):.0f} % in the median row would have been found, of "
        f"{max(smallest):.0f} % in the noisiest{in_all} (gate.json has each row's)."
    )
    if any(size > percent for size in smallest):
        answer.notes.append(
            "Smaller slowdowns show with more saved runs, more epochs (--scale paper), or in turns: "
            "make ab BASE=REVISION."
        )


def _slower(case: str | None, row: Slowdown) -> str:
    low, high = row.interval
    by = f"slower by {row.percent:.0f} % (95 % interval {low:.0f} to {high:.0f} %)"
    if case is None:
        return f"All rows together are {by} than in {row.saved} saved runs."
    times = "once" if row.trainings == 1 else f"{row.trainings} times"
    return f"{by} than in {row.saved} saved runs, trained {times}"
