"""The reference engine: the plain PyTorch loop, one replicate after the other.

The other engines are tested against this one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data.mnist import Data
from ..experiment import Experiment
from ..network import build_network, stack_parameters
from ..subnormals import flushed

NAME = "eager"

_OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """None: PyTorch runs every experiment on every device."""
    return None


def unavailable(device: torch.device) -> str | None:
    """None: it needs nothing but PyTorch."""
    return None


def cores(experiment: Experiment, replicates: int, available: int) -> int:
    """All of them: PyTorch splits every operation among its threads."""
    return available


class Engine:
    """`nn.Sequential` and `torch.optim`, as the assignment uses them."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        self._data = data
        self._batch_size = experiment.batch_size
        self._networks = [build_network(experiment.init, seed).to(data.device) for seed in seeds]
        self._optimizers = [
            _OPTIMIZERS[experiment.optimizer](network.parameters(), lr=experiment.learning_rate)
            for network in self._networks
        ]
        self._loss = nn.CrossEntropyLoss()

    @flushed()
    def epoch(self, orders: Tensor) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64, on the device."""
        images, labels = self._data.train_images, self._data.train_labels
        for network, optimizer, order in zip(self._networks, self._optimizers, orders, strict=True):
            for batch in order.split(self._batch_size):
                optimizer.zero_grad()
                self._loss(network(images[batch]), labels[batch]).backward()
                optimizer.step()

    def parameters(self) -> list[Tensor]:
        """Copies of the replicates' current parameters; see `network.stack_parameters`."""
        return stack_parameters(self._networks)
