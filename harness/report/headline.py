"""The result of an exercise in a sentence: its best rows, and how many rows learned."""

from __future__ import annotations

from ..accuracy import format_accuracy
from ..exercise import row_name
from .alike import LEAST, best, numeric_settings, value_of
from .series import LONGEST, Line, phrase, varying
from .settings import is_number, settings_of

_FEW = 8  # groups in the sentence, at most


def headline(lines: list[Line]) -> str:
    """Returns the best row, compared with the best published one, and how many rows learned.

    If the rows form a few groups (by optimizer, by data set), the best row of each group is named.
    """
    if not lines:
        return "No row of this exercise ran."
    settings = varying([line.case.experiment for line in lines])
    groups = _groups(lines, settings)
    bests = "; ".join(_best(name, group, others) for name, (group, others) in groups.items())
    return f"Best test accuracy: {bests}. {_learned(lines)}"


def _learned(lines: list[Line]) -> str:
    learned = sum(line.case.outcome == "learned" for line in lines)
    return f"{learned or 'None'} of {len(lines)} rows learned ({_learned_from(lines)})."


def _learned_from(lines: list[Line]) -> str:
    """Returns the test accuracy from which a row has learned, like "90 % test accuracy or more"."""
    least = {line.case.experiment.dataset: line.case.experiment.dataset.learned_from for line in lines}
    if len({*least.values()}) == 1:
        return f"{100 * min(least.values()):.0f} % test accuracy or more"
    return "test accuracy " + ", ".join(f"{100 * each:.0f} % on {name}" for name, each in least.items())


def _groups(lines: list[Line], settings: list[str]) -> dict[str, tuple[list[Line], list[str]]]:
    """Returns the groups of rows by name, each with the settings that identify its best row.

    The rows of a group differ only in one numeric setting. Otherwise they have the same value of another
    setting, preferably of the data set, as accuracies on two data sets do not compare; or all rows are
    one group.
    """
    numeric = max(numeric_settings(lines), key=lambda alike: len(alike.groups[0]), default=None)
    if numeric:
        own = [name for name in settings if name.replace("_", " ") == numeric.setting]
        others = [name for name in settings if name not in own]
        if own and others and (groups := _by(lines, others)):
            return {name: (group, own) for name, group in groups.items()}
    for setting in sorted(settings, key=lambda name: name != "dataset"):
        if groups := _by(lines, [setting]):
            others = [name for name in settings if name != setting] or settings
            return {name: (group, others) for name, group in groups.items()}
    return {"": (lines, settings)}


def _by(lines: list[Line], settings: list[str]) -> dict[str, list[Line]]:
    """Groups the lines by their settings; empty unless there are few groups, each of several lines."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(phrase(line.case.experiment, settings), []).append(line)
    few = 1 < len(groups) <= _FEW and min(map(len, groups.values())) > 1
    return groups if few else {}


def _best(name: str, group: list[Line], settings: list[str]) -> str:
    """Returns a group's best row, like "SGD 0.984 at rate 1 (published: 0.973 at rate 0.01)"."""
    top = best(group)
    where = _where(top, settings) + _edge(top, group, settings)
    text = f"{name} {format_accuracy(top.case.test_accuracy)} {where}"
    published = [
        (accuracy, line) for line in group if (accuracy := line.case.paper.test_accuracy) is not None
    ]
    if published:
        accuracy, theirs = max(published, key=lambda pair: pair[0])
        where = "in the same row" if theirs is top else _where(theirs, settings)
        text += f" (published: {accuracy:.3f} {where})"
    return text.strip()


def _edge(top: Line, group: list[Line], settings: list[str]) -> str:
    """Returns a remark if the best row is at an end of the values tried of one numeric setting."""
    if len(settings) != 1:
        return ""
    name = settings[0].replace("_", " ")
    numeric = all(is_number(settings_of(line.case.experiment).get(name)) for line in group)
    values = {value_of(line, name) for line in group} if numeric else set()
    if len(values) < LEAST:
        return ""
    ends = {min(values): ", the lowest tried", max(values): ", the highest tried"}
    return ends.get(value_of(top, name), "")


def _where(line: Line, settings: list[str]) -> str:
    """Returns the row's settings, like "at rate 1"; if they are too long, the row's name."""
    words = phrase(line.case.experiment, settings)
    if not 0 < len(words) <= LONGEST:
        words = row_name(line.case.id)
    return f"{'at' if words.startswith(('rate ', 'batch ')) else 'for'} {words}"
