"""Conversions between PyTorch's tensors and the arrays that `kernels` computes on."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ...network import MLP
from .layout import Network, Sparse, no_parameters


@lru_cache(maxsize=2)  # a training set and a test set
def sparse(images: Tensor) -> Sparse:
    """Returns the images as a `Sparse` matrix, cached for all engines and evaluations."""
    rows, columns = np.nonzero(images.numpy())
    starts = np.zeros(len(images) + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=len(images)), out=starts[1:])
    return Sparse(starts, columns.astype(np.uint16), images.numpy()[rows, columns])


def padded_network(network: MLP, parameters: list[Tensor]) -> Network:
    """Returns the padded parameters, given one replicate's stacked (1, in, out) and (1, out)."""
    arrays = no_parameters(network)
    for view, parameter in zip(views(network, arrays), parameters, strict=True):
        view.copy_(parameter[0])
    return arrays


def views(network: MLP, arrays: Network) -> list[Tensor]:
    """Returns views of the parameters without the padding: weights (in, out) and biases (out,)."""
    *hidden, last = map(torch.from_numpy, arrays)
    inputs, classes = network.sizes[-2:]
    found = []
    for layer, (before, units) in zip(hidden, pairwise(network.sizes[:-1]), strict=True):
        found += [layer[:before, :units], layer[before, :units]]
    return [*found, last[:classes, :inputs].T, last[:classes, inputs]]
