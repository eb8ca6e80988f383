"""The figures, as Vega-Lite charts: a module for each kind, drawn if the run has the data for it."""

from __future__ import annotations

from altair.utils.schemapi import debug_mode

from ...files.own_figures import OwnFigure
from ...files.summary import Exercise
from ..lines import Line, lines_of
from ..load import Run
from . import (
    against_setting,
    engine_speed,
    learning_curves,
    time_to_accuracy,
)
from .figure import Figure

__all__ = ["Figure", "figures_of", "speed_figures"]

# Else Altair checks each part of a chart when it is made, which takes longer than making it.
_unchecked = debug_mode(False)


@_unchecked
def figures_of(run: Run, exercise: Exercise) -> list[Figure]:
    """The figures of an exercise of the run, learning curves first."""
    lines: list[Line] = lines_of(run, exercise)
    return [
        *learning_curves.figures(exercise, lines),
        *time_to_accuracy.figures(exercise, lines),
        *against_setting.figures(exercise, lines),
        *(_own(each, exercise) for each in run.own_figures if each.module == exercise.module),
    ]


def _own(figure: OwnFigure, exercise: Exercise) -> Figure:
    return Figure(
        name=figure.name,
        of=exercise.title,
        title=figure.title,
        notes=figure.notes,
        variants=figure.variants,
        data=figure.data,
    )


@_unchecked
def speed_figures(run: Run) -> list[Figure]:
    """The figures of what `make speed` measured; none if it has not."""
    return engine_speed.figures(run.speed) if run.speed else []
