"""Fails a run if the saved runs, with this one, have a step for the worse that is not accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..gates.baselines import BaselineError, Cases, read_saved_run
from ..gates.gate_result import Finding, GateResult
from ..wording import counted, first_few
from .detection import COMPARED, FALSE_STEPS, FEWEST_BEFORE, rank_sum_tail
from .past_runs import PastRun, of_cases, of_saved, ordered
from .steps import ACCEPTED_STEPS, SHARE_OF_TIMES, Acceptance, find_steps, one_sidedness
from .tracks import tracks_of

HISTORY_OPTION = "--history-fail"
_THIS_RUN = "this run"


def this_run(current: Cases, versions: Mapping[str, Any], commit: str) -> PastRun:
    """Returns this session's run as the newest of the history, whichever commit it is of."""
    now = datetime.now(UTC)
    return of_cases(_THIS_RUN, current, versions, time=now, commit=commit, committed=now)


def saved_history(files: Sequence[Path]) -> tuple[list[PastRun], list[str]]:
    """Returns the saved runs, and a line for each file that is left out."""
    runs, left_out = [], []
    for path in files:
        try:
            runs.append(of_saved(read_saved_run(path)))
        except BaselineError as error:
            left_out.append(str(error))
    return runs, left_out


def check_history(
    result: GateResult,
    runs: Sequence[PastRun],
    percent: float,
    accepted: Sequence[Acceptance],
    repository: Path,
) -> None:
    """Adds to `result` the steps of the tracks that this run, the last of `runs`, is in."""
    *earlier, now = runs
    history = [*ordered(earlier, repository), now]
    tracks = [track for track in tracks_of(history) if track.runs[-1] is now]
    steps = [step for track in tracks for step in find_steps(track, percent, accepted)]
    judged = 0
    for track in tracks:
        present = [of_run is not None for of_run in track.observations[-1]]
        needed = fewest_runs(sum(present))
        lengths = {
            case: sum(of_run[row] is not None for of_run in track.observations)
            for row, case in enumerate(track.cases)
            if present[row]
        }
        judged += sum(length >= needed for length in lengths.values())
        if short := [case for case, length in lengths.items() if length < needed]:
            result.notes.append(
                f"{HISTORY_OPTION}: a step is only found in rows of {needed} runs or more; shorter: "
                f"{first_few(short)}."
            )
    if not judged:
        text = "no row has a history that is long enough; save more runs, with --benchmark-autosave"
        result.failures.append(Finding(HISTORY_OPTION, None, "not compared", text))
        return
    for step in steps:
        if not step.worse or step.accepted:
            continue
        text = f"{step.size} since {step.track.runs[step.first].name}, {step.commits}"
        takes = f"; to confirm: {step.confirmation}" if step.confirmation else ""
        accept = f"; to accept, add to {ACCEPTED_STEPS}: {step.acceptance}"
        case = step.case if step.row is not None else None
        verdict = "slower" if step.measure == "time" else "learns worse"
        figures = {"change": step.change, "interval": [*step.interval], "measure": step.measure}
        result.failures.append(Finding(HISTORY_OPTION, case, verdict, text + takes + accept, figures))
    result.notes.append(
        f"{HISTORY_OPTION}: {counted(judged, 'row')} judged in {counted(len(history), 'run')}; "
        f"{counted(len(steps), 'step')}, of which {sum(step.worse for step in steps)} for the worse and "
        f"{sum(bool(step.accepted) for step in steps)} accepted."
    )
    if warning := one_sidedness(steps):
        result.notes.append(f"{HISTORY_OPTION}: {warning}.")


def fewest_runs(rows: int) -> int:
    """Returns how many runs of `rows` rows are needed at least to find a step in their times."""
    level = SHARE_OF_TIMES * FALSE_STEPS / (2 * len(COMPARED) * (rows + 1))
    return min(
        next(
            before + since
            for before in range(FEWEST_BEFORE, 10_000)
            if rank_sum_tail(before, since)[0] <= level
        )
        for since in COMPARED[1:]
    )
