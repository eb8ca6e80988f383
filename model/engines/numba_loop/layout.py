"""The arrays that `kernels` computes on, for any network, and the numbers that describe an optimizer.

All arrays are float32 unless stated otherwise. Rows are zero-padded to whole 64-byte cache lines, so
every loop over a row has a constant length and no remainder. Layers of weights are numbered from 0, like
the hidden layers that they lead to; the last one leads to the classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy import float32
from numpy.typing import NDArray

from ...network import MLP

LINE = 16  # float32 numbers in a cache line
GROUP = 32  # examples that share the weights in a core's L1 cache; see `kernels._hidden_layer`

Floats = NDArray[float32]

# Each layer's parameters: a row for every input, then one for the bias. The last layer instead has a row
# for every class, with the bias in the column after the inputs' columns.
Network = tuple[Floats, ...]


def widths(network: MLP) -> tuple[int, ...]:
    """Returns the padded lengths of rows over each hidden layer's units, and of rows over the classes.

    Rows over the last hidden layer's units also have a column for the bias.
    """
    *hidden, last, classes = network.sizes[1:]
    return tuple(-(-size // LINE) * LINE for size in (*hidden, last + 1, classes))


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> NDArray[Any]:
    """Returns zeros from PyTorch, which aligns them to 64 bytes; NumPy does not."""
    return torch.zeros(shape, dtype=dtype).numpy()


def no_parameters(network: MLP) -> Network:
    """Returns parameters that are all 0."""
    *inputs, classes = network.sizes
    hidden = widths(network)[:-1]
    rows = (*(size + 1 for size in inputs[:-1]), classes)
    return tuple(zeros(*shape) for shape in zip(rows, (*hidden, hidden[-1]), strict=True))


class Sparse(NamedTuple):
    """A matrix in CSR format: row i has the entries from starts[i] up to starts[i + 1]."""

    starts: NDArray[np.uint32]  # (rows + 1,), uint32
    columns: NDArray[np.uint16]  # (entries,), uint16
    values: Floats  # (entries,)

    @classmethod
    def zeros(cls, count: int, rows: int, entries: int) -> Sparse:
        """Returns arrays for `count` matrices, with an additional first axis."""
        return cls(
            zeros(count, rows + 1, dtype=torch.uint32),
            zeros(count, -(-entries // 32) * 32, dtype=torch.uint16),
            zeros(count, -(-entries // 32) * 32),
        )


class Pairs(NamedTuple):
    """Images in pairs: for each pair, the inputs that are not 0 in one of the two, or in both.

    Pair p has the entries from starts[p] up to starts[p + 1]. Of an odd number of images, the last is
    also the second of its pair.
    """

    starts: NDArray[np.uint32]  # (pairs + 1,), uint32
    columns: NDArray[np.uint16]  # (entries,), uint16
    values: Floats  # (entries, 2)
    images: NDArray[np.uint32]  # (pairs, 2), uint32: the numbers of the images


class PairWorkspace(NamedTuple):
    """What the evaluation of a pair computes."""

    listed: NDArray[np.uint32]  # (1,), uint32: how many of a layer's units are active in either image
    columns: NDArray[np.uint16]  # (units + 1,), uint16: their numbers
    values: Floats  # (units + 1, 2): their activations
    sums: Floats  # (2, width): pre-activations; at last the activations, and 1 for the bias
    logits: Floats  # (2, width)

    @classmethod
    def zeros(cls, network: MLP) -> PairWorkspace:
        """Returns a workspace of zeros."""
        units, lengths = max(network.hidden), widths(network)
        return cls(
            zeros(1, dtype=torch.uint32),
            zeros(units + 1, dtype=torch.uint16),
            zeros(units + 1, 2),
            zeros(2, max(lengths)),
            zeros(2, lengths[-1]),
        )


class Rule(NamedTuple):
    """An optimizer in the form that `use_row` applies; see `rules`."""

    direct: bool  # a step only adds the gradient to the weights
    sparse: bool  # a row without a gradient does not change, nor does its state
    quiet: bool  # ... or at least not until it first has one
    adam: bool
    divides: bool  # gradients are divided by the root of `square`
    centered: bool  # ... after subtracting the square of their mean from it
    nesterov: bool
    memory: float32  # the factor of `square` in a step
    fresh: float32  # the factor of a gradient's square that is added to it
    eps: float32
    momentum: float32  # the factor of `buffer` in a step; 0 if there is no buffer


class Steps(NamedTuple):
    """The factors that change from step to step, each (steps,)."""

    scale: Floats  # of gradients when they are summed
    decay: Floats  # of a weight that is added to its gradient
    shrink: Floats  # of a weight
    gain: Floats  # of a gradient that is added to `buffer`
    correction: Floats  # of the root of Adam's `square`
    stride: Floats  # of the processed gradient that is added to the weights


class Deferred(NamedTuple):
    """The steps of a call in which rows without a gradient are left as they are; see `rules.deferred`.

    A row makes up for them, all at once, before it is next read. The arrays are float64, for 0 to all
    steps, shape (steps + 1,); they are empty if no step is deferred.
    """

    first: int  # the first step that may be deferred; the number of steps if there is none
    eps: float
    without_eps: NDArray[np.float64]  # the sum of the remaining steps' factors if eps is negligible ...
    eps_alone: NDArray[np.float64]  # ... and if the root of `square` is
    ratio: NDArray[np.float64]  # powers of beta1 / sqrt(beta2)
    beta1: NDArray[np.float64]  # powers of it
    beta2: NDArray[np.float64]


class Kept(NamedTuple):
    """An optimizer's state for a layer: arrays of the weights' shape, and two counts for each row."""

    buffer: Floats  # momentum; Adam's first moment
    square: Floats  # the mean or sum of the gradients' squares; Adam's second moment
    mean: Floats  # the mean of gradients
    gradient: Floats  # the gradient that earlier waves have summed; 0 between steps
    updated: NDArray[np.uint32]  # (rows,), uint32: the number of the call's steps up to the last update
    moved: NDArray[np.uint32]  # ... and of those that the weights, unlike the state, include


class Chunk(NamedTuple):
    """A thread's part of a wave. A delta is the loss's gradient with respect to pre-activations.

    A workspace is the same with an additional first axis, the threads'.
    """

    active: tuple[Sparse, ...]  # (examples, units): the activations of each hidden layer but the last
    top: Floats  # (examples, width): the activations of the last hidden layer, then 1 for the bias
    deltas: tuple[Floats, ...]  # (examples, width) for each layer; at first its slopes, or the logits
    by_input: Sparse  # (inputs + 1, examples): the images transposed, and a row of ones
    by_unit: tuple[Sparse, ...]  # (units, examples): each of `active` transposed
    rows: NDArray[np.uint32]  # (examples,), uint32: 0, 1, 2 ...
    at: NDArray[np.uint32]  # (examples,), uint32: the next entry of each example's list

    @classmethod
    def zeros(cls, network: MLP, threads: int, examples: int) -> Chunk:
        """Returns a workspace of zeros."""
        inputs, listed, lengths = network.inputs, network.hidden[:-1], widths(network)
        return cls(
            # One more entry, as a unit is written before it is known whether it is active.
            tuple(Sparse.zeros(threads, examples, examples * units + 1) for units in listed),
            zeros(threads, examples, lengths[-2]),
            tuple(zeros(threads, examples, length) for length in lengths),
            Sparse.zeros(threads, inputs + 1, examples * (inputs + 1)),
            tuple(Sparse.zeros(threads, units, examples * units) for units in listed),
            np.tile(np.arange(examples, dtype=np.uint32), (threads, 1)),
            zeros(threads, examples, dtype=torch.uint32),
        )

    def of(self, thread: int) -> Chunk:
        """Returns the thread's part of the workspace."""
        part: Chunk = _part(self, thread)
        return part


def _part(value: Any, thread: int) -> Any:
    if isinstance(value, np.ndarray):
        return value[thread]
    parts = [_part(each, thread) for each in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
