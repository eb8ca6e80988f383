"""Peers, with which engines are compared: the same step in JAX, and in PyTorch with `torch.compile`.

A peer is a class like an engine's `Engine`, for one replicate on a CPU. JAX is the extra `peers` of
pyproject.toml; `torch.compile` needs a C++ compiler. A peer that cannot run here, or does not honour a
setting, is left out, with a line on stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from model.data.mnist import Data
from model.engines import eager
from model.engines.honours import Honours
from model.engines.protocol import Runner
from model.experiment import Experiment
from model.network import stack_parameters
from model.optimizers import SGD, Adam
from model.subnormals import flushed

_JAX = ("relu", "sigmoid", "tanh")  # names that `jax.nn` has, too


@dataclass(frozen=True)
class Peer:
    """A peer, with the attributes of an engine's module; see `model.engines`."""

    NAME: str
    HONOURS: Honours
    Engine: Callable[[Experiment, Data, tuple[int, ...]], Runner]


class TorchCompile(eager.Engine):
    """Eager's loop, with the loss, its gradients and the optimizer's step compiled."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        super().__init__(experiment, data, seeds)
        torch.compiler.reset()  # otherwise it stops compiling after eight experiments
        (self._network,), (optimizer,) = self._networks, self._optimizers
        self._loss_of = torch.compile(self._plain_loss)
        self._zero_grad = optimizer.zero_grad
        self._step: Callable[[], object] = torch.compile(optimizer.step)

    def _plain_loss(self, images: Tensor, labels: Tensor, batch: Tensor) -> Tensor:
        return cross_entropy(self._network(images[batch]), labels[batch])

    @flushed()
    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains on the only row of `orders` (1, examples), int64; all `rates` are the experiment's."""
        for batch in orders[0].split(self._batch_size):
            self._zero_grad()
            loss = self._loss_of(self._data.train_images, self._data.train_labels, batch)
            torch.autograd.backward(loss)
            self._step()


class Jax:
    """A jitted `lax.scan` over the steps of an epoch, whole batches only."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        import jax
        import jax.numpy as jnp

        self._jax, self._batch_size = jax, experiment.batch_size
        self._data = jnp.asarray(data.train_images.numpy()), jnp.asarray(data.train_labels.numpy())
        stacked = stack_parameters([experiment.network.build(experiment.init, seed) for seed in seeds])
        parameters = [jnp.asarray(parameter[0].numpy()) for parameter in stacked]
        first, second = ([jnp.zeros_like(each) for each in parameters] for _ in range(2))
        self._state: Any = (parameters, first, second, jnp.float32(0))
        activations = experiment.network.activations
        rate, is_adam = experiment.learning_rate, isinstance(experiment.optimizer, Adam)

        def loss(parameters: Any, images: Any, labels: Any) -> Any:
            *hidden, weight, bias = parameters
            outputs = images
            for below, offset, name in zip(hidden[::2], hidden[1::2], activations, strict=True):
                outputs = getattr(jax.nn, name)(outputs @ below + offset)
            log_softmax = jax.nn.log_softmax(outputs @ weight + bias)
            return -jnp.take_along_axis(log_softmax, labels[:, None], axis=1).mean()

        def step(state: Any, images: Any, labels: Any) -> Any:
            parameters, first, second, steps = state
            gradients = jax.grad(loss)(parameters, images, labels)
            if not is_adam:
                moved = [p - rate * g for p, g in zip(parameters, gradients, strict=True)]
                return moved, first, second, steps
            steps += 1
            first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
            second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
            first_rate, scale = rate / (1 - 0.9**steps), 1 / jnp.sqrt(1 - 0.999**steps)
            moved = [
                p - first_rate * m / (jnp.sqrt(v) * scale + 1e-8)
                for p, m, v in zip(parameters, first, second, strict=True)
            ]
            return moved, first, second, steps

        def epoch(state: Any, images: Any, labels: Any, batches: Any) -> Any:
            def on(state: Any, batch: Any) -> tuple[Any, None]:
                return step(state, images[batch], labels[batch]), None

            return jax.lax.scan(on, state, batches)[0]

        self._epoch = jax.jit(epoch, donate_argnums=0)

    def epoch(self, orders: Tensor, rates: NDArray[np.float64]) -> None:
        """Trains on the only row of `orders` (1, examples), int64; all `rates` are the experiment's."""
        batches = orders[0].numpy().reshape(-1, self._batch_size)
        self._state = self._epoch(self._state, *self._data, batches)
        self._jax.block_until_ready(self._state)

    def parameters(self) -> list[Tensor]:
        """Returns copies of the current parameters; see `network.stack_parameters`."""
        return [torch.tensor(np.asarray(parameter))[None] for parameter in self._state[0]]


PEERS = (
    Peer(
        "jax",
        Honours(
            {SGD: {"learning_rate"}, Adam: {"learning_rate"}}, activations={*_JAX}, without={"schedule"}
        ),
        Jax,
    ),
    Peer("torch.compile", replace(eager.HONOURS, without={"schedule"}), TorchCompile),
)


def ready(experiment: Experiment, data: Data, orders: Tensor) -> Iterator[tuple[Peer, Runner]]:
    """Yields the peers that run here, each after its first step, which compiles."""
    for peer in PEERS:
        if peer.Engine is Jax and find_spec("jax") is None:
            continue
        if reason := peer.HONOURS.refuses(experiment):
            print(f"{peer.NAME} is left out: {reason}", file=sys.stderr)
            continue
        try:
            runner = peer.Engine(experiment, data, (0,))
            runner.epoch(orders[:, : experiment.batch_size], experiment.constant_rates(1))
        except Exception as error:  # a compiler may raise anything, and engines are still measured
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"{peer.NAME} is left out: {reason}"[:200], file=sys.stderr)
            continue
        yield peer, runner
