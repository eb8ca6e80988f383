"""The compiled epochs and evaluation of `numba_loop`, sparse where zeros are exact.

Four fifths of MNIST's pixels are 0, and about half of the ReLUs are inactive. A 0 adds nothing to
a forward sum and receives no gradient. So the forward pass sums a layer over the list of an
example's nonzero pixels, or active units. The backward pass transposes these lists: the gradient of
a row of weights is a sum over the examples in which that pixel or unit is not 0. It is applied as
soon as it is computed.

A replicate's threads share out the examples for the forward pass, and when all are done, the rows of
weights for the backward pass: so one thread sums a row's gradient, over the examples in their order,
and no bit of it depends on the number of threads. A batch is taken in waves of so many examples that
their deltas stay in a core's second cache; only between waves are gradients stored.

In a network that is no longer finite, the reference has NaN where a 0 meets an infinity, and here
that product is skipped. The outcome is the same: a weight or bias that is not finite stays so, and
the evaluation after the epoch sees it, which is PyTorch's then.

All arrays are float32 unless stated otherwise. Rows are zero-padded to whole 64-byte cache lines,
so every loop over a row has a constant length and no remainder. Indices are unsigned: Numba lets
negative indices count from the end, and checks every signed one for that.

The assembly was checked for the following, with AVX-512: a sum over a list keeps its 19 (or 7)
vectors in registers, and an entry costs one broadcast and 19 `vfmadd231ps (memory), zmm, zmm`; the
sigmoids and the optimizers' square roots and divisions are vectors of 16; no loop over weights or lists
contains a call, and none is compiled twice for arrays that might overlap.

Each entry point has one signature, as Numba's cache could otherwise mistake one file for another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array
from numpy import float32, int32
from numpy.typing import NDArray

from .layout import (
    CLASSES,
    HIDDEN1,
    HIDDEN2,
    PIXELS,
    WIDTH1,
    WIDTH2,
    WIDTH3,
    Chunk,
    Floats,
    Network,
    Rule,
    Sparse,
    State,
    Steps,
)

if TYPE_CHECKING:
    from numba.core.cpu import CPUContext
    from numba.core.decorators import _JITWrapper
    from numba.core.typing.context import BaseContext
    from numba.core.typing.templates import Signature

_SPINS = 2000  # reads of a counter while waiting, before the core is yielded

# Sums may be reordered and fused with multiplications, but NaN and infinity must keep their
# meaning: no "nnan", no "ninf".
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
# Nothing here makes an array, so none needs its references counted ("NRT"), which would take a fifth of
# a step of Adam at batch size 1. `compile_first` adds the cache.
_options: Any = {"fastmath": _FASTMATH, "error_model": "numpy", "_nrt": False}
_inlined: _JITWrapper = njit(**_options, forceinline=True)
_entry: _JITWrapper = njit(**_options, nogil=True)


class Update(NamedTuple):
    """What is done with gradients after a wave: a rule and a step's numbers."""

    rule: Rule
    decay: float32
    shrink: float32
    gain: float32
    correction: float32
    stride: float32
    one_wave: bool  # the batch has no other wave
    is_last: bool  # ... or no later one


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
        """total[at] += sum of values[k] * matrix[columns[k]] over begin <= k < end."""
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
    def divide(row: Floats, rule: Rule, square: Floats, mean: Floats, at: int) -> None:
        """Divides `row` by the root of its mean square, or of its variance, or of the sum of squares."""
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
    def use_row(
        row: Floats,
        update: Update,
        weights: Floats,
        buffer: Floats,
        square: Floats,
        mean: Floats,
        gradient: Floats,
        at: int,
    ) -> None:
        """Updates weights[at] with its gradient: `row`, and what earlier waves left in `gradient`.

        Before the last wave, leaves `row` there.
        """
        rule = update.rule
        if not update.is_last:
            for j in range(width):
                gradient[at, j] += row[j]
            return
        if not update.one_wave:
            for j in range(width):
                row[j] += gradient[at, j]
                gradient[at, j] = 0
        if update.decay != 0:
            for j in range(width):
                row[j] += update.decay * weights[at, j]
        if update.shrink != 1:
            for j in range(width):
                weights[at, j] *= update.shrink
        if rule.adam:
            for j in range(width):
                m = buffer[at, j] + update.gain * (row[j] - buffer[at, j])
                v = rule.memory * square[at, j] + rule.fresh * row[j] * row[j]
                buffer[at, j] = m
                square[at, j] = v
                weights[at, j] += update.stride * m / (math.sqrt(v) * update.correction + rule.eps)
            return
        if rule.divides:
            divide(row, rule, square, mean, at)
        if rule.momentum != 0:
            for j in range(width):
                m = rule.momentum * buffer[at, j] + update.gain * row[j]
                buffer[at, j] = m
                row[j] = row[j] + rule.momentum * m if rule.nesterov else m
        for j in range(width):
            weights[at, j] += update.stride * row[j]

    return add_rows, use_row


_add_rows1, _use_row1 = _row_functions(WIDTH1)
_add_rows2, _use_row2 = _row_functions(WIDTH2)
_registers1, _registers2, _registers3 = map(_registers, (WIDTH1, WIDTH2, WIDTH3))


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
def _logits(network: Network, images: Sparse, example: int, s: Chunk, b: int) -> None:
    """The forward pass of the image `example`: row b of s.hidden1, s.hidden2, and s.delta3.

    Uses row b of s.delta1, too.
    """
    for j in range(WIDTH1):
        s.delta1[b, j] = network.layer1[PIXELS, j]
    _add_rows1(
        s.delta1,
        b,
        network.layer1,
        images.columns,
        images.values,
        images.starts[example],
        images.starts[example + 1],
    )
    end = s.hidden1.starts[b]
    for j in range(HIDDEN1):
        value = s.delta1[b, j]
        s.hidden1.columns[end] = j
        s.hidden1.values[end] = value
        end += not (value <= 0)  # a NaN is passed on, as torch.relu does
    s.hidden1.starts[b + 1] = end

    for j in range(WIDTH2):
        s.hidden2[b, j] = network.layer2[HIDDEN1, j]
    _add_rows2(
        s.hidden2,
        b,
        network.layer2,
        s.hidden1.columns,
        s.hidden1.values,
        s.hidden1.starts[b],
        s.hidden1.starts[b + 1],
    )
    for j in range(WIDTH2):
        s.hidden2[b, j] = float32(1) / (float32(1) + _exp(-s.hidden2[b, j]))
    s.hidden2[b, HIDDEN2] = 1  # layer3's bias
    for j in range(HIDDEN2 + 1, WIDTH2):
        s.hidden2[b, j] = 0
    for c in range(CLASSES):
        logit = float32(0)
        for j in range(WIDTH2):
            logit += network.layer3[c, j] * s.hidden2[b, j]
        s.delta3[b, c] = logit


@_inlined
def _log_total(logits: Floats, b: int) -> float32:
    """The logarithm of the sum of the exponentials of logits[b]; NaN if one is."""
    largest = float32(-np.inf)
    for c in range(CLASSES):
        if not (logits[b, c] <= largest):
            largest = logits[b, c]
    exponentials = _registers3()
    for c in range(WIDTH3):
        exponentials[c] = _exp(logits[b, c] - largest)
    total = float32(0)
    for c in range(CLASSES):
        total += exponentials[c]
    return largest + math.log(total)


@_inlined
def _forward(
    network: Network,
    images: Sparse,
    labels: NDArray[np.int64],
    examples: NDArray[np.uint32],
    batch_size: int,
    s: Chunk,
) -> None:
    """Fills `s` for `examples` of a batch, except by_pixel and by_unit; delta1 is set to 0."""
    for b in range(len(examples)):
        example = examples[b]
        _logits(network, images, example, s, b)

        # Softmax as PyTorch computes it: the exponential of the log-softmax.
        log_total = _log_total(s.delta3, b)
        for c in range(WIDTH3):
            s.delta3[b, c] = _exp(s.delta3[b, c] - log_total)
        s.delta3[b, labels[example]] -= float32(1)
        for c in range(WIDTH3):
            s.delta3[b, c] /= float32(batch_size)

        row = _registers2()
        for j in range(WIDTH2):
            row[j] = 0
        for c in range(CLASSES):
            delta = s.delta3[b, c]
            for j in range(WIDTH2):
                row[j] += delta * network.layer3[c, j]
        for j in range(WIDTH2):
            s.delta2[b, j] = row[j] * (float32(1) - s.hidden2[b, j]) * s.hidden2[b, j]
        for j in range(WIDTH1):
            s.delta1[b, j] = 0


@_inlined
def _transpose(
    sparse: Sparse, rows: NDArray[np.uint32], scale: float32, ones: bool, out: Sparse
) -> None:
    """Fills `out` with scale * sparse[rows], transposed; with `ones`, its last row is all `scale`."""
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
    # Filling a column moves its start to its end, which is the next column's start ...
    for b in range(len(rows)):
        for k in range(starts[rows[b]], starts[rows[b] + 1]):
            column = columns[k]
            place = out_starts[column]
            out_columns[place] = b
            out_values[place] = scale * values[k]
            out_starts[column] = place + 1
    # ... so all starts are shifted by one column.
    for column in range(len(out_starts) - 1, 0, -1):
        out_starts[column] = out_starts[column - 1]
    out_starts[0] = 0
    out_starts[len(out_starts) - 1] = at


@_inlined
def _back_through_unit(layer2: Floats, unit: int, w: Chunk, row: Floats, direct: bool) -> None:
    """Computes the unit's delta1 in each example; `row` becomes its gradient of layer2.

    If `direct`, the gradient is added to layer2 at once.

    Both loop over the same deltas, so they share one loop.
    """
    weights, total = _registers2(), _registers2()
    for j in range(WIDTH2):
        weights[j] = layer2[unit, j]
        total[j] = 0
    for c in range(len(w.delta2)):
        for k in range(w.by_unit.starts[c, unit], w.by_unit.starts[c, unit + 1]):
            b, value = w.by_unit.columns[c, k], w.by_unit.values[c, k]
            delta1 = float32(0)
            for j in range(WIDTH2):
                delta = w.delta2[c, b, j]
                delta1 += weights[j] * delta
                total[j] += value * delta
            w.delta1[c, b, unit] = delta1
    if direct:
        for j in range(WIDTH2):
            layer2[unit, j] += total[j]
    else:
        for j in range(WIDTH2):
            row[j] = total[j]


@_inlined
def _back_through_pixel(layer1: Floats, pixel: int, w: Chunk, row: Floats, direct: bool) -> None:
    """`row` becomes the pixel's gradient of layer1; if `direct`, it is added to layer1 at once."""
    total = _registers1()
    for j in range(WIDTH1):
        total[j] = 0
    for c in range(len(w.delta1)):
        for k in range(w.by_pixel.starts[c, pixel], w.by_pixel.starts[c, pixel + 1]):
            b, value = w.by_pixel.columns[c, k], w.by_pixel.values[c, k]
            for j in range(WIDTH1):
                total[j] += value * w.delta1[c, b, j]
    if direct:
        for j in range(WIDTH1):
            layer1[pixel, j] += total[j]
    else:
        for j in range(WIDTH1):
            row[j] = total[j]


@_inlined
def _back_through_bias2(scale: float32, w: Chunk, examples: int, size: int, row: Floats) -> None:
    """`row` becomes scale times the gradient of the second layer's bias."""
    total = _registers2()
    for j in range(WIDTH2):
        total[j] = 0
    for c in range(len(w.delta2)):
        for b in range(min(size, examples - c * size)):
            for j in range(WIDTH2):
                total[j] += w.delta2[c, b, j]
    for j in range(WIDTH2):
        row[j] = scale * total[j]


@_inlined
def _back_through_class(
    label: int, scale: float32, w: Chunk, examples: int, size: int, row: Floats
) -> None:
    """`row` becomes scale times the class's gradient of layer3."""
    total = _registers2()
    for j in range(WIDTH2):
        total[j] = 0
    for c in range(len(w.delta3)):
        for b in range(min(size, examples - c * size)):
            delta = scale * w.delta3[c, b, label]
            for j in range(WIDTH2):
                total[j] += delta * w.hidden2[c, b, j]
    for j in range(WIDTH2):
        row[j] = total[j]


@_inlined
def _has_entries(lists: Sparse, row: int) -> bool:
    """Whether the row has an entry in any chunk."""
    found = False
    for c in range(len(lists.starts)):
        found |= lists.starts[c, row] < lists.starts[c, row + 1]
    return found


@_inlined
def _step_online(network: Network, images: Sparse, example: np.uint32, step: float32, s: Chunk) -> None:
    """A step of SGD with a batch of the single `example`.

    Its own lists suffice, without a transposition, and no row of weights needs a sum.
    """
    for c in range(CLASSES):
        scaled = step * s.delta3[0, c]
        for j in range(WIDTH2):
            network.layer3[c, j] += scaled * s.hidden2[0, j]
    delta2 = _registers2()
    for j in range(WIDTH2):
        delta2[j] = s.delta2[0, j]
        network.layer2[HIDDEN1, j] += step * delta2[j]
    for k in range(s.hidden1.starts[0], s.hidden1.starts[1]):
        unit, scaled = s.hidden1.columns[k], step * s.hidden1.values[k]
        total = float32(0)
        for j in range(WIDTH2):
            weight = network.layer2[unit, j]
            total += weight * delta2[j]
            network.layer2[unit, j] = weight + scaled * delta2[j]
        s.delta1[0, unit] = total
    delta1 = _registers1()
    for j in range(WIDTH1):
        delta1[j] = s.delta1[0, j]
        network.layer1[PIXELS, j] += step * delta1[j]
    for k in range(images.starts[example], images.starts[example + 1]):
        pixel, scaled = images.columns[k], step * images.values[k]
        for j in range(WIDTH1):
            network.layer1[pixel, j] += scaled * delta1[j]


@_inlined
def _chunk(w: Chunk, thread: int) -> Chunk:
    """The thread's part of the workspace."""
    return Chunk(
        Sparse(w.hidden1.starts[thread], w.hidden1.columns[thread], w.hidden1.values[thread]),
        w.hidden2[thread],
        w.delta1[thread],
        w.delta2[thread],
        w.delta3[thread],
        Sparse(w.by_pixel.starts[thread], w.by_pixel.columns[thread], w.by_pixel.values[thread]),
        Sparse(w.by_unit.starts[thread], w.by_unit.columns[thread], w.by_unit.values[thread]),
        w.rows[thread],
    )


@intrinsic
def _arrive(typing_context: BaseContext, arrivals: types.Array) -> tuple[Signature, Callable[..., Any]]:
    """Adds 1 to arrivals[0], int64, as one operation, and returns what was there before."""

    def generate(
        context: CPUContext, builder: ir.IRBuilder, signature: Signature, arguments: Any
    ) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(arrivals), generate


@intrinsic
def _arrived(typing_context: BaseContext, arrivals: types.Array) -> tuple[Signature, Callable[..., Any]]:
    """arrivals[0], read anew from memory, with all that other threads wrote before they arrived."""

    def generate(
        context: CPUContext, builder: ir.IRBuilder, signature: Signature, arguments: Any
    ) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(data, "seq_cst", 8)

    return types.int64(arrivals), generate


_yield_core = types.ExternalFunction("sched_yield", types.int32())


@_inlined
def _wait_for_all(threads: int, arrivals: NDArray[np.int64]) -> None:
    """Returns when all threads have called it equally often.

    A thread that waits long, as where there are more threads than cores, lets others have its core.
    """
    if threads > 1:
        awaited = (_arrive(arrivals) // threads + 1) * threads  # type: ignore[call-arg, arg-type]
        spins = 0
        while _arrived(arrivals) < awaited:
            spins += 1
            if spins > _SPINS:
                _yield_core()


@_entry
def train(
    images: Sparse,
    labels: NDArray[np.int64],
    batch_size: int,
    wave_size: int,
    rule: Rule,
    network: Network,
    state: State,
    workspace: Chunk,
    arrivals: NDArray[np.int64],
    thread: int,
    order: NDArray[np.uint32],
    steps: Steps,
) -> None:
    """One thread's part in an epoch, or in whole batches of one, in the given order (uint32).

    All threads of the workspace must run at once, as they wait for each other. `arrivals` counts
    how often they did.

    While a pixel has been 0 in all examples so far, what the optimizer keeps of its weights is 0 too,
    and if the rule is quiet, nothing changes them, so they are skipped.
    """
    w, s = workspace, _chunk(workspace, thread)
    threads = len(w.delta1)
    buffer, square, mean, gradient = state.buffer, state.square, state.mean, state.gradient
    # In whole cache lines of delta1, so that no two threads write to the same one.
    first_unit = min(HIDDEN1, 16 * (WIDTH1 // 16 * thread // threads))
    last_unit = min(HIDDEN1, 16 * (WIDTH1 // 16 * (thread + 1) // threads))
    row1, row2 = _registers1(), _registers2()
    for step in range(len(steps.scale)):
        batch = order[step * batch_size : (step + 1) * batch_size]
        scale = steps.scale[step]
        if len(batch) == 1 and rule.direct:
            if thread == 0:
                _forward(network, images, labels, batch, 1, s)
                _step_online(network, images, batch[0], scale, s)
            _wait_for_all(threads, arrivals)
            continue
        one_wave = len(batch) <= wave_size
        direct, sparse = one_wave and rule.direct, one_wave and rule.sparse
        for wave_start in range(0, len(batch), wave_size):
            wave = batch[wave_start : wave_start + wave_size]
            update = Update(
                rule,
                steps.decay[step],
                steps.shrink[step],
                steps.gain[step],
                steps.correction[step],
                steps.stride[step],
                one_wave,
                wave_start + wave_size >= len(batch),
            )
            size = (len(wave) + threads - 1) // threads
            mine = wave[thread * size : (thread + 1) * size]
            _forward(network, images, labels, mine, len(batch), s)
            _transpose(s.hidden1, s.rows[: len(mine)], scale, False, s.by_unit)
            _transpose(images, mine, scale, True, s.by_pixel)
            _wait_for_all(threads, arrivals)

            for unit in range(first_unit, last_unit + (thread == threads - 1)):
                if unit == HIDDEN1:
                    _back_through_bias2(scale, w, len(wave), size, row2)
                elif sparse and not _has_entries(w.by_unit, unit):
                    continue
                else:
                    _back_through_unit(network.layer2, unit, w, row2, direct)
                    if direct:
                        continue
                _use_row2(
                    row2,
                    update,
                    network.layer2,
                    buffer.layer2,
                    square.layer2,
                    mean.layer2,
                    gradient.layer2,
                    unit,
                )
            _wait_for_all(threads, arrivals)

            for pixel in range(thread, PIXELS + 1, threads):
                is_lit = _has_entries(w.by_pixel, pixel)
                if is_lit and not state.seen[pixel]:  # seldom written, as threads share cache lines
                    state.seen[pixel] = True
                if is_lit or not (sparse or (rule.quiet and not state.seen[pixel])):
                    _back_through_pixel(network.layer1, pixel, w, row1, direct)
                    if direct:
                        continue
                    _use_row1(
                        row1,
                        update,
                        network.layer1,
                        buffer.layer1,
                        square.layer1,
                        mean.layer1,
                        gradient.layer1,
                        pixel,
                    )
            if thread == threads - 1:
                for c in range(CLASSES):
                    _back_through_class(c, scale, w, len(wave), size, row2)
                    _use_row2(
                        row2,
                        update,
                        network.layer3,
                        buffer.layer3,
                        square.layer3,
                        mean.layer3,
                        gradient.layer3,
                        c,
                    )
            _wait_for_all(threads, arrivals)


@_entry
def evaluate(
    images: Sparse,
    labels: NDArray[np.int64],
    network: Network,
    workspace: Chunk,
    begin: int,
    end: int,
    hits: NDArray[np.int64],
    predictions: NDArray[np.int64],
) -> float32:
    """The sum of the cross-entropies of the images from `begin` up to `end`.

    `hits` and `predictions`, int64 (10,), have the predicted class of each image added. A NaN is the
    largest logit, as `torch.argmax` has it.
    """
    s = _chunk(workspace, 0)
    loss = 0.0
    for example in range(begin, end):
        _logits(network, images, example, s, 0)
        loss += _log_total(s.delta3, 0) - s.delta3[0, labels[example]]
        predicted = 0
        for c in range(1, CLASSES):
            if not (s.delta3[0, c] <= s.delta3[0, predicted]) and not np.isnan(s.delta3[0, predicted]):
                predicted = c
        predictions[predicted] += 1
        hits[predicted] += predicted == labels[example]
    return float32(loss)
