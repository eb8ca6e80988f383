"""The figure of the accuracy per class during the last epoch of a sorted stream."""

from __future__ import annotations

import altair as alt

from harness.exercise import Results
from harness.report.figures.figure import (
    Figure,
    Rows,
    Spec,
    interval_note,
    json_number,
    layered,
    side_by_side,
)
from harness.report.series import phrase, varying
from model.experiment import Training


def draw_class_accuracy(results: Results) -> Figure | None:
    """Draws a panel for each row with the observer `STREAM`; returns None if there is none."""
    observed = {
        name: each
        for name, each in results.trainings.items()
        if "stream_class_accuracy" in each.observed
    }
    if not observed:
        return None
    data = {
        f"classes-{results.slug}-{index}": _rows(each) for index, each in enumerate(observed.values())
    }
    experiments = [each.experiment for each in observed.values()]
    settings = varying(experiments)
    titles = [phrase(each, settings) for each in experiments] if settings else [*observed]
    seeds = max(len(each.seeds) for each in observed.values())
    return Figure(
        title="Accuracy per class during the last epoch",
        notes="The stream presents one class after the other, zeros first; accuracies are measured "
        "in the middle and at the end of every class."
        + (f" Means over {seeds} seeds." if interval_note(seeds) else ""),
        variants={"all": side_by_side([_panel(*each) for each in zip(data, titles, strict=True)])},
        data=data,
    )


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


def _rows(training: Training) -> Rows:
    accuracies = 100 * training.observed["stream_class_accuracy"].mean(axis=-1)
    examples = training.observed["stream_examples"][:, 0]
    return [
        {"class": digit, "seen": round(seen / 1000, 1), "accuracy": json_number(accuracies[at, digit])}
        for at, seen in enumerate(examples.tolist())
        for digit in range(accuracies.shape[1])
    ]
