"""How far a row's accuracy is from the published one, and why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..files.summary import CaseSummary, ExerciseSummary
from ..results.evenness import UNEVEN, format_uneven
from .series import Line

_LARGE = 10  # points, from which a difference needs a reason


def points_from_published(case: CaseSummary) -> float | None:
    """Returns the mean test accuracy minus the published one, in percentage points."""
    if (published := case.paper.test_accuracy) is None:
        return None
    return 100 * (float(np.mean(case.test_accuracy)) - published)


def format_points(points: float) -> str:
    """Formats a difference with its sign, like "+3.6"."""
    return f"{round(points, 1) + 0.0:+.1f}".replace("-", "−")


def likely_reason(case: CaseSummary, exercise: ExerciseSummary) -> str:
    """Returns why a difference of more than ten points is likely; empty for a smaller one.

    Fewer epochs than the paper's explain a lower accuracy; what explains a higher one may come later.
    """
    points = points_from_published(case)
    if points is None or abs(points) <= _LARGE:
        return ""
    epochs, full = case.experiment.epochs, exercise.full_epochs
    if not full or epochs >= full:
        return case.paper.remark
    so_far = f"after {epochs} of {full} epochs"
    return so_far if points < 0 or not case.paper.remark else f"{so_far}. {case.paper.remark}"


def is_uneven(case: CaseSummary) -> bool:
    """Returns whether an epoch of the row took much longer than its others."""
    return (case.slowest_epoch or 0) >= UNEVEN


def uneven_note(lines: Sequence[Line]) -> str:
    """Returns a sentence that explains the sign at times with an epoch out of line; else empty."""
    return format_uneven((line.label, line.case.slowest_epoch) for line in lines)
