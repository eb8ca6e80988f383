"""The names of an exercise's figures, without the exercise's own: what a claim is shown in."""

from __future__ import annotations

from model.values import shown

from ..claim import Claim
from ..exercise import Exercise
from .settings import is_number, settings_of

OF_TRAININGS = ("error", "seconds", "loss", "time-to-accuracy")
"""The figures that any exercise may have; others are named after a setting, or are its own."""


def check_shown_in(test: str, claim: Claim, exercise: Exercise) -> None:
    """Raises ValueError if the claim of that test names a figure that the exercise cannot have."""
    settings = {
        name: None
        for row in exercise.rows
        for name, value in settings_of(row.experiment).items()
        if is_number(value)
    }
    names = [*OF_TRAININGS, *(name.replace(" ", "-") for name in settings), *exercise.figures]
    if claim.shown_in and claim.shown_in not in names:
        raise ValueError(
            f"{test}: shown_in is {shown(claim.shown_in)}; expected one of {', '.join(names)}"
        )
