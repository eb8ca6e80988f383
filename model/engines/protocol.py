"""The interface of an engine, as types; `model.engines` documents it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.mnist import Data
from ..experiment import Experiment
from .honours import Honours


class Runner(Protocol):
    """An experiment's replicates, ready to train: what a module's `Engine` returns."""

    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64.

        `rates`, float64, are the learning rates of the steps, the same for all replicates.
        """

    def parameters(self) -> list[Tensor]:
        """Returns copies of the replicates' current parameters; see `network.stack_parameters`."""


class EngineModule(Protocol):
    """An engine: a module with these names."""

    NAME: str
    HONOURS: Honours
    __name__: str

    def refuses(self, experiment: Experiment, device: torch.device) -> str | None:
        """Returns why it cannot run the experiment exactly on the device, or None if it can."""

    def unavailable(self, device: torch.device) -> str | None:
        """Returns why it cannot run on such a device on this machine, or None if it can."""

    def cores(self, experiment: Experiment, replicates: int, available: int) -> int:
        """Returns how many of the `available` CPU cores it keeps busy with that many replicates."""

    def Engine(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]) -> Runner:
        """Returns the replicates, ready to train. Raises EngineError if the device lacks memory."""
