"""The compiled epochs and evaluation of `numba_loop`, sparse where zeros are exact.

Four fifths of MNIST's pixels are 0, and about half of the ReLUs are inactive. A 0 adds nothing to
a forward sum and receives no gradient. So the forward pass sums a layer over the list of an
example's nonzero inputs, or active units (all units after other activations). The backward pass
transposes these lists: the gradient of a row of weights is a sum over the examples in which that input
or unit is not 0. It is applied as soon as it is computed.

Adam moves every weight in every step, even without a gradient. On small batches, rows without one are
left as they are until they are next read, and then make up for all missed steps; see `rules.deferred`.

A replicate's threads divide the examples among themselves for the forward pass and then, when all are
done, the rows of weights for the backward pass. So one thread sums a row's gradient, over the examples
in their order, and the sum is bitwise the same for any number of threads. A batch is processed in waves,
small enough that their deltas stay in a core's L2 cache; gradients are stored only between waves.

If a network is not finite, the reference gives NaN when 0 is multiplied by infinity, and here that
product is skipped. The outcome is the same: a weight or bias that is not finite stays so, and PyTorch,
which then does the evaluation after the epoch, detects it.

Indices are unsigned: Numba lets negative indices count from the end, so it checks every signed one.

The assembly was checked for the following, with AVX-512: a sum over a list keeps its 19 (or 7)
vectors in registers, and an entry costs one broadcast and 19 `vfmadd231ps (memory), zmm, zmm`; the
sigmoids and the optimizers' square roots and divisions are vectors of 16; no loop over weights or lists
contains a call, and none is compiled twice for arrays that might overlap.

This file is executed as a separate module for each network, since the loops over rows need constant
lengths; see `compilation.kernels`. Functions that differ from layer to layer are made by functions that
take the layer's number. Numba's cache does not distinguish networks and signatures well enough, so an
entry point has the network in its name, and one signature.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array
from numpy import float32, int32
from numpy.typing import NDArray

from ...network import MLP
from .layout import (
    GROUP,
    LINE,
    Chunk,
    Deferred,
    Floats,
    Kept,
    Network,
    Pairs,
    PairWorkspace,
    Rule,
    Sparse,
    Steps,
    widths,
)

if TYPE_CHECKING:
    from numba.core.cpu import CPUContext
    from numba.core.decorators import _JITWrapper
    from numba.core.dispatcher import Dispatcher
    from numba.core.typing.context import BaseContext
    from numba.core.typing.templates import Signature

NETWORK: MLP = globals()["NETWORK"]  # set by `compilation.kernels`

INPUTS, CLASSES = NETWORK.inputs, NETWORK.classes
SIZES, WIDTHS = NETWORK.sizes, widths(NETWORK)
TOP = len(NETWORK.hidden) - 1  # the last hidden layer

_TILE = 32 * 1024  # bytes of the weights that a group of examples reads from the L1 cache
_SPINS = 2000  # reads of a counter by a waiting thread before it yields its core

# Sums may be reordered and fused with multiplications, but NaN and infinity must keep their
# meaning, so neither "nnan" nor "ninf" is set.
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
# Nothing here allocates an array, so no references need to be counted ("NRT"), which would take a fifth
# of a step of Adam at batch size 1.
_options: Any = {"fastmath": _FASTMATH, "error_model": "numpy", "_nrt": False}
_inlined: _JITWrapper = njit(**_options, forceinline=True)

# Sums over examples keep their order, which would otherwise depend on a thread's number of examples:
# LLVM unrolls narrow rows, and then splits the loop over examples into several sums.
_ordered: _JITWrapper = njit(**{**_options, "fastmath": _FASTMATH - {"reassoc"}}, forceinline=True)

_Function = TypeVar("_Function", bound=Callable[..., object])


def _entry(function: _Function) -> Dispatcher[_Function]:
    """Returns a compiled entry point, for which `compile_first` enables caching."""
    function.__qualname__ += __name__.rpartition("kernels")[2]
    compiled: Dispatcher[_Function] = njit(**_options, nogil=True)(function)
    return compiled


class Wave(NamedTuple):
    """How a wave's gradients are used in an optimizer's step."""

    rule: Rule
    scale: float32  # `scale` to `stride` are from `Steps`
    decay: float32
    shrink: float32
    gain: float32
    correction: float32
    stride: float32
    direct: bool  # this, `sparse` and `defers` are False if the batch has another wave
    sparse: bool
    is_first: bool  # the batch has no earlier wave
    is_last: bool  # ... or no later one
    examples: int
    share: int  # of the examples, for each thread; the last may have fewer
    step: int  # of the call
    deferred: Deferred
    defers: bool  # rows without a gradient are left as they are, to make up for it later


@_ordered
def _plus(total: float32, term: float32) -> float32:
    return total + term


def _in_turn(functions: list[Callable[..., None]]) -> Callable[..., None]:
    """Returns a compiled function that calls these one after the other, with the same arguments."""

    def both(first: Callable[..., None], second: Callable[..., None]) -> Callable[..., None]:
        @_inlined
        def one_then_the_other(*arguments: Any) -> None:
            first(*arguments)
            second(*arguments)

        return one_then_the_other

    def nothing(*arguments: Any) -> None:
        pass

    return reduce(both, functions or [_inlined(nothing)])


def _registers(width: int) -> Callable[[], Floats]:
    """Returns a function for compiled code that returns `width` uninitialised float32 on the stack.

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


_class_registers = _registers(WIDTHS[-1])


@_inlined
def _exp(x: float32) -> float32:
    """Returns e**x to within 1.3 ULP from -87 to 88; below, the value at -87; above, infinity.

    So a saturated sigmoid can be exactly 0, and does not fill the deltas with subnormal numbers,
    with which a step takes ten times as long. This is Cephes' expf without branches, so that LLVM
    vectorises the loop around it, which it cannot do with libm's.
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
def _relu(x: float32) -> float32:
    return float32(0) if x <= 0 else x  # NaN stays NaN, as in torch.relu


@_inlined
def _relu_slope(y: float32) -> float32:
    return float32(0) if y <= 0 else float32(1)


@_inlined
def _sigmoid(x: float32) -> float32:
    return float32(1) / (float32(1) + _exp(-x))


@_inlined
def _sigmoid_slope(y: float32) -> float32:
    return (float32(1) - y) * y


@_inlined
def _tanh(x: float32) -> float32:
    """Returns tanh(x) to within a few ULP: Cephes' tanhf, accurate near 0, without branches."""
    z = x * x
    p = float32(-5.70498872745e-3)
    p = p * z + float32(2.06390887954e-2)
    p = p * z - float32(5.37397155531e-2)
    p = p * z + float32(1.33314422036e-1)
    p = p * z - float32(3.33332819422e-1)
    size = abs(x)
    y = float32(1) - float32(2) / (_exp(size + size) + float32(1))
    return x + p * z * x if size < float32(0.625) else (y if x > 0 else -y)


@_inlined
def _tanh_slope(y: float32) -> float32:
    return float32(1) - y * y


# Activations by name, each with its slope as a function of its result.
_ACTIVATIONS = {
    "relu": (_relu, _relu_slope),
    "sigmoid": (_sigmoid, _sigmoid_slope),
    "tanh": (_tanh, _tanh_slope),
}


def _activation(layer: int) -> Callable[[Chunk, int], None]:
    """Returns a function that activates row b of s.deltas[layer] and leaves the slopes there.

    Pre-activations and slopes are padded with zeros.
    """
    units, width = SIZES[layer + 1], WIDTHS[layer]
    name = NETWORK.activations[layer]
    function, slope = _ACTIVATIONS[name]

    @_inlined
    def to_top(s: Chunk, b: int) -> None:
        values, slopes = s.top, s.deltas[layer]
        for j in range(width):
            values[b, j] = function(slopes[b, j])
        for j in range(width):
            slopes[b, j] = slope(values[b, j])
        for j in range(units, width):
            values[b, j] = slopes[b, j] = 0
        values[b, units] = 1

    @_inlined
    def to_list(s: Chunk, b: int) -> None:
        starts, columns, values = s.active[layer]
        slopes = s.deltas[layer]
        begin = starts[b]
        for j in range(units):
            columns[begin + j] = j
            values[begin + j] = function(slopes[b, j])
        for j in range(units):
            slopes[b, j] = slope(values[begin + j])
        starts[b + 1] = begin + units

    @_inlined
    def to_short_list(s: Chunk, b: int) -> None:
        starts, columns, values = s.active[layer]
        slopes = s.deltas[layer]
        end = starts[b]
        for j in range(units):
            value = slopes[b, j]
            columns[end] = j
            values[end] = value
            end += not (value <= 0)
        starts[b + 1] = end
        for j in range(width):
            slopes[b, j] = 0  # a listed unit's slope is 1, and is not read

    if layer == TOP:
        return to_top
    return to_short_list if name == "relu" else to_list


def _hidden_layer(layer: int) -> Callable[..., None]:
    """Returns the forward pass of a group of examples through a hidden layer, from their lists.

    The group reads the weights tile by tile, so a tile is in the L1 cache for all but its first reader.
    """
    inputs, width = SIZES[layer], WIDTHS[layer]
    tile = max(1, _TILE // (4 * width))
    registers, activate = _registers(width), _activation(layer)

    @_inlined
    def forward(
        network: Network,
        images: Sparse,
        examples: NDArray[np.uint32],
        s: Chunk,
        begin: int,
        end: int,
        kept: tuple[Kept, ...],
        step: int,
        deferred: Deferred,
    ) -> None:
        starts, columns, values = images if layer == 0 else s.active[layer - 1]
        rows = examples if layer == 0 else s.rows
        weights, at, total, row = network[layer], s.at, s.deltas[layer], registers()
        for b in range(begin, end):
            at[b] = starts[rows[b]]
            for j in range(width):
                total[b, j] = 0
        # A few examples would share too little to pay for moving their sums in and out of registers.
        tile_size = tile if end - begin >= GROUP // 4 else inputs
        for tile_end in range(tile_size, inputs + tile_size, tile_size):
            for b in range(begin, end):
                first, last = at[b], starts[rows[b] + 1]
                if first == last or columns[first] >= tile_end:
                    continue
                at[b] = last
                for j in range(width):
                    row[j] = total[b, j]
                for k in range(first, last):
                    column, value = columns[k], values[k]
                    if column >= tile_end:
                        at[b] = k
                        break
                    for j in range(width):
                        row[j] += value * weights[column, j]
                for j in range(width):
                    total[b, j] = row[j]
        for b in range(begin, end):
            for j in range(width):
                total[b, j] += weights[inputs, j]
            activate(s, b)

    return forward


@_inlined
def _logits(weights: Floats, top: Floats, logits: Floats, b: int) -> None:
    """Fills logits[b] from the activations of the last hidden layer, top[b]."""
    for c in range(CLASSES):
        logit = float32(0)
        for j in range(WIDTHS[TOP]):
            logit += weights[c, j] * top[b, j]
        logits[b, c] = logit


@_inlined
def _log_total(logits: Floats, b: int) -> float32:
    """Returns the logarithm of the sum of the exponentials of logits[b]; NaN if one of them is NaN."""
    largest = float32(-np.inf)
    for c in range(CLASSES):
        if not (logits[b, c] <= largest):
            largest = logits[b, c]
    exponentials = _class_registers()
    for c in range(WIDTHS[-1]):
        exponentials[c] = _exp(logits[b, c] - largest)
    total = float32(0)
    for c in range(CLASSES):
        total += exponentials[c]
    return largest + math.log(total)


@cache
def _make_up(width: int) -> Callable[..., None]:
    """Returns a function that adds to a row of weights what deferred steps of Adam left out."""

    @_inlined
    def make_up(weights: Floats, kept: Kept, at: int, step: int, deferred: Deferred) -> None:
        """Makes up for the steps from the row's last update up to `step`; see `rules.deferred`."""
        since, buffer, square = kept.updated[at], kept.buffer, kept.square
        missed = step - since
        far = deferred.without_eps[since] - deferred.ratio[missed] * deferred.without_eps[step]
        near = deferred.eps_alone[since] - deferred.beta1[missed] * deferred.eps_alone[step]
        stride = float32(far)
        eps = float32(deferred.eps * (far / near if near != 0 else 1.0))
        for j in range(width):
            weights[at, j] += stride * buffer[at, j] / (math.sqrt(square[at, j]) + eps)
        kept.moved[at] = step

    return make_up


def _made_up(layer: int) -> Callable[..., None]:
    """Returns a function that brings the rows up to date that a group's forward pass reads."""
    make_up = _make_up(WIDTHS[layer])

    @_inlined
    def made_up(
        network: Network,
        images: Sparse,
        examples: NDArray[np.uint32],
        s: Chunk,
        begin: int,
        end: int,
        kept: tuple[Kept, ...],
        step: int,
        deferred: Deferred,
    ) -> None:
        if step > deferred.first:
            starts, columns, _ = images if layer == 0 else s.active[layer - 1]
            moved = kept[layer].moved
            for b in range(begin, end):
                row = examples[b] if layer == 0 else s.rows[b]
                for k in range(starts[row], starts[row + 1]):
                    if moved[columns[k]] < step:
                        make_up(network[layer], kept[layer], columns[k], step, deferred)

    return made_up


_training_layers = _in_turn(
    [each(layer) for layer in range(TOP + 1) for each in (_made_up, _hidden_layer)]
)
_top_registers = _registers(WIDTHS[TOP])


@_inlined
def _forward(
    network: Network,
    images: Sparse,
    labels: NDArray[np.int64],
    examples: NDArray[np.uint32],
    batch_size: int,
    s: Chunk,
    kept: tuple[Kept, ...],
    step: int,
    deferred: Deferred,
) -> None:
    """Fills `s` for a batch's `examples`, except by_input, by_unit and all but the last two deltas."""
    weights, outputs, top = network[-1], s.deltas[-1], s.deltas[TOP]
    for b in range(len(examples)):
        if b % GROUP == 0:
            end = min(b + GROUP, len(examples))
            _training_layers(network, images, examples, s, b, end, kept, step, deferred)
        _logits(weights, s.top, outputs, b)

        # Softmax as PyTorch computes it: the exponential of the log-softmax.
        log_total = _log_total(outputs, b)
        for c in range(WIDTHS[-1]):
            outputs[b, c] = _exp(outputs[b, c] - log_total)
        outputs[b, labels[examples[b]]] -= float32(1)
        for c in range(WIDTHS[-1]):
            outputs[b, c] /= float32(batch_size)

        row = _top_registers()
        for j in range(WIDTHS[TOP]):
            row[j] = 0
        for c in range(CLASSES):
            delta = outputs[b, c]
            for j in range(WIDTHS[TOP]):
                row[j] += delta * weights[c, j]
        for j in range(WIDTHS[TOP]):
            top[b, j] *= row[j]


@_inlined
def _transpose(
    sparse: Sparse, rows: NDArray[np.uint32], scale: float32, ones: bool, out: Sparse
) -> None:
    """Fills `out` with scale * sparse[rows], transposed; if `ones`, its last row is all `scale`."""
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
    if ones:
        for b in range(len(rows)):
            out_columns[at + b] = b
            out_values[at + b] = scale
        at += len(rows)
    # Filling a column moves its start to its end, the next column's start ...
    for b in range(len(rows)):
        for k in range(starts[rows[b]], starts[rows[b] + 1]):
            column = columns[k]
            place = out_starts[column]
            out_columns[place] = b
            out_values[place] = scale * values[k]
            out_starts[column] = place + 1
    # ... so shift all starts by one column.
    for column in range(len(out_starts) - 1, 0, -1):
        out_starts[column] = out_starts[column - 1]
    out_starts[0] = 0
    out_starts[len(out_starts) - 1] = at


def _transposition(layer: int) -> Callable[..., None]:
    @_inlined
    def transpose(s: Chunk, examples: int, scale: float32) -> None:
        _transpose(s.active[layer], s.rows[:examples], scale, False, s.by_unit[layer])

    return transpose


_transpose_active = _in_turn([_transposition(layer) for layer in range(TOP)])


@_inlined
def _has_entries(lists: Sparse, row: int) -> bool:
    """Returns whether the row has an entry in any chunk."""
    found = False
    for c in range(len(lists.starts)):
        found |= lists.starts[c, row] < lists.starts[c, row + 1]
    return found


@cache
def _row_use(width: int) -> Callable[..., None]:
    """Returns a function that updates a row of weights."""

    @_inlined
    def divide(row: Floats, rule: Rule, square: Floats, mean: Floats, at: int) -> None:
        """Divides `row` by the root of its mean square, its variance, or the sum of its squares."""
        for j in range(width):
            square[at, j] = rule.memory * square[at, j] + rule.fresh * row[j] * row[j]
        if rule.centered:
            for j in range(width):
                m = mean[at, j] + rule.fresh * (row[j] - mean[at, j])
                mean[at, j] = m
                row[j] /= math.sqrt(square[at, j] - m * m) + rule.eps
        else:
            for j in range(width):
                row[j] /= math.sqrt(square[at, j]) + rule.eps

    @_inlined
    def use_row(row: Floats, wave: Wave, weights: Floats, kept: Kept, at: int) -> None:
        """Updates weights[at] with its gradient: `row` plus the earlier waves' sum in kept.gradient.

        Before the last wave, only adds `row` to kept.gradient.
        """
        rule, buffer, square, gradient = wave.rule, kept.buffer, kept.square, kept.gradient
        if not wave.is_last:
            for j in range(width):
                gradient[at, j] += row[j]
            return
        if not wave.is_first:
            for j in range(width):
                row[j] += gradient[at, j]
                gradient[at, j] = 0
        if wave.decay != 0:
            for j in range(width):
                row[j] += wave.decay * weights[at, j]
        if wave.shrink != 1:
            for j in range(width):
                weights[at, j] *= wave.shrink
        if rule.adam:
            faded, memory = float32(1), rule.memory
            if len(wave.deferred.beta1) > 0:
                missed = wave.step - kept.updated[at]
                faded = float32(wave.deferred.beta1[missed])
                memory *= float32(wave.deferred.beta2[missed])
                kept.updated[at] = kept.moved[at] = wave.step + 1
            for j in range(width):
                m = faded * buffer[at, j]
                m += wave.gain * (row[j] - m)
                v = memory * square[at, j] + rule.fresh * row[j] * row[j]
                buffer[at, j] = m
                square[at, j] = v
                weights[at, j] += wave.stride * m / (math.sqrt(v) * wave.correction + rule.eps)
            return
        if rule.divides:
            divide(row, rule, square, kept.mean, at)
        if rule.momentum != 0:
            for j in range(width):
                m = rule.momentum * buffer[at, j] + wave.gain * row[j]
                buffer[at, j] = m
                row[j] = row[j] + rule.momentum * m if rule.nesterov else m
        for j in range(width):
            weights[at, j] += wave.stride * row[j]

    return use_row


@intrinsic
def _arrive(typing_context: BaseContext, arrivals: types.Array) -> tuple[Signature, Callable[..., Any]]:
    """Atomically adds 1 to arrivals[0], int64, and returns its old value."""

    def generate(
        context: CPUContext, builder: ir.IRBuilder, signature: Signature, arguments: Any
    ) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(arrivals), generate


@intrinsic
def _arrived(typing_context: BaseContext, arrivals: types.Array) -> tuple[Signature, Callable[..., Any]]:
    """Returns arrivals[0], read again from memory; then all writes before those arrivals are visible."""

    def generate(
        context: CPUContext, builder: ir.IRBuilder, signature: Signature, arguments: Any
    ) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(data, "seq_cst", 8)

    return types.int64(arrivals), generate


_yield_core = types.ExternalFunction("sched_yield", types.int32())


@_inlined
def _wait_for_all(threads: int, arrivals: NDArray[np.int64]) -> None:
    """Waits until all threads have called it equally often.

    A thread that waits long, as when there are more threads than cores, yields its core.
    """
    if threads > 1:
        awaited = (_arrive(arrivals) // threads + 1) * threads  # type: ignore[call-arg, arg-type]
        spins = 0
        while _arrived(arrivals) < awaited:
            spins += 1
            if spins > _SPINS:
                _yield_core()


def _layer_of_units(layer: int) -> Callable[..., None]:
    """Returns the backward pass through a layer from hidden units, with the update of its weights."""
    units, lines, width = SIZES[layer], WIDTHS[layer - 1] // LINE, WIDTHS[layer]
    registers, use_row = _registers(width), _row_use(width)
    after_relu = NETWORK.activations[layer - 1] == "relu"

    @_inlined
    def through_unit(
        weights: Floats,
        unit: int,
        by_unit: Sparse,
        deltas: Floats,
        below: Floats,
        row: Floats,
        direct: bool,
    ) -> None:
        """Puts the unit's deltas into `below`, and its weights' gradient into `row`.

        If `direct`, adds the gradient to the weights instead. Both loop over the same deltas, so they
        share one loop.
        """
        starts, columns, values = by_unit
        own, total = registers(), registers()
        for j in range(width):
            own[j] = weights[unit, j]
            total[j] = 0
        for c in range(len(deltas)):
            for k in range(starts[c, unit], starts[c, unit + 1]):
                b, value = columns[c, k], values[c, k]
                product = float32(0)
                for j in range(width):
                    delta = deltas[c, b, j]
                    product += own[j] * delta
                    total[j] = _plus(total[j], value * delta)
                below[c, b, unit] = product if after_relu else product * below[c, b, unit]
        if direct:
            for j in range(width):
                weights[unit, j] += total[j]
        else:
            for j in range(width):
                row[j] = total[j]

    @_inlined
    def through_bias(deltas: Floats, wave: Wave, row: Floats) -> None:
        """Puts the bias's gradient, scaled, into `row`."""
        total = registers()
        for j in range(width):
            total[j] = 0
        for c in range(len(deltas)):
            for b in range(min(wave.share, wave.examples - c * wave.share)):
                for j in range(width):
                    total[j] = _plus(total[j], deltas[c, b, j])
        for j in range(width):
            row[j] = wave.scale * total[j]

    @_inlined
    def back(
        network: Network,
        kept: tuple[Kept, ...],
        w: Chunk,
        wave: Wave,
        thread: int,
        arrivals: NDArray[np.int64],
    ) -> None:
        weights, by_unit = network[layer], w.by_unit[layer - 1]
        deltas, below = w.deltas[layer], w.deltas[layer - 1]
        threads, row = len(deltas), registers()
        # Divided at cache lines of the units' deltas, so that no two threads write to the same one.
        begin = min(units, LINE * (lines * thread // threads))
        end = min(units, LINE * (lines * (thread + 1) // threads))
        for unit in range(begin, end + (thread == threads - 1)):
            if unit == units:
                through_bias(deltas, wave, row)
            elif (wave.sparse or wave.defers) and not _has_entries(by_unit, unit):
                continue
            else:
                through_unit(weights, unit, by_unit, deltas, below, row, wave.direct)
                if wave.direct:
                    continue
            use_row(row, wave, weights, kept[layer], unit)
        _wait_for_all(threads, arrivals)

    return back


_layers_of_units = _in_turn([_layer_of_units(layer) for layer in range(TOP, 0, -1)])
_first_registers, _use_first_row = _registers(WIDTHS[0]), _row_use(WIDTHS[0])
_use_last_row = _row_use(WIDTHS[TOP])


@_inlined
def _back_through_input(
    weights: Floats, at: int, by_input: Sparse, deltas: Floats, row: Floats, direct: bool
) -> None:
    """Puts the gradient of the input's weights into `row`; if `direct`, adds it to them instead."""
    starts, columns, values = by_input
    total = _first_registers()
    for j in range(WIDTHS[0]):
        total[j] = 0
    for c in range(len(deltas)):
        for k in range(starts[c, at], starts[c, at + 1]):
            b, value = columns[c, k], values[c, k]
            for j in range(WIDTHS[0]):
                total[j] = _plus(total[j], value * deltas[c, b, j])
    if direct:
        for j in range(WIDTHS[0]):
            weights[at, j] += total[j]
    else:
        for j in range(WIDTHS[0]):
            row[j] = total[j]


@_inlined
def _layer_of_inputs(
    weights: Floats,
    kept: Kept,
    seen: NDArray[np.bool],
    by_input: Sparse,
    deltas: Floats,
    wave: Wave,
    thread: int,
) -> None:
    """Updates the first layer's weights.

    As long as an input has been 0 in all examples, the optimizer's state for its weights is 0 too. If
    the rule is also quiet, they do not change, so they are skipped.
    """
    row, quiet, skips = _first_registers(), wave.rule.quiet, wave.sparse or wave.defers
    for at in range(thread, INPUTS + 1, len(deltas)):
        is_lit = _has_entries(by_input, at)
        if is_lit and not seen[at]:  # written seldom, as threads share cache lines
            seen[at] = True
        if is_lit or not (skips or (quiet and not seen[at])):
            _back_through_input(weights, at, by_input, deltas, row, wave.direct)
            if wave.direct:
                continue
            _use_first_row(row, wave, weights, kept, at)


@_inlined
def _layer_of_classes(weights: Floats, kept: Kept, outputs: Floats, top: Floats, wave: Wave) -> None:
    """Updates the last layer's weights."""
    row, total = _top_registers(), _top_registers()
    for label in range(CLASSES):
        for j in range(WIDTHS[TOP]):
            total[j] = 0
        for c in range(len(outputs)):
            for b in range(min(wave.share, wave.examples - c * wave.share)):
                delta = wave.scale * outputs[c, b, label]
                for j in range(WIDTHS[TOP]):
                    total[j] = _plus(total[j], delta * top[c, b, j])
        for j in range(WIDTHS[TOP]):
            row[j] = total[j]
        _use_last_row(row, wave, weights, kept, label)


def _online_layer(layer: int) -> Callable[..., None]:
    """Returns a step of plain SGD on one example, for a layer from hidden units."""
    units, width = SIZES[layer], WIDTHS[layer]
    registers, after_relu = _registers(width), NETWORK.activations[layer - 1] == "relu"

    @_inlined
    def step_online(network: Network, step: float32, s: Chunk) -> None:
        starts, columns, values = s.active[layer - 1]
        weights, below, delta = network[layer], s.deltas[layer - 1], registers()
        for j in range(width):
            delta[j] = s.deltas[layer][0, j]
            weights[units, j] += step * delta[j]
        for k in range(starts[0], starts[1]):
            unit, scaled = columns[k], step * values[k]
            total = float32(0)
            for j in range(width):
                weight = weights[unit, j]
                total += weight * delta[j]
                weights[unit, j] = weight + scaled * delta[j]
            below[0, unit] = total if after_relu else total * below[0, unit]

    return step_online


_online_layers = _in_turn([_online_layer(layer) for layer in range(TOP, 0, -1)])


@_inlined
def _step_online(network: Network, images: Sparse, example: np.uint32, step: float32, s: Chunk) -> None:
    """Takes a step of plain SGD on the single `example`.

    Its lists need no transposition, and no row of weights needs a sum.
    """
    weights = network[-1]
    for c in range(CLASSES):
        scaled = step * s.deltas[-1][0, c]
        for j in range(WIDTHS[TOP]):
            weights[c, j] += scaled * s.top[0, j]
    _online_layers(network, step, s)
    weights, delta = network[0], _first_registers()
    for j in range(WIDTHS[0]):
        delta[j] = s.deltas[0][0, j]
        weights[INPUTS, j] += step * delta[j]
    for k in range(images.starts[example], images.starts[example + 1]):
        at, scaled = images.columns[k], step * images.values[k]
        for j in range(WIDTHS[0]):
            weights[at, j] += scaled * delta[j]


def _caught_up(layer: int) -> Callable[..., None]:
    """Returns a function that brings a layer's weights and state up to date at the end of a call."""
    width, make_up = WIDTHS[min(layer, TOP)], _make_up(WIDTHS[min(layer, TOP)])

    @_inlined
    def catch_up(network: Network, kept: tuple[Kept, ...], steps: int, deferred: Deferred) -> None:
        buffer, square, updated = kept[layer].buffer, kept[layer].square, kept[layer].updated
        for at in range(len(updated)):
            missed = steps - updated[at]
            if missed > 0:
                make_up(network[layer], kept[layer], at, steps, deferred)
                beta1, beta2 = float32(deferred.beta1[missed]), float32(deferred.beta2[missed])
                for j in range(width):
                    buffer[at, j] *= beta1
                    square[at, j] *= beta2
            kept[layer].updated[at] = kept[layer].moved[at] = 0

    return catch_up


_catch_up_layers = _in_turn([_caught_up(layer) for layer in range(TOP + 2)])


@_entry
def train_steps(
    images: Sparse,
    labels: NDArray[np.int64],
    batch_size: int,
    wave_size: int,
    rule: Rule,
    network: Network,
    kept: tuple[Kept, ...],
    seen: NDArray[np.bool],
    workspace: Chunk,
    arrivals: NDArray[np.int64],
    s: Chunk,
    thread: int,
    order: NDArray[np.uint32],
    steps: Steps,
    deferred: Deferred,
) -> None:
    """Runs one thread's part of an epoch, or of some whole batches of it, in the given order (uint32).

    `s` is the thread's part of the workspace. All threads of the workspace must run at the same time, as
    they wait for each other; `arrivals` counts their waits. `seen` (inputs + 1,), bool, marks the inputs
    that were not 0 in some example so far.
    """
    w, threads = workspace, len(workspace.rows)
    for step in range(len(steps.scale)):
        batch = order[step * batch_size : (step + 1) * batch_size]
        scale = steps.scale[step]
        if len(batch) == 1 and rule.direct:
            if thread == 0:
                _forward(network, images, labels, batch, len(batch), s, kept, step, deferred)
                _step_online(network, images, batch[0], scale, s)
            _wait_for_all(threads, arrivals)
            continue
        one_wave = len(batch) <= wave_size
        for wave_start in range(0, len(batch), wave_size):
            examples = batch[wave_start : wave_start + wave_size]
            share = (len(examples) + threads - 1) // threads
            wave = Wave(
                rule,
                scale,
                steps.decay[step],
                steps.shrink[step],
                steps.gain[step],
                steps.correction[step],
                steps.stride[step],
                one_wave and rule.direct,
                one_wave and rule.sparse,
                wave_start == 0,
                wave_start + wave_size >= len(batch),
                len(examples),
                share,
                step,
                deferred,
                one_wave and step >= deferred.first,
            )
            mine = examples[thread * share : (thread + 1) * share]
            _forward(network, images, labels, mine, len(batch), s, kept, step, deferred)
            _transpose_active(s, len(mine), scale)
            _transpose(images, mine, scale, True, s.by_input)
            _wait_for_all(threads, arrivals)
            _layers_of_units(network, kept, w, wave, thread, arrivals)
            _layer_of_inputs(network[0], kept[0], seen, w.by_input, w.deltas[0], wave, thread)
            if thread == threads - 1:
                _layer_of_classes(network[-1], kept[-1], w.deltas[-1], w.top, wave)
            _wait_for_all(threads, arrivals)
    if len(deferred.beta1) > 0:
        _catch_up_layers(network, kept, len(steps.scale), deferred)


_PAIR_LINES = 10  # of weights, whose products with a pair are summed in registers at the same time


def _pair_block(layer: int, begin: int, length: int) -> Callable[..., None]:
    """Returns the pre-activations of a pair, for `length` units of a layer from unit `begin` on.

    A weight that is read serves both. A 0 of one of the two adds nothing to its sum.
    """
    inputs, registers = SIZES[layer], _registers(length)

    @_inlined
    def sum_block(
        weights: Floats,
        s: PairWorkspace,
        columns: NDArray[np.uint16],
        values: Floats,
        start: int,
        end: int,
    ) -> None:
        first, second, sums = registers(), registers(), s.sums
        for j in range(length):
            first[j] = 0
            second[j] = 0
        for k in range(start, end):
            column, x, y = columns[k], values[k, 0], values[k, 1]
            for j in range(length):
                weight = weights[column, begin + j]
                first[j] += x * weight
                second[j] += y * weight
        for j in range(length):
            bias = weights[inputs, begin + j]
            sums[0, begin + j] = first[j] + bias
            sums[1, begin + j] = second[j] + bias

    return sum_block


def _pair_layer(layer: int) -> Callable[..., None]:
    """Returns the forward pass of a pair through a hidden layer."""
    units, width = SIZES[layer + 1], WIDTHS[layer]
    name = NETWORK.activations[layer]
    function, lists_all = _ACTIVATIONS[name][0], name != "relu"
    lines = width // LINE
    blocks = -(-lines // _PAIR_LINES)
    ends = [LINE * (lines * block // blocks) for block in range(blocks + 1)]
    sum_blocks = _in_turn(
        [_pair_block(layer, begin, end - begin) for begin, end in itertools.pairwise(ends)]
    )

    @_inlined
    def to_top(s: PairWorkspace) -> None:
        for b in range(2):
            for j in range(width):
                s.sums[b, j] = function(s.sums[b, j])
            for j in range(units, width):
                s.sums[b, j] = 0
            s.sums[b, units] = 1

    @_inlined
    def to_list(s: PairWorkspace) -> None:
        columns, values, sums = s.columns, s.values, s.sums
        for b in range(2):
            for j in range(width):
                sums[b, j] = function(sums[b, j])
        end = 0
        for j in range(units):
            columns[end] = j
            values[end, 0] = sums[0, j]
            values[end, 1] = sums[1, j]
            end += lists_all or sums[0, j] != 0 or sums[1, j] != 0
        s.listed[0] = end

    activate = to_top if layer == TOP else to_list

    @_inlined
    def forward(network: Network, pairs: Pairs, s: PairWorkspace, pair: int) -> None:
        if layer == 0:
            sum_blocks(
                network[0], s, pairs.columns, pairs.values, pairs.starts[pair], pairs.starts[pair + 1]
            )
        else:
            sum_blocks(network[layer], s, s.columns, s.values, 0, s.listed[0])
        activate(s)

    return forward


_pair_layers = _in_turn([_pair_layer(layer) for layer in range(TOP + 1)])


@_entry
def evaluate_pairs(
    pairs: Pairs,
    labels: NDArray[np.int64],
    network: Network,
    s: PairWorkspace,
    first: int,
    last: int,
    losses: Floats,
    hits: NDArray[np.int64],
    predictions: NDArray[np.int64],
) -> None:
    """Evaluates the pairs from `first` up to `last`, and fills the `losses` of their images, (images,).

    Counts each image's predicted class in `predictions`, and in `hits` if it is right, both int64
    (classes,). NaN is the largest logit, as in `torch.argmax`.
    """
    logits = s.logits
    for pair in range(first, last):
        _pair_layers(network, pairs, s, pair)
        alone = pairs.images[pair, 0] == pairs.images[pair, 1]
        for b in range(1 if alone else 2):
            _logits(network[-1], s.sums, logits, b)
            image = pairs.images[pair, b]
            label = labels[image]
            losses[image] = _log_total(logits, b) - logits[b, label]
            predicted = 0
            for c in range(1, CLASSES):
                if not (logits[b, c] <= logits[b, predicted]) and not np.isnan(logits[b, predicted]):
                    predicted = c
            predictions[predicted] += 1
            hits[predicted] += predicted == label
