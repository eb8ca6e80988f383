"""Rows that are alike but for one setting, and the few of many that stand for all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .series import Line
from .settings import is_number, settings_of

LEAST = 3
"""The fewest values of a setting, among rows that are otherwise alike, that make a figure."""


@dataclass(frozen=True)
class Alike:
    """The groups of rows that differ in one setting alone, which is a number."""

    setting: str
    groups: list[list[Line]]
    """In the exercise's order, each sorted by the setting. At least one has `LEAST` values."""


def numeric_settings(lines: Sequence[Line]) -> list[Alike]:
    """The numeric settings that `LEAST` or more rows differ in alone."""
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
    """A row's value of a setting that is a number."""
    return float(settings_of(line.case.experiment)[setting])


def _values(lines: Sequence[Line], setting: str) -> int:
    """How many values of the setting the rows have."""
    return len({value_of(line, setting) for line in lines})


def alike_but_for(lines: Sequence[Line], names: Collection[str]) -> list[list[Line]]:
    """The rows in groups whose settings are the same but for those of these names, in their order."""
    groups: dict[object, list[Line]] = {}
    for line in lines:
        settings = settings_of(line.case.experiment).items()
        groups.setdefault(tuple(each for each in settings if each[0] not in names), []).append(line)
    return [*groups.values()]


def accuracy(line: Line) -> float:
    """The final test accuracy of a row, averaged over its seeds."""
    return float(np.mean(line.case.test_accuracy))


def best(lines: Sequence[Line]) -> Line:
    """The row with the highest final test accuracy; of several, the first."""
    return max(lines, key=accuracy)


def best_few(lines: Sequence[Line], most: int) -> list[Line]:
    """The `most` rows with the highest final test accuracies, in their original order."""
    order = sorted(range(len(lines)), key=lambda at: -accuracy(lines[at]))
    return [lines[at] for at in sorted(order[:most])]


@dataclass(frozen=True)
class Few:
    """The rows that stand for all of an exercise where these are too many to be seen at once."""

    lines: list[Line]
    differing: list[str]
    """The settings in which the rows that each of them stands for differ."""
    note: str
    """Says which rows they are, in a sentence; empty where they are all."""


def representatives(lines: Sequence[Line], most: int) -> Few:
    """All rows, or of more than `most` the best of each group that differs in one setting alone.

    Where these are still too many, the groups differ in a second setting, and so on; where no such
    groups are left, the best rows count.
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
        if len(folded) < 2:  # a single row would not stand for the others
            break
        differing.append(alike.setting)
        shown = folded
        if len(shown) <= most:
            break
    of_groups = f"of each group of rows that differ in {' and '.join(differing)} alone"
    if len(shown) > most:
        shown = best_few(shown, most)
        which = f"those that end best, one {of_groups}" if differing else "those that end best"
    else:
        which = f"the best one {of_groups}"
    return Few(shown, differing, f"Shown are {len(shown)} of {len(lines)} rows: {which}.")
