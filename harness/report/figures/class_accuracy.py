"""Accuracy per class along the last epoch of a sorted stream."""

from __future__ import annotations

import altair as alt
import numpy as np

from ...exercise import slug
from ...files.record import TrainingRecord
from ...files.summary import Exercise
from ..lines import Line
from .figure import Figure, Rows, Spec, interval_note, json_number, layered, side_by_side


def figures(exercise: Exercise, lines: list[Line]) -> list[Figure]:
    """A panel for each row that the observer `STREAM` looked at."""
    looked = [
        (line, line.curves)
        for line in lines
        if line.curves and "stream_class_accuracy" in line.curves.observed
    ]
    if not looked:
        return []
    data = {
        f"classes-{slug(exercise.module)}-{index}": _rows(curves)
        for index, (_, curves) in enumerate(looked)
    }
    panels = [_panel(name, line.label) for name, (line, _) in zip(data, looked, strict=True)]
    seeds = max(len(line.case.seeds) for line, _ in looked)
    return [
        Figure(
            name=f"{slug(exercise.module)}-classes",
            of=exercise.title,
            title="Accuracy per class along the last epoch",
            notes="The stream brings all examples of one class after the other, zeros first; looked "
            "at in the middle and at the end of every class."
            + (f" Means over {seeds} seeds." if interval_note(seeds) else ""),
            variants={"all": side_by_side(panels)},
            data=data,
        )
    ]


def _panel(name: str, title: str) -> Spec:
    x = alt.X(
        "seen:O",
        title="examples seen in the epoch (thousands)",
        axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=8, grid=False),
    )
    chart = (
        alt.Chart(alt.NamedData(name))
        .mark_rect()
        .encode(
            x,
            alt.Y("class:O", title="class", axis=alt.Axis(grid=False)),
            color=alt.Color(
                "accuracy:Q",
                title="test accuracy (%)",
                scale=alt.Scale(scheme="cividis", domain=[0, 100]),
                legend=alt.Legend(orient="bottom", gradientLength=200),
            ),
            tooltip=[
                alt.Tooltip("class:O", title="class"),
                alt.Tooltip("seen:O", title="thousand examples seen"),
                alt.Tooltip("accuracy:Q", title="test accuracy (%)", format=".1f"),
            ],
        )
    )
    return layered(chart, height=210, title=title)


def _rows(curves: TrainingRecord) -> Rows:
    accuracies = 100 * np.asarray(curves.observed["stream_class_accuracy"]).mean(axis=-1)
    examples = np.asarray(curves.observed["stream_examples"])[:, 0]
    return [
        {"class": digit, "seen": round(seen / 1000, 1), "accuracy": json_number(accuracies[at, digit])}
        for at, seen in enumerate(examples.tolist())
        for digit in range(accuracies.shape[1])
    ]
