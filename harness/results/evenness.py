"""Whether a training's epochs took equally long; other processes may delay some of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

UNEVEN = 2.0
"""The multiple of the median epoch's time from which an epoch is out of line."""
_LEAST_EPOCHS = 3
_SPOILT_SHARE = 0.25
_SPOILT_SECONDS = 0.25  # less is within the noise of a scheduler


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
