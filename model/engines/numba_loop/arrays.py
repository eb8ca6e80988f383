"""Between PyTorch's tensors and the arrays that `kernels` computes on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...network import MLP
from .layout import Network, Sparse


@lru_cache(maxsize=2)  # a training set and a test set
def sparse(images: Tensor) -> Sparse:
    """The images as a `Sparse` matrix; cached, for all engines and evaluations on them."""
    rows, columns = np.nonzero(images.numpy())
    starts = np.zeros(len(images) + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=len(images)), out=starts[1:])
    return Sparse(starts, columns.astype(np.uint16), images.numpy()[rows, columns])


def padded(parameters: list[Tensor]) -> Network:
    """A `Network`, padded, from one replicate's stacked parameters (1, in, out) and (1, out)."""
    network = Network.zeros()
    for view, parameter in zip(views(network), parameters, strict=True):
        view.copy_(parameter[0])
    return network


def views(network: Network) -> list[Tensor]:
    """Views of the parameters inside the padding: weights (in, out) and biases (out,)."""
    pixels, hidden1, hidden2, classes = MLP().sizes
    layer1, layer2, layer3 = map(torch.from_numpy, network)
    return [
        layer1[:pixels, :hidden1],
        layer1[pixels, :hidden1],
        layer2[:hidden1, :hidden2],
        layer2[hidden1, :hidden2],
        layer3[:classes, :hidden2].T,
        layer3[:classes, hidden2],
    ]
