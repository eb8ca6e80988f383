"""The effect of a common initial value: units that are copies of each other, matrices of rank one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def unit_spread(parameters: list[Tensor]) -> NDArray[np.float64]:
    """Returns how far apart the units of each hidden layer are, float64 (hidden layers, replicates).

    This is the largest difference between two units of the layer in any of a unit's parameters (incoming
    weights, bias, outgoing weights), divided by the largest magnitude of these parameters: 0 if all
    units are bitwise equal, including all 0, and NaN if a parameter is not finite.
    """
    layers = []
    for layer in range(len(parameters) // 2 - 1):
        incoming, bias, outgoing = parameters[2 * layer : 2 * layer + 3]
        units = torch.cat([incoming, bias[:, None], outgoing.transpose(1, 2)], dim=1).double()
        apart = (units.amax(dim=2) - units.amin(dim=2)).amax(dim=1)
        largest = units.abs().amax(dim=(1, 2))
        layers.append(torch.where(largest == 0, 0, apart / largest).cpu().numpy())
    return np.array(layers)


def weight_ranks(parameters: list[Tensor]) -> NDArray[np.float64]:
    """Returns the numerical rank of each weight matrix, float64 of shape (layers, replicates).

    The tolerance is float32's rounding of the largest singular value, as in NumPy's
    `matrix_rank`. The rank is NaN if a weight is not finite.
    """
    counts = []
    for weights in parameters[::2]:
        finite = weights.isfinite().all(dim=2).all(dim=1)
        found = torch.linalg.matrix_rank(weights.nan_to_num(0, 0, 0)).double()
        counts.append(torch.where(finite, found, torch.nan).cpu().numpy())
    return np.array(counts)
