"""How many replicates fit in a GPU's free memory at a time; needs no device."""

from __future__ import annotations

from math import ceil

from ...network import MLP
from ...optimizers import Optimizer
from ..error import EngineError
from .rates import graphs
from .replicates import padded_width

_FLOAT, _INDEX = 4, 8  # bytes
_MIB = 2**20

# Free memory that is left for cuBLAS's workspaces (32 MiB per stream on Hopper), the graphs,
# fragmentation, and evaluation between epochs, which the plan does not count.
_RESERVE = 512 * _MIB


def state_bytes(network: MLP, optimizer: Optimizer, examples: int) -> int:
    """Returns the bytes per replicate that stay on the device: its tensors and those of `train`."""
    own = 2 + (optimizer.state_per_parameter or 0)  # parameters, gradients and the optimizer's state
    copies = 3  # of the parameters, in `train`: the initial, the last epoch's and the new ones
    orders = 2  # the graphs' copy, and the one that `train` passes
    return _FLOAT * (own + copies) * network.parameter_count + _INDEX * orders * examples


def working_bytes(network: MLP, examples: int, batch_size: int) -> int:
    """Returns the bytes per replicate that are needed only while it trains; groups share them."""
    # Each layer's inputs, their gradients before and after the activation's derivative, and three
    # tensors of the output layer.
    floats = sum(map(padded_width, network.sizes[:-1])) + 2 * sum(network.hidden) + 3 * network.classes
    # Per example of a graph: its offset, its position in the epoch, its index, and its targets.
    example = 3 * _INDEX + network.classes * _FLOAT
    most = max(steps * size for steps, size in graphs(examples, batch_size))
    return _FLOAT * floats * batch_size + example * most


def group_sizes(replicates: int, state: int, working: int, free: int) -> list[int]:
    """Returns the sizes of groups of replicates that train one after the other.

    The groups are as few and as equal as possible. `state` and `working` are bytes per replicate,
    `free` is the device's free bytes. All groups' state stays on the device; working memory is
    shared, and sized for the largest group. Raises EngineError if not even one replicate at a
    time fits.
    """
    left = free - _RESERVE - replicates * state
    if left < working:
        needed = _RESERVE + replicates * state + working
        raise EngineError(
            f"engine cuda-graph needs {ceil(needed / _MIB)} MiB of GPU memory to train one replicate at "
            f"a time ({ceil(state / _MIB)} for each of {replicates}, {ceil(working / _MIB)} for the one "
            f"that trains, {_RESERVE // _MIB} in reserve), but only {free // _MIB} MiB are free; "
            "use fewer replicates"
        )
    count = ceil(replicates / (left // working))
    return [replicates // count + (group < replicates % count) for group in range(count)]
