"""`--accuracy-compare-fail`: compares how this run learns with a saved run."""

from __future__ import annotations

from collections import Counter

from ..compare.learning import Change, LearningOutcome, compare_learning
from ..wording import counted, first_few
from .baselines import FOR_ACCURACY, Cases, SavedRun
from .gate_result import Finding, GateResult

ACCURACY_OPTION = "--accuracy-compare-fail"

_OUTCOMES: dict[LearningOutcome, str] = {
    "identical": "identical",
    "held": "not worse",
    "fell": "worse",
    "underpowered": "inconclusive",
}


def check_accuracies(
    result: GateResult, current: Cases, run: SavedRun, points: float, *, bare: bool
) -> None:
    """Adds to `result` which rows learn worse than in the saved run, and which cannot be decided."""
    common = comparable(result, ACCURACY_OPTION, current, run, FOR_ACCURACY)
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
            text = _worse(change, run.path.stem)
            result.failures.append(Finding(ACCURACY_OPTION, case, "learns worse", text, figures))
        elif change.outcome == "underpowered":
            text, takes = _underpowered(change, points)
            result.underpowered.append(
                Finding(ACCURACY_OPTION, case, "underpowered", text, figures, takes)
            )
        else:
            text = _OUTCOMES[change.outcome]
            result.passed.append(Finding(ACCURACY_OPTION, case, change.outcome, text, figures))
    counts = Counter(change.outcome for change in changes.values())
    if changes:
        summary = ", ".join(f"{count} {_OUTCOMES[outcome]}" for outcome, count in counts.items())
        compared = f"{counted(len(changes), 'row')} compared with {run.path.stem}"
        result.notes.append(f"Learning: {compared}: {summary}.")
    result.require_decided(ACCURACY_OPTION, len(changes), counts["underpowered"], run.path.stem)


def comparable(
    result: GateResult, option: str, current: Cases, run: SavedRun, names: tuple[str, ...]
) -> Cases:
    """Returns the rows that both runs have, with equal values of the fields `names`.

    Adds to `result` why the others are not compared.
    """
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


def _worse(change: Change, run: str) -> str:
    drop = 100 * (change.before - change.now)
    seeds = f"mean of {change.seeds} seeds, p = {change.p:.2g}" if change.seeds > 1 else "one seed"
    if not change.delay:
        return (
            f"test accuracy dropped by {drop:.2f} points, from {change.before:.4f} in {run} to "
            f"{change.now:.4f} ({seeds})"
        )
    by = f"{abs(drop):.2f} points {'lower' if drop > 0 else 'higher'}" if drop else "unchanged"
    return (
        f"{change.delay} than in {run}; final test accuracy was {change.before:.4f} and is now "
        f"{change.now:.4f} ({by}, {seeds})"
    )


def _underpowered(change: Change, points: float) -> tuple[str, str]:
    """Returns which drop may go undetected, and how many seeds would detect it."""
    drop = f"a {points:g}-point drop in accuracy"
    if change.seeds == 1:
        return (
            f"one seed cannot distinguish {drop} from noise; use --replicates to train more seeds, or "
            "--fail-bare-falls to compare accuracies regardless of noise",
            "",
        )
    needs = f"about {change.seeds_needed}" if change.seeds_needed else "over 1000"
    return f"{change.seeds} seeds cannot reliably detect {drop}; seeds needed in parentheses", needs
