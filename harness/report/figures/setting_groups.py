"""The groups of rows that differ in one setting alone, as lines in the panels of a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...exercise import row_name
from ..alike import Alike, accuracy, best
from ..series import COLOURS, DASHES, MOST, SHAPES, Line, phrase, restyled, varying

_ALONE = 2  # up to so many groups have a panel each
_MAX_PANELS = 6
_FEW = 4  # values of a setting other than the data set that has a panel for each


@dataclass(frozen=True)
class Group:
    """Rows that differ in the setting alone."""

    look: Line
    """Has the group's label and look."""
    panel: str
    lines: list[Line]
    """By ascending value."""


def has_panels_of_their_own(alike: Alike) -> bool:
    """Whether each group has a panel; else a panel has several."""
    return len(alike.groups) <= _ALONE


def groups_of(alike: Alike, every: Sequence[Line]) -> list[Group]:
    """Returns the groups, each with its panel and with a look that no other group in that panel has.

    If there are more groups than looks, those whose best rows end best are returned. `every` are all
    rows of the exercise.
    """
    experiments = [lines[0].case.experiment for lines in alike.groups]
    settings = varying(experiments, [alike.setting])

    def said(names: Sequence[str]) -> list[str]:
        return [phrase(experiment, names, [alike.setting]) for experiment in experiments]

    if has_panels_of_their_own(alike):
        settings = varying([line.case.experiment for line in every], [alike.setting])
        titles = [title or "all rows" for title in said(settings)]
        return [
            Group(_with_label(lines[0], title, COLOURS[at]), title, lines)
            for at, (title, lines) in enumerate(zip(titles, alike.groups, strict=True))
        ]
    divided_by = _dividing(settings, said)
    labels = said([name for name in settings if name not in divided_by])
    panels = said(divided_by)
    if len({*zip(labels, panels, strict=True)}) < len(labels):  # two numbers that are written alike
        labels = [row_name(lines[0].case.id) for lines in alike.groups]
    named = [*zip(labels, panels, alike.groups, strict=True)]
    highest: dict[str, float] = {}
    for label, _, lines in named:
        highest[label] = max(accuracy(best(lines)), highest.get(label, 0))
    kept = {*sorted(highest, key=lambda label: -highest[label])[:MOST]}
    # The same label has the same look in every panel.
    firsts: dict[str, Line] = {}
    for label, _, lines in named:
        if label in kept:
            firsts.setdefault(label, _with_label(lines[0], label))
    without = [alike.setting, *(name.replace("_", " ") for name in divided_by)]
    looks = {line.label: line for line in restyled([*firsts.values()], without)}
    return [Group(looks[label], panel, lines) for label, panel, lines in named if label in kept]


def _dividing(settings: Sequence[str], said: Callable[[Sequence[str]], list[str]]) -> list[str]:
    """The data set; or else, of more groups than there are colours, the setting with fewest values."""
    counted = {name: len({*said([name])}) for name in settings}
    if len(settings) < 2:
        return []
    if 1 < counted.get("dataset", 0) <= _MAX_PANELS:
        return ["dataset"]
    if len(said(settings)) <= len(COLOURS):
        return []
    few = [name for name in settings if counted[name] <= _FEW]
    return [min(few, key=lambda name: counted[name])] if few else []


def _with_label(line: Line, label: str, colour: str = COLOURS[0]) -> Line:
    return replace(line, label=label, colour=colour, dash=DASHES[0], shape=SHAPES[0])
