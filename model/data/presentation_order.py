"""The order in which an epoch presents the training set, the same on every device and engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def epoch_order(order: str, labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns the training set's indices in the order for replicate `seed`, int64 of shape (examples,).

    "shuffled" draws a new permutation for every `epoch` (counted from 0). "by_class" sorts by
    label; the order within each class is drawn once per seed and is the same in every epoch.
    Every (seed, epoch) has its own random stream (NumPy's SeedSequence), so an order does not
    depend on earlier epochs or on the network's initialisation.
    """
    if order == "shuffled":
        return np.random.default_rng((seed, epoch)).permutation(len(labels))
    permutation = np.random.default_rng((seed, 0)).permutation(len(labels))
    return permutation[np.argsort(labels[permutation], kind="stable")]
