"""Accuracy and time to accuracy against each numeric setting, such as the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from model.dataset import Dataset

from ...exercise import slug
from ...files.summary import ExerciseSummary
from ...stats import mean_and_interval, span_around_best
from ...wording import first_few
from ..alike import LEAST, Alike, accuracy, numeric_settings, value_of
from ..differences import uneven_note
from ..series import Line, unlike_engines
from .coincident import coincidence_note, coincident
from .figure import Figure, Rows, interval_note, json_number, side_by_side, spans_decades
from .published import crosses_note, when_published
from .setting_groups import Group, groups_of, has_panels_of_their_own
from .setting_panel import SPANS, Panel, SettingAxis, draw_panel
from .time_to_accuracy import percent

_NAMED = 6  # groups named in a sentence of the notes
_LONGEST = 60  # characters of a setting in a file name; a Torch optimizer's may be longer


def setting_figures(exercise: ExerciseSummary, lines: list[Line]) -> list[Figure]:
    """Returns a figure for each numeric setting with three or more values in otherwise equal rows."""
    return [_figure(exercise, alike, lines) for alike in numeric_settings(lines)]


def _figure(exercise: ExerciseSummary, alike: Alike, every: list[Line]) -> Figure:
    hyphened = alike.setting.replace(" ", "-")[:_LONGEST]
    alone = has_panels_of_their_own(alike)
    groups = groups_of(alike, every)
    lines = [line for group in groups for line in group.lines]
    axis = SettingAxis(alike.setting, sorted({value_of(line, alike.setting) for line in lines}))
    panels, data, pairs = [], {}, []
    for at, title in enumerate(dict.fromkeys(group.panel for group in groups)):
        name = f"setting-{slug(exercise.module)}-{hyphened}-{at}"
        shown = [group for group in groups if group.panel == title]
        datasets = _datasets(shown)
        # Panels with the same data sets have the same target.
        target = _target(group for group in groups if _datasets([group]) <= datasets)
        found = [] if alone else coincident({group.look.label: _errors(group) for group in shown})
        pairs += found
        wide = [*dict.fromkeys(pair.first for pair in found)]
        panels.append(Panel(name, title, target, wide, _with_gaps(shown, axis)))
        data[name] = [row for group in shown for row in _points(group, alike.setting, target)]
        if seeds := [row for group in shown for row in _seed_rows(group, alike.setting)]:
            data[f"{name}-seeds"] = seeds
        if alone:
            data[f"{name}-spans"] = _span_rows(shown[0], axis)
    looks = [*{group.look.label: group.look for group in groups}.values()]
    targets = [panel.target for panel in panels]
    errors = [row["error"] for panel in panels for row in data[panel.name]]
    variants = {
        label: side_by_side(
            [
                draw_panel(panel, at, quantity, looks, data, axis, when_published(exercise))
                for at, panel in enumerate(panels)
            ]
        )
        for label, quantity in _quantities(targets, spread=spans_decades(errors)).items()
    }
    counts = [len(line.case.seeds) for line in lines]
    return Figure(
        name=f"{slug(exercise.module)}-{hyphened}",
        of=exercise.title,
        title=f"Results by {alike.setting}",
        notes=" ".join(_notes(exercise, alike, groups, alone=alone, timed=any(targets)))
        + (f" {coincidence_note(pairs)}" if pairs else "")
        + (" Small dots: the single seeds." if max(counts) > 1 else "")
        + interval_note(max(counts), "bars", least=min(counts))
        + (f"{unlike_engines(lines)} {uneven_note(lines)}".rstrip() if any(targets) else ""),
        variants=variants,
        data=data,
    )


def _with_gaps(groups: Sequence[Group], axis: SettingAxis) -> list[str]:
    """Returns the labels of the groups that lack a value between two of theirs that others have.

    A line through such a gap would pass for a result.
    """
    values = {
        group.look.label: {value_of(line, axis.setting) for line in group.lines} for group in groups
    }
    return [
        label
        for label, own in values.items()
        if any(min(own) < value < max(own) and value not in own for value in axis.values)
    ]


def _errors(group: Group) -> list[float]:
    return [100 - 100 * accuracy(line) for line in group.lines]


def _datasets(groups: Sequence[Group]) -> set[Dataset]:
    return {line.case.experiment.dataset for group in groups for line in group.lines}


def _target(groups: Iterable[Group]) -> str | None:
    """Returns the highest accuracy that at least two rows reach under all of their seeds."""
    reached: dict[str, int] = {}
    for line in (line for group in groups for line in group.lines):
        for target, each in line.case.time_to_accuracy.items():
            reached[target] = reached.get(target, 0) + (None not in each.epochs)
    return max((target for target, count in reached.items() if count > 1), default=None)


def _quantities(targets: Sequence[str | None], *, spread: bool) -> dict[str, str]:
    """Returns the fields of the data that can be drawn, by the label of their button.

    If errors spread over decades, they come first: on an axis of accuracies, the best would coincide.
    """
    found = {"final error": "error", "final accuracy": "accuracy"}
    if not spread:
        found = dict(reversed(found.items()))
    if to := {target for target in targets if target}:
        name = percent(to.pop()) if len(to) == 1 else "target"
        found |= {f"epochs to {name}": "epochs", f"seconds to {name}": "seconds"}
    return found


def _points(group: Group, setting: str, target: str | None) -> Rows:
    rows = []
    for line in group.lines:
        row: dict[str, Any] = {
            "line": group.look.label,
            "row": line.name,
            "value": value_of(line, setting),
            **_interval("accuracy", 100 * np.asarray(line.case.test_accuracy), least=0, most=100),
            **_interval("error", 100 - 100 * np.asarray(line.case.test_accuracy), most=100),
        }
        if (published := line.case.paper.test_accuracy) is not None:
            row["published_accuracy"] = json_number(100 * published)
            row["published_error"] = json_number(100 - 100 * published)
        reached = line.case.time_to_accuracy.get(target) if target else None
        for quantity in ("epochs", "seconds"):
            values = getattr(reached, quantity) if reached else [None]
            # A mean over only the seeds that reach the target would make the row look fast.
            row |= {quantity: None} if None in values else _interval(quantity, values)
        rows.append(row)
    return rows


def _seed_rows(group: Group, setting: str) -> Rows:
    """Returns the final accuracy and error of each seed of rows with several seeds."""
    return [
        {
            "line": group.look.label,
            "row": line.name,
            "value": value_of(line, setting),
            "seed": seed,
            "accuracy": json_number(100 * accuracy),
            "error": json_number(100 - 100 * accuracy),
        }
        for line in group.lines
        if len(line.case.seeds) > 1
        for seed, accuracy in zip(line.case.seeds, line.case.test_accuracy, strict=True)
    ]


def _interval(
    name: str, values: Any, *, least: float | None = None, most: float = math.inf
) -> dict[str, float | None]:
    """Returns the mean and its interval, or the mean alone if the interval has no width."""
    middle, low, high = map(float, mean_and_interval(np.asarray(values, dtype=float)))
    if low == high:
        return {name: json_number(middle)}
    # A logarithmic axis has no 0: an interval that reaches it ends at the axis.
    least = middle / 1e3 if least is None else least
    return {
        name: json_number(middle),
        f"{name}_low": json_number(max(low, least)),
        f"{name}_high": json_number(min(high, most)),
    }


def _span_rows(group: Group, axis: SettingAxis) -> Rows:
    """Returns, for each of `SPANS`, the contiguous range of values around the best mean accuracy."""
    values = [value_of(line, axis.setting) for line in group.lines]
    means = [accuracy(line) for line in group.lines]
    rows: Rows = []
    best = group.lines[int(np.argmax(means))]
    if best.case.outcome not in ("learned", "partial"):  # nothing is near the best of guesses
        return rows
    for within in SPANS:
        first, last = span_around_best(means, int(within.split()[0]) / 100)
        low, high = axis.around(values[first], values[last])
        row: dict[str, Any] = {
            "line": group.look.label,
            "within": within,
            "low": json_number(low),
            "high": json_number(high),
            "span": f"{values[first]:g} to {values[last]:g}",
        }
        if axis.logarithmic:
            row["decades"] = json_number(math.log10(values[last] / values[first]))
        rows.append(row)
    return rows


def _notes(
    exercise: ExerciseSummary, alike: Alike, groups: list[Group], *, alone: bool, timed: bool
) -> list[str]:
    """Returns sentences on what is drawn, and on groups that are best at the lowest or highest value."""
    setting, every = alike.setting, alike.groups
    if alone:
        notes = [
            f"Shaded: the contiguous range of {setting} values with a final accuracy within 5 points of "
            "the best; darker: within 1 point."
        ]
    else:
        notes = [f"The rows of a line differ only in {setting}."]
        if len(groups) < len(every):
            notes.append(
                f"Showing {len(groups)} of {len(every)} such lines: those whose best row has the "
                "highest final accuracy."
            )
    for end, which in ((0, "lowest"), (-1, "highest")):
        if names := [_name(group, alone) for group in groups if _is_best(group.lines, end)]:
            notes.append(f"Best at the {which} {setting} tried: {first_few(names, _NAMED, '; ')}.")
    lines = [line for group in groups for line in group.lines]
    if timed:
        notes.append("Times are shown only for rows in which every seed reaches the accuracy.")
    if any(line.case.paper.test_accuracy is not None for line in lines):
        notes.append(crosses_note(exercise, [group.look for group in groups]))
    return notes


def _name(group: Group, alone: bool) -> str:
    return group.look.label if alone or not group.panel else f"{group.look.label} ({group.panel})"


def _is_best(lines: Sequence[Line], at: int) -> bool:
    """Returns whether the row has a higher final accuracy than all others of its group."""
    others = [accuracy(line) for line in lines if line is not lines[at]]
    return len(lines) >= LEAST and accuracy(lines[at]) > max(others)
