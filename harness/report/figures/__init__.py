"""The figures, as Vega-Lite charts: one module for each kind, drawn if the run has its data."""

from __future__ import annotations

from altair.utils.schemapi import debug_mode

from ...files.drawn_figures import OwnFigure
from ...files.summary import ExerciseSummary
from ..load import Run
from ..series import Line, lines_of
from . import against_setting, learning_curves, per_step, time_to_accuracy, timeline
from .figure import Figure, Spec

__all__ = ["Figure", "figures_of", "speed_figures"]

# Otherwise Altair validates each new part of a chart, which takes longer than creating it.
_unchecked = debug_mode(False)


@_unchecked
def figures_of(run: Run, exercise: ExerciseSummary) -> list[Figure]:
    """Returns the figures of an exercise, learning curves first."""
    lines: list[Line] = lines_of(run, exercise)
    return [
        *learning_curves.learning_curve_figures(exercise, lines),
        *time_to_accuracy.time_to_accuracy_figures(exercise, lines),
        *against_setting.setting_figures(exercise, lines),
        *(_own(each, exercise) for each in run.own_figures if each.module == exercise.module),
    ]


def _own(figure: OwnFigure, exercise: ExerciseSummary) -> Figure:
    return Figure(
        name=figure.name,
        of=exercise.title,
        title=figure.title,
        notes=figure.notes,
        variants={label: _unlabelled(spec) for label, spec in figure.variants.items()},
        data=figure.data,
    )


def _unlabelled(spec: Spec) -> Spec:
    """Returns the spec without labels for each of its marks, which those of earlier runs had."""
    config = spec.get("config")
    unlabelled = {"aria": False, "mark": {"aria": False}}
    return {**spec, "config": {**(config if isinstance(config, dict) else {}), **unlabelled}}


@_unchecked
def speed_figures(run: Run) -> list[Figure]:
    """Returns the figures of the session's phases and of the measurements of `make speed`, if any."""
    return [
        *([timeline.timeline_figure(run.phases)] if run.phases else []),
        *(per_step.per_step_figures(run.speed) if run.speed else []),
    ]
