"""The names of lines at their ends, where there is room for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from .figure import opacity_if

_MOST = 8  # lines; the legend alone distinguishes more
_LONGEST = 24  # characters: there must be room for the lines, too
_APART = 12  # pixels from the middle of one name to the next
_MOVED = 15  # pixels, at most, from a line's end to the middle of its name


def label_positions(ends: Mapping[str, float], height: int) -> dict[str, float]:
    """Returns the height of each name in pixels from the top, or nothing if they do not all fit.

    `ends` has the heights at which the lines end. Names that would overlap are moved apart, if none of
    them is then so far from its line that it could belong to another.
    """
    if not ends or len(ends) > _MOST or max(map(len, ends)) > _LONGEST:
        return {}
    labels = sorted(ends, key=lambda label: ends[label])
    # Runs of names that touch are centred on their ends; merging repeats until no runs overlap.
    runs: list[list[str]] = []
    for label in labels:
        runs.append([label])
        while len(runs) > 1 and _top(runs[-1], ends) - _bottom(runs[-2], ends) < _APART:
            runs[-2:] = [runs[-2] + runs[-1]]
    places = {label: _top(run, ends) + _APART * at for run in runs for at, label in enumerate(run)}
    within = all(-_APART <= place <= height + _APART for place in places.values())
    near = all(abs(places[label] - ends[label]) <= _MOVED for label in labels)
    return places if within and near else {}


def _top(run: Sequence[str], ends: Mapping[str, float]) -> float:
    middle = sum(ends[label] for label in run) / len(run)
    return middle - _APART * (len(run) - 1) / 2


def _bottom(run: Sequence[str], ends: Mapping[str, float]) -> float:
    return _top(run, ends) + _APART * (len(run) - 1)


def height_at(value: float, domain: tuple[float, float], height: int, *, logarithmic: bool) -> float:
    """Returns the distance in pixels from the top of a panel to a value, at most its height."""
    low, high = domain
    value = min(max(value, low), high)
    if logarithmic:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return height * (high - value) / (high - low)


def end_labels(
    positions: Mapping[str, float], shown: alt.Parameter, right: int, panel: int
) -> alt.Chart:
    """Returns a layer with the names, `right` pixels from the right edge of the panel of this number."""
    values = [{"line": label, "at": round(place, 1)} for label, place in positions.items()]
    labels: alt.Chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_text(align="left", baseline="middle", dx=right, fontSize=11)
        .encode(
            x=alt.XValue("width"),
            y=alt.Y("at:Q", scale=None, axis=None),
            text="line:N",
            opacity=opacity_if(shown, 1, 0.3),
        )
        .properties(name=f"labels_{panel}")  # panels with layers of one name would share their data
    )
    return labels
