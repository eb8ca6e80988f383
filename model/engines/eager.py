"""The reference engine, which the others are tested against: a plain PyTorch loop per replicate."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.mnist import Data
from ..experiment import Experiment
from ..network import stack_parameters
from ..optimizers import OPTIMIZERS
from ..subnormals import flushed
from .honours import Honours

NAME = "eager"

# Every field, as an optimizer's `build` passes all of them to PyTorch.
HONOURS = Honours(
    {kind: {each.name for each in fields(cast(Any, kind))} for kind in OPTIMIZERS.values()}
)


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Returns why it cannot run this: a setting that it does not honour."""
    return HONOURS.refuses(experiment)


def unavailable(device: torch.device) -> str | None:
    """Returns None: it only needs PyTorch."""
    return None


def cores(experiment: Experiment, replicates: int, available: int) -> int:
    """Returns all of them: PyTorch splits every operation among its threads."""
    return available


class Engine:
    """`nn.Sequential` and `torch.optim`, as the assignment uses them."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        self._data = data
        self._batch_size = experiment.batch_size
        self._networks = [
            experiment.network.build(experiment.init, seed).to(data.device) for seed in seeds
        ]
        self._optimizers = [
            experiment.optimizer.build(network.parameters()) for network in self._networks
        ]
        self._loss = nn.CrossEntropyLoss()

    @flushed()
    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64, on the device."""
        images, labels = self._data.train_images, self._data.train_labels
        for network, optimizer, order in zip(self._networks, self._optimizers, orders, strict=True):
            for batch, rate in zip(order.split(self._batch_size), rates.tolist(), strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.zero_grad()
                self._loss(network(images[batch]), labels[batch]).backward()
                optimizer.step()

    def parameters(self) -> list[Tensor]:
        """Returns copies of the replicates' current parameters; see `network.stack_parameters`."""
        return stack_parameters(self._networks)
