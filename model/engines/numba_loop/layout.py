"""The arrays that `kernels` computes on.

All are float32 unless stated otherwise. Rows are zero-padded to whole 64-byte cache lines, so every loop
over a row has a constant length and no remainder.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy import float32
from numpy.typing import NDArray

PIXELS, HIDDEN1, HIDDEN2, CLASSES = 784, 300, 100, 10
WIDTH1, WIDTH2, WIDTH3 = 304, 112, 16  # the last three, padded

Floats = NDArray[float32]


def _zeros(*shape: int, dtype: torch.dtype = torch.float32) -> NDArray[Any]:
    """Zeros from PyTorch, which aligns them to 64 bytes; NumPy does not."""
    return torch.zeros(shape, dtype=dtype).numpy()


class Sparse(NamedTuple):
    """A matrix in CSR format: row i has the entries from starts[i] up to starts[i + 1]."""

    starts: NDArray[np.uint32]  # (rows + 1,), uint32
    columns: NDArray[np.uint16]  # (entries,), uint16
    values: Floats  # (entries,)

    @classmethod
    def zeros(cls, count: int, rows: int, entries: int) -> Sparse:
        """Room for `count` of them: arrays with one more axis."""
        return cls(
            _zeros(count, rows + 1, dtype=torch.uint32),
            _zeros(count, -(-entries // 32) * 32, dtype=torch.uint16),
            _zeros(count, -(-entries // 32) * 32),
        )


class Network(NamedTuple):
    """The parameters of one replicate, or a moment or the sum of their gradients, with padded rows."""

    layer1: Floats  # (785, 304), a row for every input; the last is the bias
    layer2: Floats  # (301, 112), likewise
    layer3: Floats  # (10, 112), a row for every output; column 100 is the bias

    @classmethod
    def zeros(cls) -> Network:
        return cls(
            _zeros(PIXELS + 1, WIDTH1),
            _zeros(HIDDEN1 + 1, WIDTH2),
            _zeros(CLASSES, WIDTH2),
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


class State(NamedTuple):
    """What a replicate's optimizer keeps from step to step."""

    buffer: Network  # of momentum; Adam's first moment
    square: Network  # of gradients, a mean or a sum; Adam's second moment
    mean: Network  # of gradients
    gradient: Network  # 0 between two steps
    seen: NDArray[np.bool]  # (785,), bool: inputs that were not 0 in some example so far

    @classmethod
    def of(cls, square: float) -> State:
        """Zeros, but for the squares."""
        buffer, squares, mean, gradient = (Network.zeros() for _ in range(4))
        for each in squares:
            each.fill(square)
        return cls(buffer, squares, mean, gradient, _zeros(PIXELS + 1, dtype=torch.bool))


class Chunk(NamedTuple):
    """A thread's part of a wave. A delta is the loss's gradient with respect to pre-activations.

    A workspace is the same with one more axis, the thread's, before all others.
    """

    hidden1: Sparse  # (examples, 300)
    hidden2: Floats  # (examples, 112)
    delta1: Floats  # (examples, 304)
    delta2: Floats  # (examples, 112)
    delta3: Floats  # (examples, 16); first the logits
    by_pixel: Sparse  # (785, examples): the images transposed, and a row of ones
    by_unit: Sparse  # (300, examples): hidden1 transposed
    rows: NDArray[np.uint32]  # (examples,), uint32: 0, 1, 2 ...

    @classmethod
    def zeros(cls, threads: int, examples: int) -> Chunk:
        """A workspace."""
        return cls(
            Sparse.zeros(threads, examples, examples * HIDDEN1 + 1),  # + 1: see _forward
            _zeros(threads, examples, WIDTH2),
            _zeros(threads, examples, WIDTH1),
            _zeros(threads, examples, WIDTH2),
            _zeros(threads, examples, WIDTH3),
            Sparse.zeros(threads, PIXELS + 1, examples * (PIXELS + 1)),
            Sparse.zeros(threads, HIDDEN1, examples * HIDDEN1),
            np.tile(np.arange(examples, dtype=np.uint32), (threads, 1)),
        )
