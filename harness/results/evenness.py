"""Whether a training's epochs took equally long; other processes may delay some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.experiment import Training

from ..wording import first_few

UNEVEN_SIGN = "†"
"""Marks a time with an epoch out of line."""
UNEVEN = 2.0
"""The multiple of the median epoch's time from which an epoch is out of line."""
_LEAST_EPOCHS = 3
_SPOILT_SHARE = 0.25
_SPOILT_SECONDS = 0.25  # less is within the noise of a scheduler
_NAMED = 8  # trainings in a note

_Name = TypeVar("_Name")


def slowest_epoch(epoch_seconds: ArrayLike) -> float | None:
    """Returns the longest epoch's time as a multiple of the median epoch's; None for few epochs.

    `epoch_seconds` is cumulative, shape (epochs + 1,).
    """
    epochs = np.diff(np.asarray(epoch_seconds, dtype=float))
    if len(epochs) < _LEAST_EPOCHS or not (median := float(np.median(epochs))) > 0:
        return None
    return float(epochs.max()) / median


def is_spoilt(epoch_seconds: ArrayLike) -> bool:
    """Returns whether epochs out of line make the training time too long to show.

    That is, by a quarter and by 0.25 s or more, compared with as many median epochs.
    """
    slowest = slowest_epoch(epoch_seconds)
    if slowest is None or slowest < UNEVEN:
        return False
    epochs = np.diff(np.asarray(epoch_seconds, dtype=float))
    usual = len(epochs) * float(np.median(epochs))
    excess = float(epochs.sum()) - usual
    return excess >= max(_SPOILT_SECONDS, _SPOILT_SHARE * usual)


def time_sign(training: Training) -> str:
    """Returns the sign to put after the training's time; empty if no epoch is out of line."""
    slowest = slowest_epoch(training.epoch_seconds)
    return f" {UNEVEN_SIGN}" if slowest is not None and slowest >= UNEVEN else ""


def format_uneven(slowest: Iterable[tuple[str, float | None]]) -> str:
    """Returns a sentence on the trainings with an epoch out of line; empty if there are none.

    `slowest` has each training's name and `slowest_epoch`.
    """
    uneven = [(name, times) for name, times in slowest if times is not None and times >= UNEVEN]
    if len(uneven) == 1:
        ((name, times),) = uneven
        return f"{UNEVEN_SIGN} {name}: its slowest epoch took {times:.1f} times the median one."
    if not uneven:
        return ""
    listed = first_few([f"{name}: {times:.1f} times" for name, times in uneven], _NAMED, "; ")
    return f"{UNEVEN_SIGN} The slowest epoch took much longer than the median one ({listed})."


def judge_times(
    judge: Callable[[Mapping[_Name, Training]], bool | None], trainings: Mapping[_Name, Training]
) -> tuple[bool | None, str]:
    """Returns what `judge` says of the trainings' times, and "".

    If it would say something else had each epoch out of line taken the median epoch's time, returns
    None and a sentence that says so: such an epoch is no property of the training.
    """
    measured = judge(trainings)
    usual = {
        name: replace(each, epoch_seconds=_without_uneven(each.epoch_seconds))
        for name, each in trainings.items()
    }
    if judge(usual) == measured:
        return measured, ""
    return None, f"In seconds it depends on epochs that other processes delayed ({UNEVEN_SIGN})."


def _without_uneven(epoch_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the cumulative times with the median epoch's time for each epoch out of line."""
    slowest = slowest_epoch(epoch_seconds)
    if slowest is None or slowest < UNEVEN:
        return epoch_seconds
    epochs = np.diff(epoch_seconds)
    median = float(np.median(epochs))
    return np.append(0.0, np.where(epochs < UNEVEN * median, epochs, median).cumsum())
