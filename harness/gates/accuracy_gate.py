"""`--accuracy-compare-fail`: how this run learns, against a saved run."""

from __future__ import annotations

from collections import Counter

from ..compare.learning import Change, LearningOutcome, compare_learning
from ..wording import count_rows, first_few
from .baselines import FOR_ACCURACY, Cases, SavedRun
from .gate_result import Finding, GateResult

ACCURACY_OPTION = "--accuracy-compare-fail"

_OUTCOMES: dict[LearningOutcome, str] = {
    "identical": "identical",
    "held": "held",
    "fell": "worse",
    "underpowered": "inconclusive",
}


def check_accuracies(
    result: GateResult, current: Cases, run: SavedRun, points: float, *, bare: bool
) -> None:
    """Adds to `result` which rows learn worse than in the saved run, and what it could have seen."""
    common, where = (
        comparable(result, ACCURACY_OPTION, current, run, FOR_ACCURACY),
        f"than in {run.path.stem}",
    )
    ours, theirs = ({case: side[case].extra_info for case in common} for side in (common, run.cases))
    changes = compare_learning(ours, theirs, points, bare=bare)
    for case, change in changes.items():
        figures = {
            "before": change.before,
            "now": change.now,
            "seeds": change.seeds,
            "p": change.p,
            "detectable": change.detectable,
            "seeds_needed": change.seeds_needed,
        }
        if change.outcome == "fell":
            result.failures.append(
                Finding(ACCURACY_OPTION, case, "learns worse", f"{_worse(change)} {where}", figures)
            )
        elif change.outcome == "underpowered":
            text, takes = _underpowered(change, points)
            result.underpowered.append(
                Finding(ACCURACY_OPTION, case, "underpowered", text, figures, takes)
            )
        else:
            result.passed.append(Finding(ACCURACY_OPTION, case, change.outcome, change.outcome, figures))
    counts = Counter(change.outcome for change in changes.values())
    if changes:
        told = ", ".join(f"{count} {_OUTCOMES[outcome]}" for outcome, count in counts.items())
        result.notes.append(f"Learning: {count_rows(len(changes))} against {run.path.stem}: {told}.")
    result.require_decided(ACCURACY_OPTION, len(changes), counts["underpowered"], run.path.stem)


def comparable(
    result: GateResult, option: str, current: Cases, run: SavedRun, names: tuple[str, ...]
) -> Cases:
    """The rows that are in both and alike in `names`; adds to `result` why others are not compared."""
    common = {case: ours for case, ours in current.items() if case in run.cases}
    if not common:
        text = f"nothing was compared: this run and {run.path.stem} have no row in common"
        result.failures.append(Finding(option, None, "not compared", text))
        return {}
    if new := [case for case in current if case not in common]:
        result.notes.append(f"Not in {run.path.stem}, so not compared: {first_few(new)}.")
    alike = {}
    for case, ours in common.items():
        theirs = run.cases[case]
        differing = ours.differences(theirs, names)
        if not {*ours.extra_info.seeds} & {*theirs.extra_info.seeds}:
            differing.append("no seed in common")
        if differing:
            text = f"cannot be compared with {run.path.stem}: {'; '.join(differing)}"
            result.failures.append(Finding(option, case, "not compared", text))
        else:
            alike[case] = ours
    return alike


def _worse(change: Change) -> str:
    text = f"test accuracy {change.before:.4f}, now {change.now:.4f}"
    fall = 100 * (change.before - change.now)
    by = f"{abs(fall):.2f} points {'lower' if fall > 0 else 'higher'}" if fall else "unchanged"
    if change.seeds > 1:
        text += f" ({by}, mean of {change.seeds} seeds, p = {change.p:.2g})"
    else:
        text += f" ({by}, one seed)"
    return f"{change.delay}; {text}" if change.delay else f"learns worse: {text}"


def _underpowered(change: Change, points: float) -> tuple[str, str]:
    """What might have been missed, and what it takes to find it."""
    drop = f"a drop of {points:g} point{'s' if points != 1 else ''}"
    if change.seeds == 1:
        return (
            f"one seed cannot distinguish {drop} from noise (use --replicates, or --fail-bare-falls)",
            "",
        )
    needs = f"about {change.seeds_needed}" if change.seeds_needed else "over 1000"
    return f"{change.seeds} seeds may have missed {drop}; the seeds needed are in brackets", needs
