"""Conversions between PyTorch's tensors and the arrays that `kernels` computes on."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...network import MLP
from .layout import Network, Pairs, Sparse, no_parameters


@lru_cache(maxsize=2)  # a training set and a test set
def sparse(images: Tensor) -> Sparse:
    """Returns the images as a `Sparse` matrix, cached for all engines and evaluations."""
    rows, columns = np.nonzero(images.numpy())
    starts = np.zeros(len(images) + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=len(images)), out=starts[1:])
    return Sparse(starts, columns.astype(np.uint16), images.numpy()[rows, columns])


# Of the pixels' principal components, by which similar images are found. With 8, a pair of MNIST's
# images has 189 pixels that are not 0; two random images have 230, and one image has 150.
_COMPONENTS = 8
_SAMPLE = 5000  # images, of which the components are computed
_ITERATIONS = 4
_PAIRS_AT_ONCE = 1000  # few, as temporary copies of all images would take 400 MB


@lru_cache(maxsize=2)
def paired(images: Tensor) -> Pairs:
    """Returns the images in pairs that are alike, cached for all evaluations."""
    count = len(images)
    order = _similar_next_to_each_other(images)
    order = np.append(order, order[-1:]) if count % 2 else order
    pairs = order.reshape(-1, 2)
    counts, columns, values = [], [], []
    for start in range(0, max(1, len(pairs)), _PAIRS_AT_ONCE):
        both = images.numpy()[pairs[start : start + _PAIRS_AT_ONCE]]
        rows, inputs = np.nonzero((both != 0).any(axis=1))
        counts.append(np.bincount(rows, minlength=len(both)))
        columns.append(inputs.astype(np.uint16))
        values.append(np.stack([both[rows, 0, inputs], both[rows, 1, inputs]], axis=1))
    starts = np.cumsum(np.concatenate([[0], *counts])).astype(np.uint32)
    return Pairs(starts, np.concatenate(columns), np.concatenate(values), pairs.astype(np.uint32))


def _similar_next_to_each_other(images: Tensor) -> NDArray[np.int64]:
    """Returns an order of the images in which neighbours are alike.

    Halves the images by their first principal component, each half by the second, and so on; after the
    last component comes the first again (a k-d tree).
    """
    sample = images[:: max(1, -(-len(images) // _SAMPLE))]
    centred = sample - sample.mean(dim=0)
    components = torch.randn(images.shape[1], _COMPONENTS, generator=torch.Generator().manual_seed(0))
    for _ in range(_ITERATIONS):  # subspace iteration, which cannot fail as `eigh` can
        components = torch.linalg.qr(centred.T @ (centred @ components)).Q
    places = (images @ components).numpy()
    order = np.arange(len(images))
    for level in range(len(images).bit_length()):
        half = np.arange(len(images)) * 2**level // len(images)
        order = order[np.lexsort((places[order, level % places.shape[1]], half))]
    return order


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
