"""An exercise's cases as lines of its figures, each with the same label and style in all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from model.experiment import Experiment

from ..engine_speeds.comparable import unlike
from ..exercise import row_name
from ..files.record import TrainingRecord
from ..files.summary import CaseSummary, ExerciseSummary
from .load import Run
from .settings import network_in_words, optimizer_in_words, schedule_in_words

# M. Okabe and K. Ito's palette for colour-blind readers, without yellow and black, which are hard to see
# on a white or a black page; and a grey.
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

LONGEST = 60  # characters of a label; rows with longer ones are labelled by their names

_ORDERS = {"shuffled": "shuffled", "by_class": "sorted by class"}
# Functions that put each setting into words, in the order of a label. The second argument names settings
# of an optimizer, network or schedule to leave out.
_PHRASES: dict[str, Callable[[Experiment, Collection[str]], str]] = {
    "optimizer": lambda experiment, without: optimizer_in_words(experiment.optimizer, without),
    "order": lambda experiment, _: _ORDERS[experiment.order],
    "learning_rate": lambda experiment, _: f"rate {experiment.learning_rate:g}",
    "batch_size": lambda experiment, _: f"batch {experiment.batch_size}",
    "dataset": lambda experiment, _: str(experiment.dataset),
    "network": lambda experiment, without: network_in_words(experiment.network, without),
    "schedule": lambda experiment, without: schedule_in_words(experiment.schedule, without),
    "init": lambda experiment, _: (
        f"init {i:g}" if isinstance(i := experiment.init, float) else f"{i} init"
    ),
}
# With more rows than this, two would look alike.
MOST = 2 * len(COLOURS)


@dataclass(frozen=True)
class Line:
    """A case in the figures. Dash and shape distinguish lines even without colour."""

    label: str
    case: CaseSummary
    curves: TrainingRecord | None
    colour: str
    dash: tuple[int, ...]
    shape: str


def phrase(experiment: Experiment, settings: Sequence[str], without: Collection[str] = ()) -> str:
    """Puts the settings into words, like "SGD, rate 0.1"; `without` has names as in `settings_of`."""
    return ", ".join(
        _PHRASES[name](experiment, without) for name in settings if name.replace("_", " ") not in without
    )


def varying(experiments: Sequence[Experiment], without: Collection[str] = ()) -> list[str]:
    """Returns the settings in which the experiments differ, in the order of `_PHRASES`."""
    return [
        name
        for name, in_words in _PHRASES.items()
        if name.replace("_", " ") not in without
        and len({in_words(experiment, without) for experiment in experiments}) > 1
    ]


def unlike_engines(lines: list[Line]) -> str:
    """Returns a note, after a space, if the rows used several engines; otherwise an empty string."""
    note = unlike({line.label: f"{line.case.engine} on {line.case.device}" for line in lines})
    return f" {note}" if note else ""


def lines_of(run: Run, exercise: ExerciseSummary) -> list[Line]:
    """Returns the exercise's cases that ran, in its order.

    Labels list the settings in which the cases differ, or are the rows' names if some labels are too
    long or equal. If a setting has two values (two optimizers, two orders), dashes and hollow shapes
    show it, and colours and shapes show the others.
    """
    cases = [run.cases[case] for case in dict.fromkeys(exercise.cases) if case in run.cases]
    settings = varying([case.experiment for case in cases])
    labels = [phrase(case.experiment, settings) for case in cases]
    if len(set(labels)) < len(labels) or not all(0 < len(label) <= LONGEST for label in labels):
        labels = [row_name(case.id) for case in cases]
    blank = [
        Line(label, case, run.curves.get(case.id), COLOURS[0], DASHES[0], SHAPES[0])
        for label, case in zip(labels, cases, strict=True)
    ]
    return restyled(blank)


def restyled(lines: Sequence[Line], without: Collection[str] = ()) -> list[Line]:
    """Returns the same rows, with colours, dashes and shapes assigned as if there were no others.

    Rows that differ only in the settings `without` look the same.
    """
    experiments = [line.case.experiment for line in lines]
    settings = varying(experiments, without)
    family, rest = _family(experiments, settings, without)
    seen: dict[str, int] = {}
    families: dict[str, int] = {}
    styled = []
    for index, line in enumerate(lines):
        if family:
            key = phrase(line.case.experiment, rest, without)
            of_family = families.setdefault(
                phrase(line.case.experiment, [family], without), len(families)
            )
            look, dash = seen.setdefault(key, len(seen)), DASHES[of_family]
        else:
            of_family, look = divmod(index, len(COLOURS))
            dash = DASHES[index % len(DASHES)]
        shape = (HOLLOW if of_family % 2 else SHAPES)[look % len(SHAPES)]
        styled.append(replace(line, colour=COLOURS[look % len(COLOURS)], dash=dash, shape=shape))
    return styled


def _family(
    experiments: Sequence[Experiment], settings: list[str], without: Collection[str]
) -> tuple[str | None, list[str]]:
    """Returns a setting with two values and the others, if there are colours for all of the others."""
    for name in settings:
        others = [other for other in settings if other != name]
        values, ways = (
            {phrase(experiment, names, without) for experiment in experiments}
            for names in ([name], others)
        )
        if len(values) == 2 and others and len(ways) <= len(COLOURS):
            return name, others
    return None, settings
