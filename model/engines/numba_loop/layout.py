"""The arrays that `kernels` computes on, for any network, and an optimizer in numbers.

All arrays are float32 unless stated otherwise. Rows are zero-padded to whole 64-byte cache lines, so
every loop over a row has a constant length and no remainder. A layer of weights has the number, from 0
on, of the hidden layer that it leads to; the last leads to the classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy import float32
from numpy.typing import NDArray

from ...network import MLP

LINE = 16  # float32 in a cache line

Floats = NDArray[float32]

# Each layer's parameters: a row for every input, and the last is the bias; but of the last layer one for
# every class, with the bias in the column after the inputs'.
Network = tuple[Floats, ...]


def widths(network: MLP) -> tuple[int, ...]:
    """The lengths of rows with a number for each unit of a hidden layer, then for each class.

    The last hidden layer's have one for the bias as well.
    """
    *hidden, last, classes = network.sizes[1:]
    return tuple(-(-size // LINE) * LINE for size in (*hidden, last + 1, classes))


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> NDArray[Any]:
    """Zeros from PyTorch, which aligns them to 64 bytes; NumPy does not."""
    return torch.zeros(shape, dtype=dtype).numpy()


def no_parameters(network: MLP) -> Network:
    """All of them 0."""
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
        """Room for `count` of them: arrays with one more axis."""
        return cls(
            zeros(count, rows + 1, dtype=torch.uint32),
            zeros(count, -(-entries // 32) * 32, dtype=torch.uint16),
            zeros(count, -(-entries // 32) * 32),
        )


class Rule(NamedTuple):
    """An optimizer, as `use_row` follows it; see `rules`."""

    direct: bool  # a gradient is added to the weights, and that is all
    sparse: bool  # a row without a gradient stays as it is, and so does what is kept of it
    quiet: bool  # ... and at least until it first has one
    adam: bool
    divides: bool  # gradients are divided by the root of what `square` keeps of their squares
    centered: bool  # ... less the square of their mean
    nesterov: bool
    memory: float32  # how much of `square` a step keeps
    fresh: float32  # how much of a new square it adds
    eps: float32
    momentum: float32  # how much of `buffer` a step keeps; without, there is no buffer


class Steps(NamedTuple):
    """What changes from step to step, each (steps,)."""

    scale: Floats  # what gradients are multiplied with where they are summed
    decay: Floats  # how much of a weight is added to its gradient
    shrink: Floats  # what a weight is multiplied with
    gain: Floats  # how much of a gradient goes into `buffer`
    correction: Floats  # what Adam's root of `square` is multiplied with
    stride: Floats  # how much is added to the weights of what became of the gradient


class Kept(NamedTuple):
    """What an optimizer keeps of a layer from step to step, each as the weights are."""

    buffer: Floats  # of momentum; Adam's first moment
    square: Floats  # of gradients, a mean or a sum; Adam's second moment
    mean: Floats  # of gradients
    gradient: Floats  # 0 between two steps


class Chunk(NamedTuple):
    """A thread's part of a wave. A delta is the loss's gradient with respect to pre-activations.

    A workspace is the same with one more axis, the thread's, before all others.
    """

    active: tuple[Sparse, ...]  # of each hidden layer but the last: (examples, units), what it passes on
    top: Floats  # (examples, width): what the last one does, then 1 for the bias
    deltas: tuple[Floats, ...]  # of each layer (examples, width); first its slopes, or the logits
    by_input: Sparse  # (inputs + 1, examples): the images transposed, and a row of ones
    by_unit: tuple[Sparse, ...]  # (units, examples): each of `active` transposed
    rows: NDArray[np.uint32]  # (examples,), uint32: 0, 1, 2 ...

    @classmethod
    def zeros(cls, network: MLP, threads: int, examples: int) -> Chunk:
        """A workspace."""
        inputs, listed, lengths = network.inputs, network.hidden[:-1], widths(network)
        return cls(
            # One entry more, as a unit is written there before it is known whether it is active.
            tuple(Sparse.zeros(threads, examples, examples * units + 1) for units in listed),
            zeros(threads, examples, lengths[-2]),
            tuple(zeros(threads, examples, length) for length in lengths),
            Sparse.zeros(threads, inputs + 1, examples * (inputs + 1)),
            tuple(Sparse.zeros(threads, units, examples * units) for units in listed),
            np.tile(np.arange(examples, dtype=np.uint32), (threads, 1)),
        )

    def of(self, thread: int) -> Chunk:
        """The thread's part of the workspace."""
        part: Chunk = _part(self, thread)
        return part


def _part(value: Any, thread: int) -> Any:
    if isinstance(value, np.ndarray):
        return value[thread]
    parts = [_part(each, thread) for each in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
