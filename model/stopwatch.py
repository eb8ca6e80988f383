"""The clock of a training: it runs while epochs run, and stands still in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up wall-clock seconds between `with` blocks; on CUDA each end is read after a synchronise."""

    def __init__(self, device: torch.device):
        self.seconds = 0.0
        self._device = device

    def _read(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time that the block takes."""
        started = self._read()
        yield
        self.seconds += self._read() - started
