"""How many replicates train at a time in the memory that a GPU has left: plain arithmetic."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

from ...network import SIZES
from ..error import EngineError
from .replicates import CLASSES, HIDDEN1, HIDDEN2, PIXELS, padded
from .schedule import graphs

_PARAMETERS = sum((inputs + 1) * outputs for inputs, outputs in pairwise(SIZES))
_FLOAT, _INDEX = 4, 8  # bytes
_MIB = 2**20

# Of a device's free memory, what is not planned: cuBLAS's workspaces (32 MiB a stream on
# Hopper), the graphs, gaps between what PyTorch allocates, and evaluation between the epochs.
_RESERVE = 512 * _MIB


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
