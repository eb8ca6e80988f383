"""The least time that a machine allows a training step, whoever computes it.

A step must do so many operations and move so many bytes; divided by the rates that this
machine was measured to have, the larger of the two times is the limit. Zeros count neither
way: a pixel that is 0 in every example of a batch has weights that the step need not touch
(but for Adam, whose moments move every weight), and neither has a ReLU that is off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.mnist import Data
from model.experiment import Experiment
from model.network import SIZES, build_network

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Work:
    """What one step of one replicate takes at least."""

    operations: float
    """Float32 additions and multiplications."""
    bytes_moved: float
    """Of parameters, moments and the examples' pixels that are not 0, read and written."""
    bytes_held: float
    """What it goes over: the memory that the bytes move through is the one that holds these."""


def minimum_work(experiment: Experiment, data: Data, order: torch.Tensor) -> Work:
    """The least work of a step: a mean over the first batches of `order` (examples,), int64.

    Which ReLUs are off is taken from the network of seed 0 before its first step.
    """
    pixels, hidden1, hidden2, classes = SIZES
    size = experiment.batch_size
    network = build_network(experiment.init, 0).to(data.device)
    counts = []
    for batch in order[: max(size, 1000 // size * size)].split(size):
        images = data.train_images[batch]
        with torch.no_grad():
            hidden = network[1](network[0](images)) > 0
        lit = images > 0
        of_batch = (lit.sum(), hidden.sum(), lit.any(dim=0).sum(), hidden.any(dim=0).sum())
        counts.append([count.item() for count in of_batch])
    entries1, entries2, rows1, rows2 = (
        sum(column) / len(counts) for column in zip(*counts, strict=True)
    )
    weights = pixels * hidden1 + hidden1 * hidden2 + hidden2 * classes
    touched = rows1 * hidden1 + rows2 * hidden2 + hidden2 * classes
    # Forward, and backward to the weights; for the upper layers also backward to their input.
    operations = 2 * (2 * entries1 * hidden1 + 3 * entries2 * hidden2 + 3 * size * hidden2 * classes)
    example_bytes = entries1 * (_FLOAT + 2)  # value and index
    if experiment.optimizer == "adam":
        # Weights are read forward; weights and both moments are read and written by the
        # update, which takes about a dozen operations.
        operations += 12 * weights
        return Work(operations, _FLOAT * (touched + 6 * weights) + example_bytes, 3 * _FLOAT * weights)
    operations += 2 * touched
    # Read forward, read and written by the update.
    return Work(operations, 3 * _FLOAT * touched + example_bytes, _FLOAT * touched)


def dense_flops(batch_size: int) -> float:
    """The float32 operations of a step's matrix products, of one replicate, where nothing is skipped.

    Forward, and backward to the weights; for the upper layers also backward to their input.
    """
    pixels, hidden1, hidden2, classes = SIZES
    return 2 * batch_size * (2 * pixels * hidden1 + 3 * hidden1 * hidden2 + 3 * hidden2 * classes)


def roofline_bound(work: Work, device: torch.device) -> tuple[float, str]:
    """The limit of a step in seconds, and which of the two it is: "bytes" or "operations".

    On a CPU for one core.
    """
    by_bytes = work.bytes_moved / bandwidth(_rounded(work.bytes_held), device)
    by_operations = work.operations / peak(device)
    return max((by_bytes, "bytes"), (by_operations, "operations"))


@cache
def bandwidth(size: int, device: torch.device) -> float:
    """Bytes a second of reading and writing again a buffer of `size` bytes, over and over.

    On a CPU that is the bandwidth of the cache that the buffer fits in, for one core. On a
    GPU, where a launch would be most of a small buffer's time, it is that of its memory.
    """
    if device.type == "cuda":
        size = 2**30
    buffer = torch.zeros(size // _FLOAT, device=device)
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
    """Operations a second of PyTorch's float32 matrix product, on a CPU's one core."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = torch.rand(2, size, size, device=device)
    return 2 * size**3 / _median_seconds(lambda: left @ right, device)


@cache
def _compiled() -> Callable[[NDArray[np.float32], int], None]:
    """y + 1 over a buffer, repeated, without a call in between (numba is a CPU engine's anyway)."""
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
    return median(times[1:])  # the first one warms up


def _rounded(size: float) -> int:
    """To a power of two from 64 KiB on, so that few buffers are measured."""
    return 1 << max(16, round(size).bit_length())
