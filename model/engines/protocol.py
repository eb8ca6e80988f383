"""What an engine offers, as types; `model.engines` says what each part means."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..data.mnist import Data
from ..experiment import Experiment


class Runner(Protocol):
    """An experiment's replicates, ready to train: what a module's `Engine` makes."""

    def epoch(self, orders: Tensor) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64."""

    def parameters(self) -> list[Tensor]:
        """The replicates' parameters as they are now; see `network.stack_parameters`."""


class EngineModule(Protocol):
    """An engine: a module with these names."""

    NAME: str
    __name__: str

    def refuses(self, experiment: Experiment, device: torch.device) -> str | None:
        """Why it cannot run that experiment exactly on that device, or None where it can."""

    def cores(self, replicates: int, available: int) -> int:
        """How many of the `available` CPU cores it keeps busy with that many replicates."""

    def Engine(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]) -> Runner:
        """Ready to train. Raises EngineError where the device has not the memory for it."""
