"""What to run after a run, and how long that takes, predicted from the run's own times."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from ..files.summary import Summary
from ..verdicts import ONE_SEED_IS_TOO_FEW
from ..wording import counted, format_duration

_SEEDS = 5


class NextStep(NamedTuple):
    """A command, and what it is for."""

    command: str
    why: str


def next_steps(summary: Summary) -> list[NextStep]:
    """Returns the full scale, if this run has a smaller one, and several seeds, if it has one."""
    steps = []
    factor = _more_epochs(summary)
    if summary.full_scale and summary.scale != summary.full_scale and factor:
        epochs = max(each.full_epochs or 0 for each in summary.exercises)
        steps.append(
            NextStep(
                _with(summary.command, "--scale", summary.full_scale),
                f"{counted(epochs, 'epoch')}: about {format_duration(factor)} of training here",
            )
        )
    if summary.cases and max(len(case.seeds) for case in summary.cases) == 1:
        too_few = (claim.evidence.endswith(ONE_SEED_IS_TOO_FEW) for claim in summary.claims)
        open_claims = sum(too_few)
        seconds = _SEEDS * sum(case.seconds for case in summary.cases)
        gives = (
            f"may decide {counted(open_claims, 'inconclusive claim')}"
            if open_claims
            else "95 % intervals"
        )
        steps.append(
            NextStep(
                _with(summary.command, "--replicates", str(_SEEDS)),
                f"{_SEEDS} seeds, {gives}: at most {format_duration(seconds)} of training",
            )
        )
    return steps


def _more_epochs(summary: Summary) -> float:
    """Returns the seconds of training at the full scale, or 0 if its epochs are unknown."""
    full = {case: each.full_epochs for each in summary.exercises for case in each.cases}
    if not summary.cases or any(full.get(case.id) is None for case in summary.cases):
        return 0
    return sum(case.seconds / case.experiment.epochs * (full[case.id] or 0) for case in summary.cases)


def _with(command: str, option: str, value: str) -> str:
    """Returns the pytest command with the option set to that value, and without `--resume`."""
    kept: list[str] = []
    words = iter(shlex.split(command))
    for word in words:
        if word == option:
            next(words, None)
        elif not (word.startswith(f"{option}=") or word == "--resume"):
            kept.append(word)
    return shlex.join([*kept, option, value])
