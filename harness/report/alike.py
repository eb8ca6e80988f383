"""Groups of rows that differ in a single setting, and a few rows that represent many."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .series import Line
from .settings import is_number, settings_of

LEAST = 3
"""The fewest values of a setting, among otherwise equal rows, that are worth a figure."""


@dataclass(frozen=True)
class Alike:
    """The groups of rows that differ only in one numeric setting."""

    setting: str
    groups: list[list[Line]]
    """In the exercise's order; each is sorted by the setting. At least one has `LEAST` values."""


def numeric_settings(lines: Sequence[Line]) -> list[Alike]:
    """Returns each numeric setting that has `LEAST` or more values among otherwise equal rows."""
    names = dict.fromkeys(name for line in lines for name in settings_of(line.case.experiment))
    found = []
    for name in names:
        numbered = [line for line in lines if is_number(settings_of(line.case.experiment).get(name))]
        if _values(numbered, name) < LEAST:
            continue
        groups = [
            sorted(group, key=lambda line, name=name: value_of(line, name))  # type: ignore[misc]
            for group in alike_but_for(numbered, [name])
            if _values(group, name) > 1
        ]
        if any(_values(group, name) >= LEAST for group in groups):
            found.append(Alike(name, groups))
    return found


def value_of(line: Line, setting: str) -> float:
    """Returns a row's value of a numeric setting."""
    return float(settings_of(line.case.experiment)[setting])


def _values(lines: Sequence[Line], setting: str) -> int:
    """Returns the number of distinct values of the setting."""
    return len({value_of(line, setting) for line in lines})


def alike_but_for(lines: Sequence[Line], names: Collection[str]) -> list[list[Line]]:
    """Groups the rows whose settings are equal except for those named, in their order."""
    groups: dict[object, list[Line]] = {}
    for line in lines:
        settings = settings_of(line.case.experiment).items()
        groups.setdefault(tuple(each for each in settings if each[0] not in names), []).append(line)
    return [*groups.values()]


def accuracy(line: Line) -> float:
    """Returns the final test accuracy of a row, averaged over its seeds."""
    return float(np.mean(line.case.test_accuracy))


def best(lines: Sequence[Line]) -> Line:
    """Returns the row with the highest final test accuracy, the first of equal ones."""
    return max(lines, key=accuracy)


def best_few(lines: Sequence[Line], most: int) -> list[Line]:
    """Returns the `most` rows with the highest final test accuracies, in their original order."""
    order = sorted(range(len(lines)), key=lambda at: -accuracy(lines[at]))
    return [lines[at] for at in sorted(order[:most])]


@dataclass(frozen=True)
class Few:
    """The rows that represent all rows of an exercise if these are too many for one figure."""

    lines: list[Line]
    differing: list[str]
    """The settings in which the rows represented by the same row differ."""
    note: str
    """A sentence that says which rows they are; empty if they are all rows."""


def representatives(lines: Sequence[Line], most: int) -> Few:
    """Returns all rows, or the best row of each group that differs in one setting.

    If these are still more than `most`, the rows of a group may differ in a second setting, and so on.
    If no such groups are left, the best rows are returned.
    """
    if len(lines) <= most:
        return Few([*lines], [], "")
    differing: list[str] = []
    settings = sorted(
        numeric_settings(lines),
        key=lambda alike: -max(_values(group, alike.setting) for group in alike.groups),
    )
    shown = [*lines]
    for alike in settings:
        folded = [best(group) for group in alike_but_for(lines, [*differing, alike.setting])]
        if len(folded) < 2:  # a single row does not represent all others
            break
        differing.append(alike.setting)
        shown = folded
        if len(shown) <= most:
            break
    of_groups = f"of each group of rows that differ only in {' and '.join(differing)}"
    if len(shown) > most:
        shown = best_few(shown, most)
        which = "those with the highest final accuracy" + f", one {of_groups}" * bool(differing)
    else:
        which = f"the best {of_groups}"
    return Few(shown, differing, f"Showing {len(shown)} of {len(lines)} rows: {which}.")
