"""Final accuracy, and time to accuracy, against each numeric setting in which rows differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import altair as alt
import numpy as np

from model.experiment import Experiment

from ...exercise import slug
from ...files.summary import Exercise
from ...stats import mean_and_interval, span_around_best
from ..lines import COLOURS, DASHES, SHAPES, Line, phrase, unlike_engines, varying
from .figure import (
    HEIGHT,
    PUBLISHED,
    PUBLISHED_NOTE,
    Figure,
    Rows,
    Spec,
    interval_note,
    json_number,
    layered,
    log_axis,
    log_scale,
    side_by_side,
    spans_decades,
)

_FEWEST = 3  # values that make a line
_PANELS = 4  # more groups than that share panels
_SPANS = {"5 points": 0.16, "1 point": 0.34}  # and the opacity of their shading
_SPAN_MARGIN = 10**0.12  # factor by which a span is drawn beyond its outer values
_RATE = "learning_rate"
_WORDS = {"init": "initial value of all parameters"}


@dataclass(frozen=True)
class _Group:
    """Rows that differ in one setting alone, in its ascending order."""

    title: str
    lines: list[Line]
    values: list[float]

    @property
    def experiment(self) -> Experiment:
        """The experiment of its first row."""
        return self.lines[0].case.experiment


@dataclass(frozen=True)
class _Quantity:
    """What is drawn against the setting."""

    key: str
    title: str
    of: Callable[[Line], list[float]]
    """A row's values, of the seeds that have one."""


def figures(exercise: Exercise, lines: list[Line]) -> list[Figure]:
    """Returns a figure for each setting with a group of three values or more."""
    experiments = [line.case.experiment for line in lines]
    names = dict.fromkeys(name for experiment in experiments for name in _numbers(experiment))
    found = {name: _groups(lines, name) for name in names}
    return [
        _figure(exercise, lines, name, groups)
        for name, groups in found.items()
        if any(len({*group.values}) >= _FEWEST for group in groups)
    ]


def _numbers(experiment: Experiment) -> dict[str, float]:
    """The numeric settings of an experiment and its optimizer, by name."""
    optimizer = experiment.optimizer.to_dict()
    options = optimizer.pop("options", {})
    settings = {
        _RATE: experiment.learning_rate,
        "batch_size": experiment.batch_size,
        "init": experiment.init,
        **optimizer,
        **(options if isinstance(options, dict) else {}),
    }
    return {
        name: float(value)
        for name, value in settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _groups(lines: list[Line], name: str) -> list[_Group]:
    """The rows that differ in the setting `name` alone, for each such set of two rows or more."""
    others = _others(lines, name)
    found: dict[str, list[tuple[float, Line]]] = {}
    for line in lines:
        experiment = line.case.experiment
        numbers = _numbers(experiment)
        if name in numbers:
            found.setdefault(_without(experiment, name), []).append((numbers[name], line))
    groups = []
    for members in found.values():
        if len(members) > 1:
            ascending = sorted(members, key=lambda each: each[0])
            groups.append(
                _Group(
                    title=_title(ascending[0][1].case.experiment, others, name),
                    lines=[line for _, line in ascending],
                    values=[value for value, _ in ascending],
                )
            )
    return groups


def _others(lines: list[Line], name: str) -> list[str]:
    """The settings but `name` in which the rows differ."""
    return [each for each in varying([line.case.experiment for line in lines]) if each != name]


def _without(experiment: Experiment, name: str) -> str:
    """What the experiment is but for the setting `name`."""
    content = experiment.to_dict()
    optimizer = content["optimizer"]
    for place in (content, optimizer, optimizer.get("options", {})):
        if isinstance(place, dict):
            place.pop(name, None)
    return json.dumps(content, sort_keys=True)


def _title(experiment: Experiment, others: list[str], name: str) -> str:
    """The other settings in words; the optimizer without its settings if `name` is one of them."""
    if "optimizer" not in others or name in (_RATE, "batch_size", "init"):
        return phrase(experiment, others)
    rest = [each for each in others if each != "optimizer"]
    return ", ".join(filter(None, [experiment.optimizer.name, phrase(experiment, rest)]))


def _figure(exercise: Exercise, lines: list[Line], name: str, groups: list[_Group]) -> Figure:
    words = _WORDS.get(name, name.replace("_", " "))
    together = len(groups) > _PANELS
    if together:  # a panel for each data set
        others = [each for each in _others(lines, name) if each != "dataset"]
        groups = [replace(each, title=_title(each.experiment, others, name)) for each in groups]
    panels: dict[str, list[_Group]] = {}
    for group in groups:
        panels.setdefault(str(group.experiment.dataset) if together else group.title, []).append(group)
    labels = [*dict.fromkeys(group.title for group in groups)]
    quantities = _quantities(groups)
    data: dict[str, Rows] = {}
    for index, members in enumerate(panels.values()):
        key = f"{name}-{slug(exercise.module)}-{index}"
        data[key] = [row for group in members for row in _points(group, quantities)]
        data[f"{key}-spans"] = [] if together else _within(members[0])
    x = partial(_x, words, [value for group in groups for value in group.values])
    # One panel of one group is of all rows.
    titles = [*panels] if len(panels) > 1 or together else [""]
    variants = {
        quantity.title: side_by_side(
            [
                _panel(key, title, members, x, quantity, labels)
                for key, title, members in zip([*data][::2], titles, panels.values(), strict=True)
            ]
        )
        for quantity in quantities
    }
    return Figure(
        name=f"{slug(exercise.module)}-{name.replace('_', '-')}",
        of=exercise.title,
        title=f"Final accuracy against {words}",
        notes=_notes(lines, groups, words, quantities, together=together),
        variants=variants,
        data=data,
    )


def _notes(
    lines: list[Line], groups: list[_Group], words: str, quantities: list[_Quantity], *, together: bool
) -> str:
    notes = f"Rows that differ in {words} alone."
    if not together:
        notes += (
            " Shaded: the unbroken span of tried values that end within 5 points of the best, and, "
            "darker, within 1."
        )
    for end, where in ((0, "lowest"), (-1, "highest")):
        at_the_edge = [
            group.title or "all rows" for group in groups if _best(group) == group.values[end]
        ]
        if at_the_edge:
            notes += f" Best at the {where} value tried: {'; '.join(at_the_edge)}."
    if len(quantities) > 1:
        notes += " Rows that do not get to an accuracy have no time to it."
        notes += unlike_engines([line for group in groups for line in group.lines])
    if any(line.case.paper.test_accuracy is not None for group in groups for line in group.lines):
        notes += f" {PUBLISHED_NOTE}"
    return notes + interval_note(max(len(line.case.seeds) for line in lines), "bars")


def _best(group: _Group) -> float:
    means = [float(np.mean(line.case.test_accuracy)) for line in group.lines]
    return group.values[int(np.argmax(means))]


def _quantities(groups: list[_Group]) -> list[_Quantity]:
    """Final accuracy, and epochs and seconds to the highest accuracy that two rows of it reach."""
    found = [
        _Quantity("accuracy", "final accuracy", lambda line: [100 * a for a in line.case.test_accuracy])
    ]
    lines = [line for group in groups for line in group.lines]
    reached = [
        target
        for target in dict.fromkeys(target for line in lines for target in line.case.time_to_accuracy)
        if sum(any(_times(line, target, "epochs")) for line in lines) > 1
    ]
    if reached:
        target = max(reached)
        percent = f"{float(target):.0%}".replace("%", " %")
        for key in ("epochs", "seconds"):

            def of(line: Line, key: str = key) -> list[float]:
                return _times(line, target, key)

            found.append(_Quantity(key, f"{key} to {percent}", of))
    return found


def _percentages(line: Line) -> list[float]:
    return [100 * accuracy for accuracy in line.case.test_accuracy]


def _times(line: Line, target: str, key: str) -> list[float]:
    """What each seed takes to get there, of those that do; none where any seed does not."""
    reached = line.case.time_to_accuracy.get(target)
    values = [] if reached is None else getattr(reached, key)
    return [] if None in values else values


def _x(words: str, values: list[float], field: str) -> alt.X:
    if spans_decades(values) and min(values) > 0:
        scale = alt.Scale(type="log", domain=[min(values) / 1.6, max(values) * 1.6], nice=False)
    else:
        room = (max(values) - min(values)) * 0.06 or 1
        scale = alt.Scale(domain=[min(values) - room, max(values) + room], nice=False)
    axis = alt.Axis(values=sorted({*values}), format="~g", labelOverlap="greedy", labelSeparation=6)
    return alt.X(f"{field}:Q", title=words, scale=scale, axis=axis)


def _panel(
    name: str,
    title: str,
    groups: list[_Group],
    x_of: Callable[[str], alt.X],
    quantity: _Quantity,
    every: list[str],
) -> Spec:
    x, labels = x_of("x"), [group.title for group in groups]
    several = len(groups) > 1
    # Panels share their scales.
    colours = [COLOURS[at % len(COLOURS)] for at in range(len(every))]
    shapes = [SHAPES[at % len(SHAPES)] for at in range(len(every))]
    own = colours[every.index(labels[0])]
    colour: Any = alt.value(own)
    shape: Any = alt.value(SHAPES[0])
    if several:
        legend = alt.Legend(title=None, orient="bottom", columns=3, symbolOpacity=1)
        colour = alt.Color("group:N", scale=alt.Scale(domain=every, range=colours), legend=legend)
        shape = alt.Shape("group:N", scale=alt.Scale(domain=every, range=shapes), legend=legend)
    key = quantity.key
    if key == "accuracy":
        scale, axis, y_title = alt.Scale(domain=[0, 100]), alt.Axis(), "final test accuracy (%)"
    else:
        values = [value for group in groups for line in group.lines for value in quantity.of(line)]
        scale, axis, y_title = log_scale(values), log_axis(), quantity.title
    y = alt.Y(f"{key}:Q", title=y_title, scale=scale, axis=axis)
    base = alt.Chart(alt.NamedData(name)).transform_filter(f"isValid(datum.{key})")
    tooltip = [
        alt.Tooltip("line:N", title="row"),
        alt.Tooltip(f"{key}:Q", title=y_title, format=".4~g"),
        alt.Tooltip("published:Q", title="published (%)", format=".1f"),
    ]
    dashes: dict[tuple[int, ...], list[str]] = {}
    for label in labels:
        # More groups than colours: the dashes change with each round of colours.
        dashes.setdefault(DASHES[every.index(label) // len(COLOURS) % len(DASHES)], []).append(label)
    layers = [
        *(
            base.transform_filter(alt.FieldOneOfPredicate(field="group", oneOf=members))
            .mark_line(strokeWidth=1.8, strokeDash=list(dash))
            .encode(x, y, color=colour)
            for dash, members in dashes.items()
        ),
        base.transform_filter(f"isValid(datum.{key}_low)")
        .mark_rule(strokeWidth=2, clip=True)
        .encode(
            x,
            alt.Y(f"{key}_low:Q", title=y_title, scale=scale, axis=axis),
            alt.Y2(f"{key}_high:Q"),
            color=colour,
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x,
            y,
            color=colour,
            tooltip=tooltip,
            shape=shape,
        ),
    ]
    if key == "accuracy":
        layers.append(
            base.transform_filter("isValid(datum.published)")
            .mark_point(shape=PUBLISHED, size=70, strokeWidth=2.2, opacity=1, color="#808080")
            .encode(x, alt.Y("published:Q", title=y_title, scale=scale, axis=axis), tooltip=tooltip)
        )
        if not several:
            layers.insert(0, _spans(f"{name}-spans", x_of("low"), own))
    return layered(*layers, height=HEIGHT, title=title or ("" if several else "all rows"))


def _spans(name: str, low: alt.X, colour: str) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(alt.NamedData(name))
        .mark_rect(color=colour, clip=True)
        .encode(
            low,
            alt.X2("high:Q"),
            opacity=alt.Opacity(
                "within:O",
                legend=None,
                scale=alt.Scale(domain=list(_SPANS), range=list(_SPANS.values())),
            ),
            tooltip=[alt.Tooltip("within:O", title="within"), alt.Tooltip("span:N", title="from")],
        )
    )
    return chart


def _points(group: _Group, quantities: list[_Quantity]) -> Rows:
    rows = []
    for value, line in zip(group.values, group.lines, strict=True):
        row: dict[str, Any] = {"line": line.label, "group": group.title, "x": value}
        for quantity in quantities:
            if values := quantity.of(line):
                middle, low, high = map(float, mean_and_interval(np.array(values, dtype=float)))
                row[quantity.key] = json_number(middle)
                if low < high:
                    # A logarithmic axis has no 0, and no accuracy is above 100 %.
                    least = 0 if quantity.key == "accuracy" else middle / 1e3
                    most = 100 if quantity.key == "accuracy" else high
                    row[f"{quantity.key}_low"] = json_number(max(low, least))
                    row[f"{quantity.key}_high"] = json_number(min(high, most))
        if (published := line.case.paper.test_accuracy) is not None:
            row["published"] = json_number(100 * published)
        rows.append(row)
    return rows


def _within(group: _Group) -> Rows:
    """For each of `_SPANS`, the unbroken span of values around the best mean accuracy."""
    means = [float(np.mean(line.case.test_accuracy)) for line in group.lines]
    wide = spans_decades(group.values) and min(group.values) > 0
    room = (max(group.values) - min(group.values)) * 0.04
    rows = []
    for within in _SPANS:
        low, high = (group.values[at] for at in span_around_best(means, int(within.split()[0]) / 100))
        rows.append(
            {
                "within": within,
                "low": json_number(low / _SPAN_MARGIN if wide else low - room),
                "high": json_number(high * _SPAN_MARGIN if wide else high + room),
                "span": f"{low:g} to {high:g}",
            }
        )
    return rows
