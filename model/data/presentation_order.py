"""The order in which an epoch presents the training set: the same on every device and engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def epoch_order(order: str, labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Indices of the training set, int64 of shape (examples,), as replicate `seed` sees them.

    "shuffled" draws a new permutation for every `epoch` (counted from 0). "by_class" sorts
    by label, and keeps for all epochs the one order inside each class that the seed draws.
    Every (seed, epoch) has its own random stream (NumPy's SeedSequence), so an epoch's
    order needs no earlier one, and the network's initialisation takes nothing from it.
    """
    if order == "shuffled":
        return np.random.default_rng((seed, epoch)).permutation(len(labels))
    drawn = np.random.default_rng((seed, 0)).permutation(len(labels))
    return drawn[np.argsort(labels[drawn], kind="stable")]
