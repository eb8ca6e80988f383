"""The compiled epochs of `numba_loop`: one replicate on one core, sparse where zeros are exact.

Four fifths of MNIST's pixels are 0, and about half of the ReLUs are inactive. A 0 adds nothing to
a forward sum and receives no gradient. So the forward pass sums a layer over the list of an
example's nonzero pixels, or active units. The backward pass transposes these lists: the gradient of
a row of weights is a sum over the examples in which that pixel or unit is not 0. It is applied as
soon as it is computed; the gradient of a whole layer is never stored.

In a network that is no longer finite, the reference has NaN where a 0 meets an infinity, and here
that product is skipped. The outcome is the same: a weight or bias that is not finite stays so, and
the dense evaluation after the epoch sees it.

All arrays are float32 unless stated otherwise. Rows are zero-padded to whole 64-byte cache lines,
so every loop over a row has a constant length and no remainder. Indices are unsigned: Numba lets
negative indices count from the end, and checks every signed one for that.

The assembly was checked for the following, with AVX-512: a sum over a list keeps its 19 (or 7)
vectors in registers, and an entry costs one broadcast and 19 `vfmadd231ps (memory), zmm, zmm`; the
sigmoids and Adam's square roots and divisions are vectors of 16; no loop over weights or lists
contains a call, and none is compiled twice for arrays that might overlap.

Numba's cache checks the age of this file alone, so all compiled code is in it; and each entry point
has one signature, as Numba could otherwise mistake one cached file for another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array
from numpy import float32, int32
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numba.core.cpu import CPUContext
    from numba.core.typing.context import BaseContext
    from numba.core.typing.templates import Signature

PIXELS, HIDDEN1, HIDDEN2, CLASSES = 784, 300, 100, 10
WIDTH1, WIDTH2, WIDTH3 = 304, 112, 16  # the last three, padded

BETA1, BETA2, EPSILON = 0.9, 0.999, float32(1e-8)  # torch.optim.Adam's defaults

# Sums may be reordered and fused with multiplications, but NaN and infinity must keep their
# meaning: no "nnan", no "ninf".
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
_inlined = njit(fastmath=_FASTMATH, error_model="numpy", forceinline=True)
_entry = njit(fastmath=_FASTMATH, error_model="numpy", nogil=True, cache=True)


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
    def zeros(cls, rows: int, entries: int) -> Sparse:
        return cls(
            _zeros(rows + 1, dtype=torch.uint32),
            _zeros(entries, dtype=torch.uint16),
            _zeros(entries),
        )


class Network(NamedTuple):
    """The parameters of one replicate, or a moment of their gradients, with padded rows."""

    weight1: Floats  # (784, 304), a row for every input
    bias1: Floats  # (1, 304)
    weight2: Floats  # (300, 112), a row for every input
    bias2: Floats  # (1, 112)
    weight3: Floats  # (10, 112), a row for every output
    bias3: Floats  # (1, 16)

    @classmethod
    def zeros(cls) -> Network:
        return cls(
            _zeros(PIXELS, WIDTH1),
            _zeros(1, WIDTH1),
            _zeros(HIDDEN1, WIDTH2),
            _zeros(1, WIDTH2),
            _zeros(CLASSES, WIDTH2),
            _zeros(1, WIDTH3),
        )


class Batch(NamedTuple):
    """A step's workspace. A delta is the loss's gradient with respect to a layer's pre-activations."""

    hidden1: Sparse  # (batch, 300)
    hidden2: Floats  # (batch, 112)
    delta1: Floats  # (batch, 304)
    delta2: Floats  # (batch, 112)
    delta3: Floats  # (batch, 16)
    by_pixel: Sparse  # (784, batch): the images transposed
    by_unit: Sparse  # (300, batch): hidden1 transposed

    @classmethod
    def zeros(cls, size: int) -> Batch:
        return cls(
            Sparse.zeros(size, size * HIDDEN1 + 1),  # + 1: _forward writes a unit, then decides
            _zeros(size, WIDTH2),
            _zeros(size, WIDTH1),
            _zeros(size, WIDTH2),
            _zeros(size, WIDTH3),
            Sparse.zeros(PIXELS, size * PIXELS),
            Sparse.zeros(HIDDEN1, size * HIDDEN1),
        )


class Adam(NamedTuple):
    """The state of Adam, and a workspace for gradients."""

    first: Network  # the moments
    second: Network
    steps: NDArray[np.int64]  # (1,), int64: steps taken so far
    seen: NDArray[np.bool]  # (784,), bool: pixels that were not 0 in some example so far
    gradient: Network  # only row 0 of weight1 and weight2 is used

    @classmethod
    def zeros(cls) -> Adam:
        return cls(
            Network.zeros(),
            Network.zeros(),
            _zeros(1, dtype=torch.int64),
            _zeros(PIXELS, dtype=torch.bool),
            Network.zeros(),
        )


def _registers(width: int) -> Callable[[], Floats]:
    """A function for compiled code that returns `width` float32 on the stack, uninitialised.

    Nothing can alias them, so LLVM keeps them in registers if the loops over them have that
    constant length. It does not do so for a NumPy array, even a local one.
    """

    @intrinsic
    def array(typing_context: BaseContext) -> tuple[Signature, Callable[..., Any]]:
        kind = types.Array(types.float32, 1, "C")

        def generate(
            context: CPUContext, builder: ir.IRBuilder, signature: Signature, arguments: object
        ) -> Any:
            memory = cgutils.alloca_once(builder, ir.ArrayType(ir.FloatType(), width))
            memory.align = 64
            struct = make_array(kind)(context, builder)
            populate_array(
                struct,
                data=builder.bitcast(memory, ir.FloatType().as_pointer()),
                shape=[context.get_constant(types.intp, width)],
                strides=[context.get_constant(types.intp, 4)],
                itemsize=context.get_constant(types.intp, 4),
                meminfo=None,
            )
            return struct._getvalue()

        return kind(), generate

    return array  # type: ignore[return-value]  # Numba passes the typing context


def _row_functions(width: int) -> tuple[Callable[..., None], Callable[..., None]]:
    registers = _registers(width)

    @_inlined
    def add_rows(
        total: Floats,
        at: int,
        matrix: Floats,
        columns: NDArray[np.uint16],
        values: Floats,
        begin: int,
        end: int,
    ) -> None:
        """total[at] += sum of values[k] * matrix[columns[k]] over begin <= k < end.

        The terms are summed before they are added: `total` may hold weights, which are far larger,
        and every term would be rounded to their precision.
        """
        row = registers()
        for j in range(width):
            row[j] = 0
        for k in range(begin, end):
            column, value = columns[k], values[k]
            for j in range(width):
                row[j] += value * matrix[column, j]
        for j in range(width):
            total[at, j] += row[j]

    @_inlined
    def adam_row(
        weights: Floats,
        first: Floats,
        second: Floats,
        at: int,
        gradient: Floats,
        from_row: int,
        rate: float32,
        scale: float32,
    ) -> None:
        """Adam's update of weights[at] and its moments with gradient[from_row].

        `rate` is the learning rate divided by the first moment's bias correction, `scale` is 1
        divided by the square root of the second's.
        """
        for j in range(width):
            g = gradient[from_row, j]
            m = first[at, j] + float32(1 - BETA1) * (g - first[at, j])
            v = float32(BETA2) * second[at, j] + float32(1 - BETA2) * g * g
            first[at, j] = m
            second[at, j] = v
            weights[at, j] -= rate * m / (math.sqrt(v) * scale + EPSILON)

    return add_rows, adam_row


_add_rows1, _adam_row1 = _row_functions(WIDTH1)
_add_rows2, _adam_row2 = _row_functions(WIDTH2)
_, _adam_row3 = _row_functions(WIDTH3)
_registers1, _registers2 = _registers(WIDTH1), _registers(WIDTH2)


@_inlined
def _exp(x: float32) -> float32:
    """e**x to within 1.3 ULP from -87 to 88; below, the value at -87; above, infinity.

    So a saturated sigmoid can be exactly 0, and does not fill the deltas with subnormal numbers,
    with which a step takes ten times as long.
    Cephes' expf without branches, so that LLVM vectorises the loop around it (it cannot with libm's).
    """
    y = x if x > float32(-87) else float32(-87)
    y = y if y < float32(88) else float32(88)
    n = np.floor(y * float32(1.44269504) + float32(0.5))
    r = y - n * float32(0.693359375) + n * float32(2.12194440e-4)
    p = float32(1.9875691500e-4)
    p = p * r + float32(1.3981999507e-3)
    p = p * r + float32(8.3334519073e-3)
    p = p * r + float32(4.1665795894e-2)
    p = p * r + float32(1.6666665459e-1)
    p = p * r + float32(5.0000001201e-1)
    p = p * r * r + r + float32(1)
    power = int32((int32(n) + int32(127)) << int32(23)).view(float32)
    return p * power if x <= float32(88) else x * float32(np.inf)  # NaN stays NaN


@_inlined
def _forward(
    network: Network, images: Sparse, labels: NDArray[np.int64], examples: NDArray[np.uint32], s: Batch
) -> None:
    """Fills `s` for the batch `examples`, uint32, except by_pixel and by_unit; delta1 is set to 0."""
    end = 0
    for b in range(len(examples)):
        example = examples[b]
        for j in range(WIDTH1):
            s.delta1[b, j] = network.bias1[0, j]
        _add_rows1(
            s.delta1,
            b,
            network.weight1,
            images.columns,
            images.values,
            images.starts[example],
            images.starts[example + 1],
        )
        for j in range(HIDDEN1):
            value = s.delta1[b, j]
            s.hidden1.columns[end] = j
            s.hidden1.values[end] = value
            end += not (value <= 0)  # a NaN is passed on, as torch.relu does
        s.hidden1.starts[b + 1] = end

        for j in range(WIDTH2):
            s.hidden2[b, j] = network.bias2[0, j]
        _add_rows2(
            s.hidden2,
            b,
            network.weight2,
            s.hidden1.columns,
            s.hidden1.values,
            s.hidden1.starts[b],
            s.hidden1.starts[b + 1],
        )
        for j in range(WIDTH2):
            s.hidden2[b, j] = float32(1) / (float32(1) + _exp(-s.hidden2[b, j]))
        for j in range(HIDDEN2, WIDTH2):
            s.hidden2[b, j] = 0

        # Softmax as PyTorch computes it: the exponential of the log-softmax.
        largest = float32(-np.inf)
        for c in range(CLASSES):
            logit = network.bias3[0, c]
            for j in range(WIDTH2):
                logit += network.weight3[c, j] * s.hidden2[b, j]
            s.delta3[b, c] = logit
            if not (logit <= largest):
                largest = logit
        total = float32(0)
        for c in range(CLASSES):
            total += math.exp(s.delta3[b, c] - largest)
        log_total = math.log(total)
        for c in range(CLASSES):
            probability = math.exp(s.delta3[b, c] - largest - log_total)
            s.delta3[b, c] = (probability - float32(labels[example] == c)) / float32(len(examples))

        row = _registers2()
        for j in range(WIDTH2):
            row[j] = 0
        for c in range(CLASSES):
            delta = s.delta3[b, c]
            for j in range(WIDTH2):
                row[j] += delta * network.weight3[c, j]
        for j in range(WIDTH2):
            s.delta2[b, j] = row[j] * (float32(1) - s.hidden2[b, j]) * s.hidden2[b, j]
        for j in range(WIDTH1):
            s.delta1[b, j] = 0


@_inlined
def _transpose(sparse: Sparse, rows: NDArray[np.uint32], scale: float32, out: Sparse) -> None:
    """Fills `out` with scale * sparse[rows], transposed."""
    starts, columns, values = sparse.starts, sparse.columns, sparse.values
    out_starts, out_columns, out_values = out.starts, out.columns, out.values
    for column in range(len(out_starts)):
        out_starts[column] = 0
    for b in range(len(rows)):
        for k in range(starts[rows[b]], starts[rows[b] + 1]):
            out_starts[columns[k] + 1] += 1
    at = 0
    for column in range(len(out_starts)):
        at += out_starts[column]
        out_starts[column] = at
    # Filling a column moves its start to its end, which is the next column's start ...
    for b in range(len(rows)):
        for k in range(starts[rows[b]], starts[rows[b] + 1]):
            column = columns[k]
            at = out_starts[column]
            out_columns[at] = b
            out_values[at] = scale * values[k]
            out_starts[column] = at + 1
    # ... so all starts are shifted by one column.
    for column in range(len(out_starts) - 1, 0, -1):
        out_starts[column] = out_starts[column - 1]
    out_starts[0] = 0


@_inlined
def _back_through_unit(weight2: Floats, unit: int, s: Batch, total: Floats, at: int) -> None:
    """Computes the unit's delta1 in each example, and adds its gradient of weight2 to total[at].

    Both loop over the same deltas, so they share one loop.
    """
    weights, row = _registers2(), _registers2()
    for j in range(WIDTH2):
        weights[j] = weight2[unit, j]
        row[j] = 0
    for k in range(s.by_unit.starts[unit], s.by_unit.starts[unit + 1]):
        b, value = s.by_unit.columns[k], s.by_unit.values[k]
        delta1 = float32(0)
        for j in range(WIDTH2):
            delta = s.delta2[b, j]
            delta1 += weights[j] * delta
            row[j] += value * delta
        s.delta1[b, unit] = delta1
    for j in range(WIDTH2):
        total[at, j] += row[j]


@_inlined
def _step_online(
    weight1: Floats, weight2: Floats, images: Sparse, example: np.uint32, step: float32, s: Batch
) -> None:
    """A step of SGD on the first two layers' weights, with a batch of the single `example`.

    Its own lists suffice, without a transposition, and no row of weights needs a sum.
    """
    delta2 = _registers2()
    for j in range(WIDTH2):
        delta2[j] = s.delta2[0, j]
    for k in range(s.hidden1.starts[0], s.hidden1.starts[1]):
        unit, scaled = s.hidden1.columns[k], step * s.hidden1.values[k]
        total = float32(0)
        for j in range(WIDTH2):
            weight = weight2[unit, j]
            total += weight * delta2[j]
            weight2[unit, j] = weight + scaled * delta2[j]
        s.delta1[0, unit] = total
    delta1 = _registers1()
    for j in range(WIDTH1):
        delta1[j] = s.delta1[0, j]
    for k in range(images.starts[example], images.starts[example + 1]):
        pixel, scaled = images.columns[k], step * images.values[k]
        for j in range(WIDTH1):
            weight1[pixel, j] += scaled * delta1[j]


@_inlined
def _add_biases_and_layer3(
    total: Network, examples: NDArray[np.uint32], scale: float32, s: Batch
) -> None:
    """Adds scale times the gradients of weight3 and of all biases to `total`."""
    row1 = _registers1()
    for j in range(WIDTH1):
        row1[j] = 0
    for b in range(len(examples)):
        for j in range(WIDTH1):
            row1[j] += s.delta1[b, j]
    for j in range(WIDTH1):
        total.bias1[0, j] += scale * row1[j]

    row2 = _registers2()
    for j in range(WIDTH2):
        row2[j] = 0
    for b in range(len(examples)):
        for j in range(WIDTH2):
            row2[j] += s.delta2[b, j]
    for j in range(WIDTH2):
        total.bias2[0, j] += scale * row2[j]

    for c in range(CLASSES):
        row3 = _registers2()
        bias3 = float32(0)
        for j in range(WIDTH2):
            row3[j] = 0
        for b in range(len(examples)):
            delta = s.delta3[b, c]
            bias3 += delta
            for j in range(WIDTH2):
                row3[j] += delta * s.hidden2[b, j]
        total.bias3[0, c] += scale * bias3
        for j in range(WIDTH2):
            total.weight3[c, j] += scale * row3[j]


@_entry
def train_sgd(
    images: Sparse,
    labels: NDArray[np.int64],
    batch_size: int,
    learning_rate: float,
    network: Network,
    s: Batch,
    order: NDArray[np.uint32],
) -> None:
    """Trains `network` for one epoch with plain SGD, in the given order (uint32)."""
    step = float32(-learning_rate)
    all_rows = np.arange(batch_size).astype(np.uint32)
    for first in range(0, len(order), batch_size):
        examples = order[first : first + batch_size]
        _forward(network, images, labels, examples, s)
        if len(examples) == 1:
            _step_online(network.weight1, network.weight2, images, examples[0], step, s)
        else:
            _transpose(s.hidden1, all_rows[: len(examples)], step, s.by_unit)
            for unit in range(HIDDEN1):
                if s.by_unit.starts[unit] < s.by_unit.starts[unit + 1]:
                    _back_through_unit(network.weight2, unit, s, network.weight2, unit)
            _transpose(images, examples, step, s.by_pixel)
            for pixel in range(PIXELS):
                begin, end = s.by_pixel.starts[pixel], s.by_pixel.starts[pixel + 1]
                if begin < end:
                    _add_rows1(
                        network.weight1,
                        pixel,
                        s.delta1,
                        s.by_pixel.columns,
                        s.by_pixel.values,
                        begin,
                        end,
                    )
        _add_biases_and_layer3(network, examples, step, s)


@_entry
def train_adam(
    images: Sparse,
    labels: NDArray[np.int64],
    batch_size: int,
    learning_rate: float,
    network: Network,
    s: Batch,
    adam: Adam,
    order: NDArray[np.uint32],
) -> None:
    """Trains `network` for one epoch with Adam, in the given order (uint32).

    While a pixel has been 0 in all examples so far, both moments of its weights are 0 and Adam
    does not change them, so they are skipped.
    """
    first, second, gradient = adam.first, adam.second, adam.gradient
    all_rows = np.arange(batch_size).astype(np.uint32)
    for start in range(0, len(order), batch_size):
        examples = order[start : start + batch_size]
        adam.steps[0] += 1
        rate = float32(learning_rate / (1 - BETA1 ** adam.steps[0]))
        scale = float32(1 / math.sqrt(1 - BETA2 ** adam.steps[0]))

        _forward(network, images, labels, examples, s)
        _transpose(s.hidden1, all_rows[: len(examples)], float32(1), s.by_unit)
        weights, moment1, moment2, row = network.weight2, first.weight2, second.weight2, gradient.weight2
        for unit in range(HIDDEN1):
            row[0] = 0
            _back_through_unit(weights, unit, s, row, 0)
            _adam_row2(weights, moment1, moment2, unit, row, 0, rate, scale)
        _transpose(images, examples, float32(1), s.by_pixel)
        weights, moment1, moment2, row = network.weight1, first.weight1, second.weight1, gradient.weight1
        for pixel in range(PIXELS):
            begin, end = s.by_pixel.starts[pixel], s.by_pixel.starts[pixel + 1]
            adam.seen[pixel] |= begin < end
            if adam.seen[pixel]:
                row[0] = 0
                _add_rows1(row, 0, s.delta1, s.by_pixel.columns, s.by_pixel.values, begin, end)
                _adam_row1(weights, moment1, moment2, pixel, row, 0, rate, scale)
        gradient.bias1[:] = 0
        gradient.bias2[:] = 0
        gradient.weight3[:] = 0
        gradient.bias3[:] = 0
        _add_biases_and_layer3(gradient, examples, float32(1), s)
        _adam_row1(network.bias1, first.bias1, second.bias1, 0, gradient.bias1, 0, rate, scale)
        _adam_row2(network.bias2, first.bias2, second.bias2, 0, gradient.bias2, 0, rate, scale)
        for c in range(CLASSES):
            _adam_row2(
                network.weight3, first.weight3, second.weight3, c, gradient.weight3, c, rate, scale
            )
        _adam_row3(network.bias3, first.bias3, second.bias3, 0, gradient.bias3, 0, rate, scale)
