"""What the cuda-graph engine captures, replays and has at a time: plain arithmetic."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

from ..network import SIZES
from .error import EngineError
from .replicates import CLASSES, HIDDEN1, HIDDEN2, PIXELS, padded

# Steps of the graphs. With these an epoch of MNIST takes at most 129 replays (at batch size 1; at
# 100, five), while all four together are 585 steps to capture, and some ten thousand operations.
STEPS = (512, 64, 8, 1)

_PARAMETERS = sum((inputs + 1) * outputs for inputs, outputs in pairwise(SIZES))
_FLOAT, _INDEX = 4, 8  # bytes
_MIB = 2**20

# Of a device's free memory, what is not planned: cuBLAS's workspaces (32 MiB a stream on
# Hopper), the graphs, gaps between what PyTorch allocates, and evaluation between the epochs.
_RESERVE = 512 * _MIB


def graphs(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """The graphs, as (steps, examples a batch), that epochs and parts of them are made of."""
    whole, rest = divmod(examples, batch_size)
    shorter_last = [(1, rest)] if rest else []
    return [(steps, batch_size) for steps in STEPS if steps <= whole] + shorter_last


def schedule(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """The graphs to replay, in turn, for the next so many examples of an epoch."""
    steps, rest = divmod(examples, batch_size)
    replays = []
    for length in STEPS:
        replays += [(length, batch_size)] * (steps // length)
        steps %= length
    return replays + ([(1, rest)] if rest else [])


def state_bytes(optimizer: str, examples: int) -> int:
    """What a replicate keeps on the device throughout: its tensors, and those `train` has of it."""
    own = {"sgd": 2, "adam": 4}[optimizer]  # parameters, gradients and moments
    copies = 3  # of parameters: the first, the last epoch's, and the new ones
    orders = 2  # the graphs', and the next epoch's
    return _FLOAT * (own + copies) * _PARAMETERS + _INDEX * orders * examples


def working_bytes(examples: int, batch_size: int) -> int:
    """What a replicate needs while it trains, and leaves to others while it does not."""
    # Every layer's inputs, the gradients by them before and after the derivative, the output's three.
    floats = sum(map(padded, (PIXELS, HIDDEN1, HIDDEN2))) + 2 * (HIDDEN1 + HIDDEN2) + 3 * CLASSES
    # A graph's positions (counted on, and from the epoch's start), order and targets.
    example = 3 * _INDEX + CLASSES * _FLOAT
    most = max(steps * size for steps, size in graphs(examples, batch_size))
    return _FLOAT * floats * batch_size + example * most


def group_sizes(replicates: int, state: int, working: int, free: int) -> list[int]:
    """How many replicates train at a time: groups as equal as can be, one after the other.

    `state` and `working` are bytes a replicate, `free` the device's bytes. All groups' state
    stays on the device; of working memory there is as much as the largest group needs.
    Raises EngineError where not even one replicate at a time fits.
    """
    left = free - _RESERVE - replicates * state
    if left < working:
        needed = _RESERVE + replicates * state + working
        raise EngineError(
            f"engine cuda-graph needs {ceil(needed / _MIB)} MiB of GPU memory to train one replicate at "
            f"a time ({ceil(state / _MIB)} for each of {replicates}, {ceil(working / _MIB)} for the one "
            f"that trains, {_RESERVE // _MIB} in reserve), and {free // _MIB} MiB are free"
        )
    count = ceil(replicates / (left // working))
    return [replicates // count + (group < replicates % count) for group in range(count)]
