"""The engine for batch size 1 on a GPU: thread-block clusters train replicates, one launch per epoch.

A step at batch size 1 is so little work that starting a kernel takes longer than the step. Here a
replicate's parameters stay in the registers and the shared memory of one thread-block cluster
(compute capability 9.0 and above) for a whole epoch; `cluster.cu` has the kernel and explains how it
computes. This module compiles it at run time with NVRTC, through NVIDIA's cuda.core, and launches it.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.mnist import Data
from ...experiment import Experiment
from ...network import MLP, stack_parameters
from ...optimizers import SGD
from ...values import one_line
from ..honours import Honours

if TYPE_CHECKING:  # cuda.core may be missing
    from cuda.core import Kernel

NAME = "cluster"

HONOURS = Honours({SGD: {"learning_rate"}})

SOURCE = Path(__file__).with_name("cluster.cu")

# The same as in cluster.cu.
_NETWORK = MLP()
BLOCKS = 8
THREADS = 256

# How the blocks of a cluster exchange sums; see cluster.cu. Which way is faster has not been measured.
ASYNC_STORES = False


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Returns why it cannot run this: the device, batch size, optimizer, network or another setting."""
    if device.type != "cuda":
        return f"it runs on a GPU, not on {device.type}"
    if experiment.batch_size != 1:
        return f"it supports batch size 1, not {experiment.batch_size}"
    if reason := HONOURS.refuses(experiment):
        return reason
    if experiment.network != _NETWORK:
        return f"it supports the network {_NETWORK}, not {experiment.network}"
    capability = torch.cuda.get_device_capability(device)
    if capability < (9, 0):
        return "it needs compute capability 9.0 or higher; this GPU has {}.{}".format(*capability)
    return None


def unavailable(device: torch.device) -> str | None:
    """Returns why it cannot run on this machine's GPUs: a library is missing or broken."""
    if device.type != "cuda":
        return None
    try:
        from cuda.core.utils import FileStreamProgramCache  # noqa: F401 (from cuda.core 1.0 on)
        from cuda.pathfinder import load_nvidia_dynamic_lib  # as cuda.core itself loads libraries
    except ImportError as error:
        reason = one_line(error)
        return f"cuda.core 1.0 or newer is missing ({reason}); install it with pip install '.[cuda]'"
    except Exception as error:  # a broken installation may raise anything
        return f"cuda.core cannot be imported ({type(error).__name__}: {one_line(error)})"
    try:
        load_nvidia_dynamic_lib("nvrtc")
    except RuntimeError:  # DynamicLibNotFoundError
        return "NVRTC, CUDA's run-time compiler, is missing; install PyTorch for CUDA, which includes it"
    return None


def cores(experiment: Experiment, replicates: int, available: int) -> int:
    """Returns 1; it never trains on a CPU."""
    return 1


class Engine:
    """Trains each replicate in one cluster of a grid; the GPU runs as many clusters at a time as fit."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        self._data = data
        stacked = stack_parameters([experiment.network.build(experiment.init, seed) for seed in seeds])
        self._parameters = [parameter.to(data.device) for parameter in stacked]
        self._kernel = _kernel(data.device)
        # CUDA loads a kernel at its first launch; without examples, it does nothing else.
        self.epoch(torch.empty(len(seeds), 0, dtype=torch.int64, device=data.device), np.zeros(0))

    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64, on the device.

        An epoch may be passed in parts of any size. Queues the kernel on PyTorch's current stream, once
        for every run of examples with the same rate, and does not wait for it.
        """
        changes = np.flatnonzero(np.diff(rates)) + 1
        for begin, end in pairwise([0, *changes.tolist(), len(rates)]):
            self._launch(orders[:, begin:end], rates[begin] if end else 0.0)

    def _launch(self, orders: Tensor, rate: float) -> None:
        from cuda.core import LaunchConfig, Stream, launch

        replicates, examples = orders.shape
        tensors = (self._data.train_images, self._data.train_labels, orders.contiguous())
        with torch.cuda.device(self._data.device):
            launch(
                Stream.from_handle(torch.cuda.current_stream().cuda_stream),
                LaunchConfig(grid=replicates, cluster=BLOCKS, block=THREADS),  # a grid of clusters
                self._kernel,
                *(tensor.data_ptr() for tensor in tensors),
                np.int32(examples),
                np.float32(rate),
                *(parameter.data_ptr() for parameter in self._parameters),
            )

    def parameters(self) -> list[Tensor]:
        """Returns copies of the replicates' current parameters; see `network.stack_parameters`."""
        return [parameter.clone() for parameter in self._parameters]


def _kernel(device: torch.device) -> Kernel:
    """Returns the compiled kernel, which is cached in `__pycache__` if that can be written.

    cuda.core's cache identifies a kernel by the source, the options (with the architecture) and the
    version of NVRTC, and writes files atomically.
    """
    from cuda.core import Device, Program, ProgramOptions
    from cuda.core.utils import FileStreamProgramCache

    major, minor = torch.cuda.get_device_capability(device)
    options = ProgramOptions(
        name=SOURCE.name,
        arch=f"sm_{major}{minor}",
        std="c++17",
        define_macro="ASYNC_STORES" if ASYNC_STORES else None,
    )
    with torch.cuda.device(device):
        Device(device.index).set_current()  # cuda.core requires it; this is PyTorch's context
        program = Program(SOURCE.read_text(), "c++", options)
        try:
            with FileStreamProgramCache(SOURCE.parent / "__pycache__" / NAME) as cache:
                compiled = program.compile("cubin", cache=cache)
        except OSError:  # the folder is not writable, as in someone else's checkout
            compiled = program.compile("cubin")
        return compiled.get_kernel("train")
