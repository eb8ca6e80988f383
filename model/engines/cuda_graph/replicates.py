"""The training step of stacked replicates, in few operations: plain PyTorch, on every device.

A layer's weights and biases are one tensor, (replicates, in + 1, out): the last row holds the
biases, and the inputs have a last column of ones. So a layer takes one batched matrix product
forward and at most two backward, and adding biases or summing their gradients takes no separate
launches. Rows of inputs are aligned to 16 bytes, for vectorised loads.

Nothing here waits for the device or depends on a tensor's values, so all of it can be captured
as a CUDA graph: the next examples are looked up on the device, at a position that the steps
themselves advance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from ...data.mnist import Data
from ...experiment import Experiment
from ...network import MLP, stack_parameters
from ...optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

# Unfused Adam takes a dozen operations, and its capturable variant computes the bias correction
# 1 - 0.999^t, a difference of nearly equal numbers, in float32. Fused Adam is one operation and
# computes it in float64, as eager does. SGD is built as eager builds it.
_HOW: dict[type[Optimizer], dict[str, bool]] = {
    Adam: {"fused": True, "capturable": True},
    AdamW: {"fused": True, "capturable": True},
    RMSprop: {"capturable": True},
}
# With a schedule the rate is a tensor. Unfused SGD would read it back, so SGD is fused.
_SCHEDULED = {**_HOW, SGD: {"fused": True}}

_log_softmax_backward = torch.ops.aten._log_softmax_backward_data


def _relu_backward(delta: Tensor, active: Tensor) -> Tensor:
    back: Tensor = torch.ops.aten.threshold_backward(delta, active, 0)
    return back


# In-place activations, and their backward passes: from a gradient and the activation's values.
TORCH_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "relu": (torch.relu_, _relu_backward),
    "sigmoid": (torch.sigmoid_, torch.ops.aten.sigmoid_backward),
    "tanh": (torch.tanh_, torch.ops.aten.tanh_backward),
}


def padded_width(units: int) -> int:
    """Returns the columns of the inputs for `units` and one of ones, rounded up to a multiple of 4."""
    return (units + 1 + 3) // 4 * 4


def inputs(*rows: int, units: int, device: torch.device) -> Tensor:
    """Returns a layer's inputs, float32 (*rows, padded(units)): zeros, with ones in column `units`."""
    zeros = torch.zeros(*rows, padded_width(units), device=device)
    zeros[..., units] = 1
    return zeros


class Examples:
    """The training set in the form that the step reads.

    `images` are `inputs` of shape (examples, padded(pixels)). `targets`, float32 (examples, classes),
    are -1 in the label's column and 0 elsewhere: the gradient of an example's cross-entropy with respect
    to the log-softmax.
    """

    def __init__(self, network: MLP, data: Data):
        self.images = inputs(len(data.train_images), units=network.inputs, device=data.device)
        self.images[:, : network.inputs] = data.train_images
        self.targets = -one_hot(data.train_labels, network.classes).float()


class Activations:
    """A buffer for each hidden layer: `inputs` of shape (replicates, batch size, padded units)."""

    def __init__(self, network: MLP, replicates: int, batch_size: int, device: torch.device):
        self.hidden = [
            inputs(replicates, batch_size, units=units, device=device) for units in network.hidden
        ]


class Replicates:
    """Parameters, optimizer and orders of the replicates of `seeds`, which step together.

    `activations` may have room for more replicates, and may be shared with `Replicates` that step at
    other times.
    """

    def __init__(
        self,
        experiment: Experiment,
        examples: Examples,
        activations: Activations,
        seeds: tuple[int, ...],
    ):
        device, network = examples.images.device, experiment.network
        self._pixels = network.inputs
        self._activations = [TORCH_ACTIVATIONS[name] for name in network.activations]
        stacked = stack_parameters([network.build(experiment.init, seed) for seed in seeds])
        self._initial = [
            torch.cat([weight, bias[:, None]], dim=1)
            for weight, bias in zip(stacked[::2], stacked[1::2], strict=True)
        ]
        self._layers = [layer.to(device, copy=True) for layer in self._initial]
        for layer in self._layers:
            layer.grad = torch.zeros_like(layer)
        scheduled = experiment.schedule is not None
        how = _SCHEDULED if scheduled else _HOW
        self._optimizer = experiment.optimizer.build(
            self._layers, **how.get(type(experiment.optimizer), {})
        )
        self._rate: Tensor | None = None
        if scheduled:
            self._rate = torch.zeros((), device=device)
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate
        steps = experiment.steps_per_epoch(len(examples.images))
        self._rates = torch.zeros(steps if scheduled else 0, device=device)
        self._step_number = torch.zeros((), dtype=torch.int64, device=device)
        self._examples = examples
        self._hidden = [
            buffer[: len(seeds), :, : units + 1]
            for buffer, units in zip(activations.hidden, network.hidden, strict=True)
        ]
        shape = (len(seeds), len(examples.images))
        self._orders = torch.zeros(shape, dtype=torch.int64, device=device)
        self._position = torch.zeros((), dtype=torch.int64, device=device)

    def restore(self) -> None:
        """Restores the initial parameters, optimizer state and position, in place."""
        for layer, initial in zip(self._layers, self._initial, strict=True):
            layer.copy_(initial)
        for state in self._optimizer.state.values():  # it starts at zeros
            for tensor in state.values():
                tensor.zero_()
        self._position.zero_()
        self._step_number.zero_()

    def begin(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Makes the next steps start at the beginning of `orders` (replicates, examples), int64.

        With a schedule, they use the learning rates `rates` (steps,).
        """
        self._orders[:, : orders.shape[1]] = orders
        self._position.zero_()
        if self._rate is not None:
            self._rates[: len(rates)] = torch.from_numpy(rates.astype(np.float32))
            self._step_number.zero_()

    def train(self, steps: int, size: int) -> None:
        """Takes `steps` steps on the next batches of `size` examples in the orders given to `begin`."""
        count = steps * size
        positions = self._position + torch.arange(count, device=self._position.device)
        order = self._orders.index_select(1, positions)
        # Each replicate's loss is the mean over its own batch, as when it trains alone.
        targets = self._examples.targets[order].div_(size)
        self._position += count
        batches = zip(order.split(size, dim=1), targets.split(size, dim=1), strict=True)
        for batch, batch_targets in batches:
            if self._rate is not None:
                self._rate.copy_(self._rates.index_select(0, self._step_number[None])[0])
                self._step_number += 1
            self._step(batch, batch_targets)

    def _step(self, batch: Tensor, targets: Tensor) -> None:
        """Takes one step on the examples `batch`, int64 (replicates, size).

        `targets` are float32, (replicates, size, classes).
        """
        images = self._examples.images[batch][..., : self._pixels + 1]
        hidden = [buffer[:, : batch.shape[1]] for buffer in self._hidden]
        active = [each[..., :-1] for each in hidden]  # without the column of ones
        layers = list(zip(self._layers, [images, *hidden], strict=True))

        for (weights, below), (activate, _), here in zip(
            layers, self._activations, active, strict=False
        ):
            torch.bmm(below, weights, out=here)
            activate(here)
        weights, below = layers[-1]
        outputs = torch.log_softmax(torch.bmm(below, weights), dim=2)

        delta = _log_softmax_backward(targets, outputs, 2, outputs.dtype)
        torch.bmm(below.mT, delta, out=weights.grad)
        for (_, back), here, (lower, below) in zip(
            reversed(self._activations), reversed(active), reversed(layers[:-1]), strict=True
        ):
            delta = back(torch.bmm(delta, weights[:, :-1].mT), here)
            torch.bmm(below.mT, delta, out=lower.grad)
            weights = lower
        self._optimizer.step()

    def parameters(self) -> list[Tensor]:
        """Returns views of the current weights and biases, separately (see `stack_parameters`)."""
        return [view for layer in self._layers for view in (layer[:, :-1], layer[:, -1])]
