"""Which parameters receive a gradient, step by step, when training starts at a common value."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..data.mnist import Data
from ..data.presentation_order import epoch_order
from ..network import MLP, stack_parameters
from ..subnormals import flushed
from .unit_symmetry import unit_spread, weight_ranks

_KEPT = (1, 2, 5, 10, 20, 50, 100, 200)  # the recorded steps; training ends after the last


@flushed()
def gradient_flow(
    init: float, data: Data, *, seed: int, learning_rate: float = 0.1, batch_size: int = 100
) -> dict[str, Any]:
    """Records the first 200 steps of SGD from `init`, in PyTorch's plain loop.

    Returns `steps` (counted from 1) and for each of them: `gradient`, the largest magnitude in the
    gradient of each parameter; `loss`, the batch's, in nats; `active`, the largest output of the first
    hidden layer on the batch; and, after the step, `unit_spread` and `weight_ranks` (see
    `unit_symmetry`). `first` holds the first step at which each parameter's gradient was not 0, or None.
    """
    mlp = MLP().between(data.dataset.inputs, data.dataset.classes)
    network = mlp.build(init, seed).to(data.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
    order = torch.from_numpy(epoch_order("shuffled", data.train_labels.cpu().numpy(), seed, 0))
    first: list[int | None] = [None] * len(mlp.parameter_names)
    kept: dict[str, list[Any]] = {
        name: [] for name in ("steps", "gradient", "loss", "active", "unit_spread", "weight_ranks")
    }
    batches = order.to(data.device).split(batch_size)[: _KEPT[-1]]
    for step, batch in enumerate(batches, start=1):
        images = data.train_images[batch]
        loss = nn.functional.cross_entropy(network(images), data.train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        gradient = [p.grad.abs().max().item() for p in network.parameters() if p.grad is not None]
        first = [f or (step if g else None) for f, g in zip(first, gradient, strict=True)]
        if step in _KEPT:
            active = network[:2](images).max().item()
        optimizer.step()
        if step in _KEPT:
            parameters = stack_parameters([network])
            kept["steps"].append(step)
            kept["gradient"].append(gradient)
            kept["loss"].append(loss.item())
            kept["active"].append(active)
            kept["unit_spread"].append(unit_spread(parameters)[:, 0].tolist())
            kept["weight_ranks"].append(weight_ranks(parameters)[:, 0].tolist())
    return {**kept, "first": first}
