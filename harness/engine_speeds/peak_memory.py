"""The peak memory of an engine."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch

from model.data.mnist import Data
from model.engines import EngineModule
from model.experiment import Experiment


def peak_mib(
    engine: EngineModule,
    experiment: Experiment,
    data: Data,
    seeds: tuple[int, ...],
    orders: torch.Tensor,
) -> float | None:
    """Returns the peak memory of making the engine and taking a step, in MiB; None if unknown.

    On a CPU, this is the resident memory beyond that of a process that has only imported PyTorch; on a
    GPU, the memory that PyTorch's allocator handed out. Both include the data set.
    """
    gc.collect()
    on_gpu = data.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(data.device)
    elif not _reset_peak():
        return None
    engine.Engine(experiment, data, seeds).epoch(
        orders[:, : experiment.batch_size], experiment.constant_rates(1)
    )
    if on_gpu:
        return torch.cuda.max_memory_allocated(data.device) / 2**20
    return (_status("VmHWM") - _IMPORTED) / 2**20


def _reset_peak() -> bool:
    """Resets the process's peak memory to its current use; returns False if that is impossible."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # memory that earlier cases freed does not count
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int:
    """Returns a size in bytes from Linux's /proc/self/status; 0 on other systems."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


_IMPORTED = _status("VmRSS")
