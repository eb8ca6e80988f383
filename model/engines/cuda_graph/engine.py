"""The engine for GPUs: all replicates step together, and one launch runs many steps.

A step on a small batch is little arithmetic in many operations, each of which PyTorch launches
from Python. Here the steps of `Replicates` are captured once as CUDA graphs of up to 512 steps
each, and an epoch replays them (see `schedule`). The training set and the epoch's orders stay on
the device, and nothing is read back.
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.mnist import Data
from ...experiment import Experiment
from ...optimizers import SGD, Adam, AdamW, RMSprop
from ..honours import Honours
from .memory import group_sizes, state_bytes, working_bytes
from .rates import graphs, schedule
from .replicates import TORCH_ACTIVATIONS, Activations, Examples, Replicates

NAME = "cuda-graph"

# Not dampening, which does not apply to the first step: all captured steps are the same.
_ADAM = {"learning_rate", "betas", "eps", "weight_decay"}
HONOURS = Honours(
    {
        SGD: {"learning_rate", "momentum", "nesterov", "weight_decay"},
        Adam: _ADAM,
        AdamW: _ADAM,
        RMSprop: {"learning_rate", "alpha", "eps", "momentum", "centered", "weight_decay"},
    },
    activations=[*TORCH_ACTIVATIONS],
)


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Returns why it cannot run this: not a GPU, or a setting that it does not honour."""
    if device.type != "cuda":
        return f"it runs on a GPU, not on {device.type}"
    return HONOURS.refuses(experiment)


def unavailable(device: torch.device) -> str | None:
    """Returns None: it only needs PyTorch."""
    return None


def cores(experiment: Experiment, replicates: int, available: int) -> int:
    """Returns 1: a single thread launches the graphs."""
    return 1


class Engine:
    """Trains all replicates at once, or in groups that fit in the device's memory.

    Up to rounding, a seed's result does not depend on the other replicates: for a different number
    of them cuBLAS may choose a different algorithm, and so a different order of summation.
    """

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        count, network = len(data.train_labels), experiment.network
        self._batch_size = min(experiment.batch_size, count)
        examples = Examples(network, data)
        self._sizes = group_sizes(
            len(seeds),
            state_bytes(network, experiment.optimizer, count),
            working_bytes(network, count, self._batch_size),
            free_bytes(data.device),
        )
        activations = Activations(network, max(self._sizes), self._batch_size, data.device)
        self._groups = [
            Replicates(experiment, examples, activations, seeds[end - size : end])
            for size, end in zip(self._sizes, accumulate(self._sizes), strict=True)
        ]
        capture = Capture(data.device)
        self._replays = [
            {graph: capture(group, *graph) for graph in graphs(count, self._batch_size)}
            for group in self._groups
        ]

    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64, on the device.

        Without a schedule, `rates` are ignored: a graph keeps the experiment's rate, with which it was
        captured. If an epoch is passed in parts, all but the last consist of whole batches.
        """
        turns = schedule(orders.shape[1], self._batch_size)
        for group, replays, rows in zip(
            self._groups, self._replays, orders.split(self._sizes), strict=True
        ):
            group.begin(rows, rates)
            for graph in turns:
                replays[graph]()

    def parameters(self) -> list[Tensor]:
        """Returns copies of the replicates' current parameters; see `network.stack_parameters`."""
        parameters = zip(*(group.parameters() for group in self._groups), strict=True)
        return [torch.cat(groups) for groups in parameters]


def free_bytes(device: torch.device) -> int:
    """Returns the bytes of memory that are free, or reserved by PyTorch's allocator but unused."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


class Capture:
    """Captures graphs that share a memory pool for intermediate results: only one runs at a time."""

    def __init__(self, device: torch.device):
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, replicates: Replicates, steps: int, size: int) -> Callable[[], None]:
        """Captures `replicates.train(steps, size)`; returns its replay, and restores the replicates."""
        run = partial(replicates.train, steps, size)
        stream = _side_stream(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device), _without_tf32():
            # Warm up first: during a capture, kernels cannot be loaded and the optimizer cannot
            # create its state. Use a side stream, as the default one cannot be captured.
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream), _uncaptured():
                run()
            with torch.cuda.graph(graph, pool=self._pool, stream=stream):
                run()
            replicates.restore()
            graph.replay()  # the first replay uploads the graph to the device
            replicates.restore()
        return graph.replay


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Returns one stream for all captures: cuBLAS keeps a workspace for every stream that it runs on."""
    return torch.cuda.Stream(device)


@contextmanager
def _uncaptured() -> Iterator[None]:
    """Suppresses PyTorch's warning that a capturable optimizer is slower outside a capture."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
        yield


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Makes matrix products use full float32 in the block; a graph keeps the precision of its capture.

    PyTorch has an older setting (`set_float32_matmul_precision`, `allow_tf32`) and a newer one, and
    raises if the older one is read while they disagree. If the older one allows TF32, it is changed,
    which changes the newer one too.
    """
    backends: Any = torch.backends  # whose types lack the newer setting
    matmul, cpu_matmul = backends.cuda.matmul, backends.mkldnn.matmul
    own, cpu = _own_precision(), cpu_matmul.fp32_precision
    try:
        older = torch.get_float32_matmul_precision() if matmul.allow_tf32 else None
    except RuntimeError:  # only the newer one allows it
        older = None
    if older is not None:
        matmul.allow_tf32 = False
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        if older is not None:
            torch.set_float32_matmul_precision(older)  # which sets them all
            cpu_matmul.fp32_precision = cpu
        matmul.fp32_precision = own


def _own_precision() -> str:
    """Returns the precision set for CUDA's matrix products themselves; "none" if they inherit one."""
    backends: Any = torch.backends
    above = (backends, backends.cudnn)  # for everything, and for everything on CUDA
    before = []
    for settings in above:
        before.append(settings.fp32_precision)
        settings.fp32_precision = "none"
    own: str = backends.cuda.matmul.fp32_precision
    for settings, precision in zip(above, before, strict=True):
        settings.fp32_precision = precision
    return own
