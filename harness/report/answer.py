"""What an exercise's rows came to, in a sentence with its figures."""

from __future__ import annotations

import numpy as np

from ..stats import format_mean
from .lines import Line, phrase, varying


def answer(lines: list[Line]) -> str:
    """The best row of each way to train, beside the best published one, and how many learned."""
    if not lines:
        return "None of its rows ran."
    best = [_best(name, group) for name, group in _ways(lines).items()]
    learned = [line for line in lines if line.case.outcome == "learned"]
    outcome = (
        f"{len(learned)} of {len(lines)} rows learned (90 % test accuracy or more)"
        if learned
        else f"none of {len(lines)} rows learned (90 % test accuracy or more)"
    )
    told = f"{'; '.join(best)}; {outcome}."
    return told[0].upper() + told[1:]


def _ways(lines: list[Line]) -> dict[str, list[Line]]:
    """By optimizer, order or batch size, if there are two of them; else all together."""
    experiments = [line.case.experiment for line in lines]
    for setting in varying(experiments):
        groups: dict[str, list[Line]] = {}
        for line in lines:
            groups.setdefault(phrase(line.case.experiment, [setting]), []).append(line)
        if len(groups) == 2 and len(lines) > 2:
            return groups
    return {"": lines}


def _best(name: str, group: list[Line]) -> str:
    top = max(group, key=lambda line: float(np.mean(line.case.test_accuracy)))
    of_name = f" of {name}" if name and len(group) > 1 else ""
    told = f"best test accuracy{of_name}: {format_mean(top.case.test_accuracy)} by {top.label}"
    published = [
        (accuracy, line) for line in group if (accuracy := line.case.paper.test_accuracy) is not None
    ]
    if not published:
        return told
    accuracy, theirs = max(published, key=lambda each: each[0])
    which = "the same" if theirs is top else theirs.label
    return f"{told} (published: {accuracy:.3f} by {which})"
