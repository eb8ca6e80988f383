"""An exercise's cases as lines of its figures, each with the same label and style in all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from model.experiment import Experiment

from ..engine_speeds.comparable import unlike
from ..exercise import row_name
from ..files.record import TrainingRecord
from ..files.summary import CaseSummary, ExerciseSummary
from ..wording import format_rate
from .load import Run
from .settings import network_in_words, optimizer_in_words, schedule_in_words

# Seven colours with a contrast of at least 3 to 1 with the light page and with the dark one. That leaves
# little room for differences in lightness, so they were searched for, starting from the palette of
# M. Okabe and K. Ito: any two are more than 20 apart in CIELAB, as they are and as they look with
# protanopia and deuteranopia, simulated by the matrices of G. Machado, M. Oliveira and L. Fernandes
# (2009). The tests compute both.
COLOURS = ("#406dcf", "#e66a00", "#249956", "#9236fc", "#dc0030", "#009ac8", "#6e6e6e")
# Published values have crosses, which no shape here resembles.
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "M0,-1.2L.3,-.4L1.1,-.4L.48,.1L.7,.95L0,.45L-.7,.95L-.48,.1L-1.1,-.4L-.3,-.4Z",  # a star
    "triangle-down",
    "triangle-right",
)
# The same shapes hollow, as SVG paths: an outline, and a smaller one in the opposite direction.
HOLLOW = (
    "M1.05,0A1.05,1.05,0,1,1,-1.05,0A1.05,1.05,0,1,1,1.05,0ZM.6,0A.6,.6,0,1,0,-.6,0A.6,.6,0,1,0,.6,0Z",
    "M-.95,-.95H.95V.95H-.95ZM-.55,-.55V.55H.55V-.55Z",
    "M0,-1.1L1.1,.85H-1.1ZM0,-.3L-.48,.5H.48Z",
    "M0,-1.2L.9,0L0,1.2L-.9,0ZM0,-.65L-.48,0L0,.65L.48,0Z",
    "M0,-1.4L.36,-.45L1.3,-.45L.56,.12L.82,1.1L0,.52L-.82,1.1L-.56,.12L-1.3,-.45L-.36,-.45Z"
    "M0,-.55L-.18,-.05L-.6,-.05L-.26,.22L-.38,.62L0,.36L.38,.62L.26,.22L.6,-.05L.18,-.05Z",
    "M0,1.1L-1.1,-.85H1.1ZM0,.3L.48,-.5H-.48Z",
    "M1.1,0L-.85,1.1V-1.1ZM.3,0L-.5,-.48V.48Z",
)
DASHES = ((1, 0), (6, 3), (2, 2), (9, 3, 2, 3))

LONGEST = 60  # characters of a label; rows with longer ones are labelled by their names

_ORDERS = {"shuffled": "shuffled", "by_class": "sorted by class"}
# Functions that put each setting into words, in the order of a label. The second argument names settings
# of an optimizer, network or schedule to leave out.
_PHRASES: dict[str, Callable[[Experiment, Collection[str]], str]] = {
    "optimizer": lambda experiment, without: optimizer_in_words(experiment.optimizer, without),
    "order": lambda experiment, _: _ORDERS[experiment.order],
    "learning_rate": lambda experiment, _: f"rate {format_rate(experiment.learning_rate)}",
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

    @property
    def name(self) -> str:
        """The row's name, with which evidence and tables refer to it."""
        return row_name(self.case.id)


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
    note = unlike({line.label: line.case.ran_on for line in lines})
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
