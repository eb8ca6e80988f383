"""The engine for GPUs: all replicates step together, and many steps are one launch.

A step on a small batch is little arithmetic in many operations, each of which PyTorch launches
from Python. Here the steps of `Replicates` are captured once as CUDA graphs, of up to 512 steps
each, and an epoch replays some of them (see `schedule`): the training set and the epoch's orders lie
on the device, and nothing is read back.
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import accumulate

import torch
from torch import Tensor

from ...data.mnist import Data
from ...experiment import Experiment
from .memory import group_sizes, state_bytes, working_bytes
from .replicates import Activations, Examples, Replicates
from .schedule import graphs, schedule

NAME = "cuda-graph"


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Why it cannot run this: not a GPU."""
    return None if device.type == "cuda" else f"it runs on a GPU, not on {device.type}"


def cores(replicates: int, available: int) -> int:
    """One, which launches the graphs."""
    return 1


class Engine:
    """All replicates at once, or as many at a time as the device's memory takes.

    A seed's result does not depend on the replicates beside it but for rounding: cuBLAS may
    choose another algorithm, and so another order of summation, for another number of them.
    """

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        count = len(data.train_labels)
        self._batch_size = min(experiment.batch_size, count)
        examples = Examples(data)
        self._sizes = group_sizes(
            len(seeds),
            state_bytes(experiment.optimizer, count),
            working_bytes(count, self._batch_size),
            free_bytes(data.device),
        )
        activations = Activations(max(self._sizes), self._batch_size, data.device)
        self._groups = [
            Replicates(experiment, examples, activations, seeds[end - size : end])
            for size, end in zip(self._sizes, accumulate(self._sizes), strict=True)
        ]
        capture = Capture(data.device)
        self._replays = [
            {graph: capture(group, *graph) for graph in graphs(count, self._batch_size)}
            for group in self._groups
        ]

    def epoch(self, orders: Tensor) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64, on the device.

        In parts of an epoch, all but the last are of whole batches.
        """
        turns = schedule(orders.shape[1], self._batch_size)
        for group, replays, rows in zip(
            self._groups, self._replays, orders.split(self._sizes), strict=True
        ):
            group.begin(rows)
            for graph in turns:
                replays[graph]()

    def parameters(self) -> list[Tensor]:
        """The replicates' parameters as they are now; see `network.stack_parameters`."""
        parameters = zip(*(group.parameters() for group in self._groups), strict=True)
        return [torch.cat(groups) for groups in parameters]


def free_bytes(device: torch.device) -> int:
    """The device's memory that is free, or held by PyTorch's allocator but not in use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


class Capture:
    """Makes graphs that share their memory for intermediate results, since one runs at a time."""

    def __init__(self, device: torch.device):
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, replicates: Replicates, steps: int, size: int) -> Callable[[], None]:
        """`replicates.train(steps, size)` as a function that replays it; leaves them as they were."""
        run = partial(replicates.train, steps, size)
        stream = _side_stream(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device), _without_tf32():
            # Once before the capture, in which no kernel can be loaded and no optimizer begin
            # its state, on a stream beside the default one, which cannot be captured.
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream), _uncaptured():
                run()
            with torch.cuda.graph(graph, pool=self._pool, stream=stream):
                run()
            replicates.restore()
            graph.replay()  # the first replay moves the graph to the device
            replicates.restore()
        return graph.replay


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: cuBLAS keeps a workspace for every stream that it has seen."""
    return torch.cuda.Stream(device)


@contextmanager
def _uncaptured() -> Iterator[None]:
    """Without PyTorch's warning that an optimizer made for capturing is slower without."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
        yield


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Matrix products in full float32 inside; a graph keeps what it was captured with."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before
