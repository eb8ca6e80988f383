"""The clock of a training, which runs only during its epochs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up the wall-clock seconds of `with` blocks; on CUDA each reading follows a synchronise."""

    def __init__(self, device: torch.device):
        self.seconds = 0.0
        self._device = device

    def _read(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Adds the duration of the block to `seconds`."""
        started = self._read()
        yield
        self.seconds += self._read() - started
