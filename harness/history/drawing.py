"""The page of a history: small multiples of every row, by commit, and a table of the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jinja2
import numpy as np

from ..compare.significance import FloatArray
from ..exercise import row_name
from ..stats import half_width
from .past_runs import PastRun
from .steps import HistoryStep, one_sidedness
from .tracks import Track

WIDTH, HEIGHT = 1000, 200  # of a panel, in the units of its coordinates, which are whole numbers
_MARGIN = 10
_MEASURES = {"time": "s per epoch", "accuracy": "test accuracy", "epochs": "epochs to {target}"}


@dataclass(frozen=True)
class SmallMultiple:
    """One measure of one row: the paths of an SVG, and the texts next to it."""

    title: str
    line: str
    dots: str
    band: str
    """The intervals of values over seeds."""
    levels: list[tuple[int, int, int, int, int]]
    """Between steps: from and to which x, and the mean with its 95 % interval as y."""
    steps: list[tuple[int, int, int, bool, str]]
    """The earliest, likeliest and latest x, whether it is a change for the worse, and its size."""
    lowest: str
    highest: str
    newest: str


@dataclass(frozen=True)
class TrackPart:
    """A track's part of the page."""

    about: str
    runs: list[PastRun]
    rows: list[tuple[str, str, list[SmallMultiple]]]
    """Node id, name and panels of each row."""


def draw_history(tracks: Sequence[Track], steps: Sequence[HistoryStep], left_out: Sequence[str]) -> str:
    """Returns the page, one file that opens from disk and makes no requests."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "template"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("history.html").render(
        parts=[_part(track, [step for step in steps if step.track is track]) for track in tracks],
        steps=sorted(steps, key=lambda step: (bool(step.accepted), not step.worse, -step.found)),
        warning=one_sidedness(steps),
        left_out=left_out,
        runs=sum(len(track.runs) for track in tracks),
        width=WIDTH,
        height=HEIGHT,
    )


def _part(track: Track, steps: Sequence[HistoryStep]) -> TrackPart:
    values = {measure: track.values(measure) for measure in _MEASURES}
    rows = []
    for row, case in enumerate(track.cases):
        observed = [of_run[row] for of_run in track.observations]
        target = next(each.target for each in observed if each)
        half = np.array([each.accuracy_half_width if each else np.nan for each in observed])
        panels = [
            _panel(
                unit.format(target=target),
                values[measure][:, row],
                half if measure == "accuracy" else None,
                [step for step in steps if step.row in (row, None) and step.measure == measure],
            )
            for measure, unit in _MEASURES.items()
            if np.isfinite(values[measure][:, row]).any()
        ]
        rows.append((case, row_name(case), panels))
    return TrackPart(track.about, track.runs, rows)


def _panel(
    title: str, values: FloatArray, half: FloatArray | None, steps: Sequence[HistoryStep]
) -> SmallMultiple:
    known = np.flatnonzero(np.isfinite(values))
    spread = np.zeros(len(values)) if half is None else half
    low, high = float((values - spread)[known].min()), float((values + spread)[known].max())
    xs = _scaled(np.arange(len(values), dtype=float), 0, max(len(values) - 1, 1), WIDTH)

    def y(value: float | FloatArray) -> FloatArray:
        return HEIGHT - _scaled(np.asarray(value, dtype=float), low, high, HEIGHT)

    ys = y(np.where(np.isfinite(values), values, low))
    parts = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)  # a gap interrupts the line
    line = "".join(
        "M" + "L".join(f"{xs[at]} {ys[at]}" for at in part) for part in parts if len(part) > 1
    )
    band = ""
    if spread[known].any():
        above, below = y(np.nan_to_num(values + spread)), y(np.nan_to_num(values - spread))
        band = "".join(
            "M"
            + "L".join(
                [
                    *(f"{xs[at]} {above[at]}" for at in part),
                    *(f"{xs[at]} {below[at]}" for at in reversed(part)),
                ]
            )
            + "Z"
            for part in parts
            if len(part) > 1
        )
    borders = [0, *sorted(step.first for step in steps), len(values)]
    levels = []
    for begin, end in pairwise(borders):
        inside = values[begin:end][np.isfinite(values[begin:end])]
        if len(inside) > 1:
            mean, width = inside.mean(), float(half_width(inside) or 0.0)
            edges = (int(y(mean)), int(y(min(mean + width, high))), int(y(max(mean - width, low))))
            levels.append((int(xs[begin]), int(xs[end - 1]), *edges))
    return SmallMultiple(
        title,
        line,
        "".join(f"M{xs[at]} {ys[at]}h0" for at in known),
        band,
        levels,
        [
            (int(xs[step.earliest]), int(xs[step.first]), int(xs[step.latest]), step.worse, step.size)
            for step in steps
        ],
        f"{low:.4g}",
        f"{high:.4g}",
        f"{values[known[-1]]:.4g}",
    )


def _scaled(values: FloatArray, low: float, high: float, size: int) -> FloatArray:
    """Returns whole coordinates, with a margin on both sides; the middle if all values are equal."""
    if high <= low:
        return np.full(np.shape(values), size // 2, dtype=int)
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(np.rint(_MARGIN + share * (size - 2 * _MARGIN))).astype(int)
