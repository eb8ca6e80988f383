"""The engine for CPUs: an epoch is one compiled loop, on all cores that it is given.

On a small batch, PyTorch spends most of a step on dispatching its fifty operations; on a large one it
multiplies zeros. `kernels` has the compiled loop and explains how it computes; this module runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.mnist import Data
from ...experiment import Experiment
from ...network import stack_parameters
from ...optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from ...subnormals import flushed
from ..honours import Honours
from . import compilation
from .arrays import padded_network, sparse, views
from .layout import Chunk, Deferred, Network, Steps
from .rules import deferred, kept_at_first, rule_of, steps_of

NAME = "numba"

# The optimizers that `rules` translates.
_ADAM = {"learning_rate", "betas", "eps", "weight_decay"}
HONOURS = Honours(
    {
        SGD: {"learning_rate", "momentum", "dampening", "nesterov", "weight_decay"},
        Adam: _ADAM,
        AdamW: _ADAM,
        RMSprop: {"learning_rate", "alpha", "eps", "momentum", "centered", "weight_decay"},
        Adagrad: {
            "learning_rate",
            "lr_decay",
            "weight_decay",
            "initial_accumulator_value",
            "eps",
        },
    },
    activations=compilation.ACTIVATION_NAMES,
)

# Examples per wave, after which gradients are summed: enough that the weights are seldom read, and few
# enough that their deltas stay in a core's L2 cache.
WAVE = 256

# The smallest number of a batch's examples for a thread. With fewer, the cores lose the time saved to
# exchanging the weights that the last step changed (on Zen 4, two threads gain some 5 % at batch size
# 32 with SGD, nothing with Adam, and lose at 1), and all wait whenever another process takes one of
# them.
EXAMPLES_PER_THREAD = 32

_Part = Callable[[NDArray[np.uint32], Steps, Deferred], None]


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Returns why it cannot run this: the device, or a setting that it does not honour.

    With an eps of 0, PyTorch divides by 0 if a gradient is 0; this engine may skip such rows.
    """
    if device.type != "cpu":
        return f"it runs on a CPU, not on {device.type}"
    optimizer = experiment.optimizer
    if reason := HONOURS.refuses(experiment):
        return reason
    if getattr(optimizer, "eps", 1) < np.finfo(np.float32).tiny:
        return f"it needs an eps of at least 1.2e-38; the optimizer is {optimizer.label}"
    return compilation.refuses_size(experiment.network)


def unavailable(device: torch.device) -> str | None:
    """Returns why compiled code cannot run on a CPU here: Numba is missing, broken or switched off."""
    return compilation.numba_unavailable() if device.type == "cpu" else None


def cores(experiment: Experiment, replicates: int, available: int) -> int:
    """Returns an equal number for each replicate; one on small batches."""
    return min(replicates, available) * _threads_each(experiment, replicates, available)


def _threads_each(experiment: Experiment, replicates: int, available: int) -> int:
    return max(1, min(available // replicates, experiment.batch_size // EXAMPLES_PER_THREAD))


class Engine:
    """Trains replicates in parallel. They share no mutable arrays, so none affects another."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        network = experiment.network
        kernels = compilation.kernels(network)
        self._network = network
        self._optimizer = experiment.optimizer
        self._batch_size = experiment.batch_size
        self._steps = 0  # taken so far
        self._threads = torch.get_num_threads()
        each = _threads_each(experiment, len(seeds), self._threads)
        in_a_wave = min(experiment.batch_size, WAVE)
        self._replicates: list[Network] = []
        self._parts: list[list[_Part]] = []  # of each replicate's threads
        for seed in seeds:
            built = network.build(experiment.init, seed)
            replicate = padded_network(network, stack_parameters([built]))
            kept = kept_at_first(experiment.optimizer, replicate)
            seen = np.zeros(network.inputs + 1, np.bool)
            workspace = Chunk.zeros(network, each, -(-in_a_wave // each))
            arrivals = np.zeros(1, np.int64)
            self._replicates.append(replicate)
            self._parts.append(
                [
                    partial(
                        kernels.train_steps,
                        sparse(data.train_images),
                        data.train_labels.numpy(),
                        experiment.batch_size,
                        WAVE,
                        rule_of(experiment.optimizer),
                        replicate,
                        kept,
                        seen,
                        workspace,
                        arrivals,
                        workspace.of(thread),
                        thread,
                    )
                    for thread in range(each)
                ]
            )
        nothing = (np.zeros(0, np.uint32), *self._factors(np.zeros(0)))
        compilation.compile_first(kernels.train_steps, "epoch", lambda: self._parts[0][0](*nothing))

    @flushed()
    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64.

        `rates` are the learning rates, (steps,).
        """
        factors = self._factors(rates)
        with ThreadPoolExecutor(self._threads) as pool:
            trained = [
                pool.submit(part, order, *factors)
                for parts, order in zip(self._parts, orders.numpy().astype(np.uint32), strict=True)
                for part in parts
            ]
        for future in trained:
            future.result()
        self._steps += len(rates)

    def _factors(self, rates: NDArray[np.float64]) -> tuple[Steps, Deferred]:
        """Returns the factors of the next steps. Only a replicate with one thread defers steps."""
        defers = self._batch_size < 2 * EXAMPLES_PER_THREAD
        return (
            steps_of(self._optimizer, self._steps, rates),
            deferred(self._optimizer if defers else None, self._steps, rates),
        )

    def parameters(self) -> list[Tensor]:
        """Returns copies of the replicates' current parameters; see `network.stack_parameters`."""
        found = [views(self._network, replicate) for replicate in self._replicates]
        return [torch.stack(each) for each in zip(*found, strict=True)]
