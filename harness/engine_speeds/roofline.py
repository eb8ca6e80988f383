"""Roofline bounds: the least time that a training step can take on this machine.

A step needs a number of operations and moves a number of bytes. Each, divided by the peak rate measured
here, gives a time, and the longer of the two is the bound (S. Williams, A. Waterman, D. Patterson,
"Roofline: An Insightful Visual Performance Model", 2009). Neither counts zeros: the step need not touch
the weights of a pixel that is 0 in every example of a batch, or of a ReLU that is off (except under
optimizers such as Adam, whose moments move every weight).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.data.mnist import Data
from model.engines import eager
from model.experiment import Experiment
from model.network import MLP

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Work:
    """The least work of one step of one replicate."""

    operations: float
    """Float32 additions and multiplications."""
    bytes_moved: float
    """Parameters, moments and the examples' nonzero pixels, read and written."""
    bytes_held: float
    """The working set; the bytes move through the smallest memory that it fits in."""


def minimum_work(experiment: Experiment, data: Data, order: torch.Tensor) -> Work | None:
    """Returns the least work of a step, averaged over the first batches of `order` (examples,), int64.

    The ReLUs that are off are those of the network of seed 0 before its first step. Returns None if the
    optimizer's work is unknown, or the experiment has a setting that is not honoured here.
    """
    optimizer = experiment.optimizer
    state, per_parameter = optimizer.state_per_parameter, optimizer.operations_per_parameter
    if state is None or per_parameter is None or eager.refuses(experiment, data.device):
        return None
    size, outputs = experiment.batch_size, experiment.network.sizes[1:]
    network = experiment.network.build(experiment.init, 0).to(data.device)
    counts = []
    for batch in order[: max(size, 1000 // size * size)].split(size):
        layers = [data.train_images[batch], *_activations(network, data.train_images[batch])]
        nonzero = [layer != 0 for layer in layers]
        counts.append([[int(each.sum()), int(each.any(dim=0).sum())] for each in nonzero])
    # Each layer's nonzero inputs: in all examples together, and in any of them.
    entries, rows = np.mean(counts, axis=0).T
    weights = sum(inputs * units for inputs, units in pairwise(experiment.network.sizes))
    touched = float(rows @ outputs)
    # Forward, and backward to the weights; for the upper layers also backward to their input.
    operations = 2 * float((3 * entries) @ outputs - entries[0] * outputs[0])
    example_bytes = float(entries[0]) * (_FLOAT_BYTES + 2)  # value and index
    # Weights are read forward; they and the optimizer's state are read and written by the update.
    updated = weights if optimizer.moves_all else touched
    held = (1 + state) * updated
    return Work(
        operations + per_parameter * updated,
        _FLOAT_BYTES * (touched + 2 * held) + example_bytes,
        _FLOAT_BYTES * held,
    )


def _activations(network: nn.Sequential, images: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yields the outputs of each hidden layer."""
    with torch.no_grad():
        *hidden, _ = network.children()
        for linear, activation in zip(hidden[::2], hidden[1::2], strict=True):
            images = activation(linear(images))
            yield images


def dense_flops(network: MLP, batch_size: int) -> float:
    """Returns the float32 operations of one replicate's matrix products in a step, zeros included.

    They are forward, and backward to the weights; for the upper layers also backward to their input.
    """
    first, *others = (inputs * outputs for inputs, outputs in pairwise(network.sizes))
    return 2 * batch_size * (2 * first + 3 * sum(others))


def roofline_bound(work: Work, device: torch.device) -> tuple[float, str]:
    """Returns the bound in seconds per step, on a CPU for one core, and its cause.

    The cause is "bytes" or "operations".
    """
    by_bytes = work.bytes_moved / bandwidth(_rounded(work.bytes_held), device)
    by_operations = work.operations / peak(device)
    return max((by_bytes, "bytes"), (by_operations, "operations"))


@cache
def bandwidth(size: int, device: torch.device) -> float:
    """Returns the bytes per second of reading and writing a buffer of `size` bytes repeatedly.

    On a CPU, this is one core's bandwidth of the cache that the buffer fits in. On a GPU it is the
    bandwidth of its memory, as a launch would take most of a small buffer's time.
    """
    if device.type == "cuda":
        size = 2**30
    buffer = torch.zeros(size // _FLOAT_BYTES, device=device)
    passes = max(1, 2**24 // size) if device.type == "cpu" else 20

    def run() -> None:
        if device.type == "cpu":
            _compiled()(buffer.numpy(), passes)
        else:
            for _ in range(passes):
                buffer.add_(1)

    return 2 * size * passes / _median_seconds(run, device)


@cache
def peak(device: torch.device) -> float:
    """Returns the operations per second of PyTorch's float32 matrix product; on a CPU, on one core."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = torch.rand(2, size, size, device=device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return 2 * size**3 / _median_seconds(lambda: left @ right, device)
    finally:
        torch.set_num_threads(threads)


@cache
def _compiled() -> Callable[[NDArray[np.float32], int], None]:
    """Returns a compiled function that adds 1 to a buffer repeatedly, without calls between passes."""
    from numba import njit

    @njit(fastmath=True)
    def passes(buffer: NDArray[np.float32], count: int) -> None:
        for _ in range(count):
            for i in range(buffer.size):
                buffer[i] += 1

    return passes


def _median_seconds(run: Callable[[], None], device: torch.device) -> float:
    times = []
    for _ in range(8):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return median(times[1:])  # the first is the warm-up


def _rounded(size: float) -> int:
    """Rounds up to a power of two, at least 64 KiB, so that few buffers are measured."""
    return 1 << max(16, (round(size) - 1).bit_length())
