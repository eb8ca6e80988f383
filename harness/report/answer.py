"""What an exercise's rows came to, in a sentence with its figures."""

from __future__ import annotations

import numpy as np

from ..exercise import row_name
from ..stats import format_mean
from .lines import Line, phrase, varying

_MOST = 8  # groups whose best rows a sentence can name
_NUMBERS = ("learning_rate", "batch_size", "init")


def answer(lines: list[Line]) -> str:
    """The best row, beside the best published one, and how many rows learned.

    Where one setting divides the rows into a few groups (optimizers, orders), the best row of each.
    """
    if not lines:
        return "None of its rows ran."
    settings = varying([line.case.experiment for line in lines])
    if any(line.label == row_name(line.case.id) for line in lines):
        top = max(lines, key=lambda line: float(np.mean(line.case.test_accuracy)))
        best = f"{format_mean(top.case.test_accuracy)} by {top.label}"
        return f"Best test accuracy: {best}. {_learned(lines)}"
    divided_by, groups = _groups(lines, settings)
    others = [name for name in settings if name != divided_by] or settings
    best = "; ".join(_best(name, group, others) for name, group in groups.items())
    return f"Best test accuracy: {best}. {_learned(lines)}"


def _learned(lines: list[Line]) -> str:
    learned = sum(line.case.outcome == "learned" for line in lines)
    return f"{learned or 'None'} of {len(lines)} rows learned ({_learned_from(lines)})."


def _learned_from(lines: list[Line]) -> str:
    """From which test accuracy on, like "90 % test accuracy or more"."""
    least = {line.case.experiment.dataset: line.case.experiment.dataset.learned_from for line in lines}
    if len({*least.values()}) == 1:
        return f"{100 * min(least.values()):.0f} % test accuracy or more"
    return "test accuracy " + ", ".join(f"{100 * each:.0f} % on {name}" for name, each in least.items())


def _groups(lines: list[Line], settings: list[str]) -> tuple[str | None, dict[str, list[Line]]]:
    """A setting that divides the lines into a few groups, and the lines by its value; or all together.

    A number divides them only in two: of more, the best one is what is asked for.
    """
    for setting in settings:
        groups: dict[str, list[Line]] = {}
        for line in lines:
            groups.setdefault(phrase(line.case.experiment, [setting]), []).append(line)
        most = 2 if setting in _NUMBERS else _MOST
        if 2 <= len(groups) <= most and len(lines) > len(groups):
            return setting, groups
    return None, {"": lines}


def _best(name: str, group: list[Line], settings: list[str]) -> str:
    """Like "SGD 0.984 at rate 1 (published: 0.973 at rate 0.01)"."""
    top = max(group, key=lambda line: float(np.mean(line.case.test_accuracy)))
    text = f"{name} {format_mean(top.case.test_accuracy)} at {phrase(top.case.experiment, settings)}"
    published = [
        (accuracy, line) for line in group if (accuracy := line.case.paper.test_accuracy) is not None
    ]
    if published:
        accuracy, theirs = max(published, key=lambda pair: pair[0])
        where = "the same" if theirs is top else phrase(theirs.case.experiment, settings)
        text += f" (published: {accuracy:.3f} at {where})"
    return text.strip()
