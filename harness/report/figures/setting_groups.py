"""Groups of rows that differ in a single setting, as lines in the panels of a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...exercise import row_name
from ..alike import Alike, accuracy, best
from ..series import COLOURS, DASHES, MOST, SHAPES, Line, phrase, restyled, varying

_ALONE = 2  # groups, at most, that have a panel each
_MAX_PANELS = 6
_FEW = 4  # values, at most, of a setting other than the data set with a panel for each value


@dataclass(frozen=True)
class Group:
    """Rows that differ only in the setting."""

    look: Line
    """A line with the group's label, colour, dash and shape."""
    panel: str
    """The title of its panel."""
    lines: list[Line]
    """In ascending order of the setting."""


def has_panels_of_their_own(alike: Alike) -> bool:
    """Returns whether each group has its own panel; otherwise a panel has several groups."""
    return len(alike.groups) <= _ALONE


def groups_of(alike: Alike, every: Sequence[Line]) -> list[Group]:
    """Returns the groups, each with its panel and with a look that is unique in that panel.

    If there are more groups than looks, those with the best rows are returned. `every` has all rows of
    the exercise.
    """
    experiments = [lines[0].case.experiment for lines in alike.groups]
    settings = varying(experiments, [alike.setting])

    def phrases(names: Sequence[str]) -> list[str]:
        return [phrase(experiment, names, [alike.setting]) for experiment in experiments]

    if has_panels_of_their_own(alike):
        settings = varying([line.case.experiment for line in every], [alike.setting])
        titles = [title or "all rows" for title in phrases(settings)]
        return [
            Group(_with_label(lines[0], title, at), title, lines)
            for at, (title, lines) in enumerate(zip(titles, alike.groups, strict=True))
        ]
    divided_by = _dividing(settings, phrases)
    labels = phrases([name for name in settings if name not in divided_by])
    panels = phrases(divided_by)
    if len({*zip(labels, panels, strict=True)}) < len(labels):  # two numbers are written the same
        labels = [row_name(lines[0].case.id) for lines in alike.groups]
    named = [*zip(labels, panels, alike.groups, strict=True)]
    highest: dict[str, float] = {}
    for label, _, lines in named:
        highest[label] = max(accuracy(best(lines)), highest.get(label, 0))
    kept = {*sorted(highest, key=lambda label: -highest[label])[:MOST]}
    # A label has the same look in every panel.
    firsts: dict[str, Line] = {}
    for label, _, lines in named:
        if label in kept:
            firsts.setdefault(label, _with_label(lines[0], label))
    without = [alike.setting, *(name.replace("_", " ") for name in divided_by)]
    looks = {line.label: line for line in restyled([*firsts.values()], without)}
    return [Group(looks[label], panel, lines) for label, panel, lines in named if label in kept]


def _dividing(settings: Sequence[str], phrases: Callable[[Sequence[str]], list[str]]) -> list[str]:
    """Returns the settings that have a panel for each value.

    This is the data set or, if there are more groups than colours, the setting with fewest values.
    """
    counted = {name: len({*phrases([name])}) for name in settings}
    if len(settings) < 2:
        return []
    if 1 < counted.get("dataset", 0) <= _MAX_PANELS:
        return ["dataset"]
    if len(phrases(settings)) <= len(COLOURS):
        return []
    few = [name for name in settings if counted[name] <= _FEW]
    return [min(few, key=lambda name: counted[name])] if few else []


def _with_label(line: Line, label: str, look: int = 0) -> Line:
    return replace(line, label=label, colour=COLOURS[look], dash=DASHES[0], shape=SHAPES[look])
