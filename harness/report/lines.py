"""An exercise's cases as lines of its figures: one label and one style each, in every figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from model.experiment import Experiment

from ..engines_compared import unlike
from ..exercise import row_name
from ..files.record import TrainingRecord
from ..files.summary import Case, Exercise
from .load import Run

# M. Okabe and K. Ito's palette, which is safe for colour-blind readers, without yellow and black, which
# do not show on white and on black; and a grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
# The same shapes hollow, as SVG paths: an outline, and a smaller one in the opposite direction.
HOLLOW = (
    "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0ZM.5,0A.5,.5,0,1,0,-.5,0A.5,.5,0,1,0,.5,0Z",
    "M-.9,-.9H.9V.9H-.9ZM-.45,-.45V.45H.45V-.45Z",
    "M0,-1L1,.8H-1ZM0,-.2L-.42,.5H.42Z",
    "M0,-1.1L.8,0L0,1.1L-.8,0ZM0,-.5L-.36,0L0,.5L.36,0Z",
    "M-1,-.4H-.4V-1H.4V-.4H1V.4H.4V1H-.4V.4H-1ZM-.2,-.2V.2H.2V-.2Z",
    "M0,1L-1,-.8H1ZM0,.2L.42,-.5H-.42Z",
    "M1,0L-.8,1V-1ZM.2,0L-.5,-.42V.42Z",
)
DASHES = ((1, 0), (6, 3), (2, 2), (9, 3, 2, 3))

LONGEST = 60  # characters of a label: where settings take more, rows have their names

_ORDERS = {"shuffled": "shuffled", "by_class": "sorted by class"}
# The settings in words, those first that people name first.
_PHRASES: dict[str, Callable[[Experiment], str]] = {
    "optimizer": lambda experiment: experiment.optimizer.label,
    "order": lambda experiment: _ORDERS[experiment.order],
    "learning_rate": lambda experiment: f"rate {experiment.learning_rate:g}",
    "batch_size": lambda experiment: f"batch {experiment.batch_size}",
    "dataset": lambda experiment: str(experiment.dataset),
    "network": lambda experiment: str(experiment.network),
    "schedule": lambda experiment: str(s) if (s := experiment.schedule) else "constant rate",
    "init": lambda experiment: f"init {i:g}" if isinstance(i := experiment.init, float) else f"{i} init",
}


@dataclass(frozen=True)
class Line:
    """A case in the figures. Colour, or dash and shape, alone suffice to tell lines apart."""

    label: str
    case: Case
    curves: TrainingRecord | None
    colour: str
    dash: tuple[int, ...]
    shape: str


def phrase(experiment: Experiment, settings: list[str]) -> str:
    """The settings in words, like "SGD, rate 0.1"."""
    return ", ".join(_PHRASES[name](experiment) for name in settings)


def varying(experiments: list[Experiment]) -> list[str]:
    """The settings in which the experiments differ, in the order of `_PHRASES`."""
    return [
        name
        for name, in_words in _PHRASES.items()
        if len({in_words(experiment) for experiment in experiments}) > 1
    ]


def unlike_engines(lines: list[Line]) -> str:
    """A sentence for the notes of a figure of times, with a space before it; empty if there is none."""
    note = unlike({line.label: f"{line.case.engine} on {line.case.device}" for line in lines})
    return f" {note}" if note else ""


def lines_of(run: Run, exercise: Exercise) -> list[Line]:
    """The exercise's cases that ran, in its order.

    They are named by the settings in which they differ, or as rows where that is long. Where a setting
    has two values (two optimizers, two orders), dashes and hollow shapes show it, colours and shapes the
    others.
    """
    cases = [run.cases[case] for case in dict.fromkeys(exercise.cases) if case in run.cases]
    settings = varying([case.experiment for case in cases])
    labels = [phrase(case.experiment, settings) for case in cases]
    if len(set(labels)) < len(labels) or not all(0 < len(label) <= LONGEST for label in labels):
        labels = [row_name(case.id) for case in cases]
    family, rest = _family(cases, settings)
    seen: dict[str, int] = {}
    families: dict[str, int] = {}
    lines = []
    for index, (label, case) in enumerate(zip(labels, cases, strict=True)):
        if family:
            key = phrase(case.experiment, rest)
            of_family = families.setdefault(phrase(case.experiment, [family]), len(families))
            look, dash = seen.setdefault(key, len(seen)), DASHES[of_family]
        else:
            of_family, look, dash = 0, index, DASHES[index % len(DASHES)]
        lines.append(
            Line(
                label=label,
                case=case,
                curves=run.curves.get(case.id),
                colour=COLOURS[look % len(COLOURS)],
                dash=dash,
                shape=(HOLLOW if of_family else SHAPES)[look % len(SHAPES)],
            )
        )
    return lines


def restyled(lines: list[Line]) -> list[Line]:
    """The same lines, each with a colour of its own as far as there are any, then other dashes."""
    return [
        replace(
            line,
            colour=COLOURS[at % len(COLOURS)],
            dash=DASHES[at // len(COLOURS) % len(DASHES)],
            shape=(SHAPES if at // len(COLOURS) % 2 == 0 else HOLLOW)[at % len(SHAPES)],
        )
        for at, line in enumerate(lines)
    ]


def _family(cases: list[Case], settings: list[str]) -> tuple[str | None, list[str]]:
    """A setting with two values, if others vary too, and those others."""
    for name in settings:
        values = {phrase(case.experiment, [name]) for case in cases}
        if len(values) == 2 and len(settings) > 1:
            return name, [other for other in settings if other != name]
    return None, settings
