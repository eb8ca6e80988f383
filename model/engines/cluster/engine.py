"""The engine for batch size 1 on a GPU: thread-block clusters train replicates, an epoch a launch.

A step at batch size 1 is so little work that starting a kernel takes longer than the step. Here a
replicate's parameters stay in the registers and the shared memory of one thread-block cluster
(compute capability 9.0 and above) for a whole epoch; `cluster.cu` holds the kernel and says how it
computes. NVRTC compiles it at run time through NVIDIA's cuda.core; here is what it needs around it.
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

# As cluster.cu has them.
_NETWORK = MLP()
BLOCKS = 8
THREADS = 256

# How the blocks of a cluster tell each other; see cluster.cu. Which is faster, a GPU has yet to show.
ASYNC_STORES = False


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Why it cannot run this: another device, batch size, optimizer, setting or network."""
    if device.type != "cuda":
        return f"it runs on CUDA, not on {device.type}"
    if experiment.batch_size != 1:
        return "it takes batches of 1"
    if reason := HONOURS.refuses(experiment):
        return reason
    if experiment.network != _NETWORK:
        return f"it is written for {_NETWORK}, not {experiment.network}"
    capability = torch.cuda.get_device_capability(device)
    if capability < (9, 0):
        return "it needs compute capability 9.0, this GPU has {}.{}".format(*capability)
    return None


def unavailable(device: torch.device) -> str | None:
    """Why it cannot run on this machine's GPUs: a library for it is missing."""
    if device.type != "cuda":
        return None
    try:
        from cuda.core.utils import FileStreamProgramCache  # noqa: F401 (from cuda.core 1.0 on)
        from cuda.pathfinder import load_nvidia_dynamic_lib  # as cuda.core itself loads libraries
    except ImportError as error:
        return f"cuda.core 1.0 or newer is missing ({one_line(error)}); pip install '.[cuda]' brings it"
    except Exception as error:  # whatever a broken installation raises
        return f"cuda.core cannot be imported ({type(error).__name__}: {one_line(error)})"
    try:
        load_nvidia_dynamic_lib("nvrtc")
    except RuntimeError:  # DynamicLibNotFoundError
        return "NVRTC is missing, the CUDA library that compiles its kernel; PyTorch for CUDA brings it"
    return None


def cores(experiment: Experiment, replicates: int, available: int) -> int:
    """One, for form's sake: it never trains on a CPU."""
    return 1


class Engine:
    """Replicates are clusters of one grid; the GPU runs as many at a time as fit."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        self._data = data
        stacked = stack_parameters([experiment.network.build(experiment.init, seed) for seed in seeds])
        self._parameters = [parameter.to(data.device) for parameter in stacked]
        self._kernel = _kernel(data.device)
        # CUDA loads a kernel at its first launch; on no example it does nothing else.
        self.epoch(torch.empty(len(seeds), 0, dtype=torch.int64, device=data.device), np.zeros(0))

    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64, on the device.

        Any number of examples: an epoch may be cut. Returns when the kernel is queued on PyTorch's
        current stream, once for every run of examples with the same rate.
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
        """The replicates' parameters as they are now; see `network.stack_parameters`."""
        return [parameter.clone() for parameter in self._parameters]


def _kernel(device: torch.device) -> Kernel:
    """The compiled kernel, from the cache beside Python's own; else compiled and kept there.

    cuda.core finds what it has cached by the source, the options (with the architecture) and
    the version of NVRTC, and writes each file whole. Where none can be written it is not kept.
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
        Device(device.index).set_current()  # cuda.core asks for it; it is PyTorch's own context
        program = Program(SOURCE.read_text(), "c++", options)
        try:
            with FileStreamProgramCache(SOURCE.parent / "__pycache__" / NAME) as cache:
                compiled = program.compile("cubin", cache=cache)
        except OSError:  # nothing can be written there, as in a checkout of someone else's
            compiled = program.compile("cubin")
        return compiled.get_kernel("train")
