"""Lines that nearly coincide, which would look like one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

WIDE = 7
"""Pixels of the pale line that is drawn under the first of two that nearly coincide."""
PALE = 0.35
_WITHIN = 0.03  # mean absolute difference of the logarithms of two errors
_LEARNED = 0.5  # of a line's highest error: lines at chance coincide, too, but that is no finding
_LEAST = 0.01  # an error in percent, to have a logarithm
_NAMED = 2  # pairs in the notes


@dataclass(frozen=True)
class Coincidence:
    """Two lines that nearly coincide."""

    first: str
    second: str
    by: float
    """The share by which their errors differ, averaged over the places."""


def coincident(errors: Mapping[str, ArrayLike]) -> list[Coincidence]:
    """Returns the pairs of lines with nearly the same errors at the same places, the closest first.

    `errors` are in percent, by label. Lines of different lengths, and lines without learning, are in no
    pair.
    """
    logarithms = {}
    for label, given in errors.items():
        values = np.asarray(given, dtype=float)
        if len(values) > 1 and np.isfinite(values).all() and values.min() < _LEARNED * values.max():
            logarithms[label] = np.log(np.maximum(values, _LEAST))
    pairs = [
        Coincidence(one, other, float(np.abs(first - second).mean()))
        for (one, first), (other, second) in combinations(logarithms.items(), 2)
        if len(first) == len(second)
    ]
    return sorted((pair for pair in pairs if pair.by < _WITHIN), key=lambda pair: pair.by)


def coincidence_note(pairs: Sequence[Coincidence]) -> str:
    """Returns a sentence that names the closest pairs, or an empty string if there are none."""
    if not pairs:
        return ""
    named = "; ".join(
        f"“{pair.first}” and “{pair.second}” (test errors differ by {_share(pair.by)} on average)"
        for pair in pairs[:_NAMED]
    )
    more = f", and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    return f"Nearly coincide: {named}{more}."


def _share(by: float) -> str:
    return f"{100 * by:.1g} %" if by >= 0.001 else "less than 0.1 %"
