"""The engine for small batches on a CPU: an epoch is one compiled loop, with a core per replicate.

On a small batch, PyTorch spends most of a step on dispatching its fifty operations. `kernels` holds
the compiled loop and documents how it computes; this module compiles and runs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from ...data.mnist import Data
from ...experiment import Experiment
from ...network import SIZES, build_network, stack_parameters
from ...subnormals import flushed
from ..error import refused_optimizer

if TYPE_CHECKING:  # Numba may be missing
    from numba.core.dispatcher import Dispatcher
    from numba.core.event import Event

    from .kernels import Network, Sparse

    _Train = Dispatcher[Callable[..., None]]

NAME = "numba"

_Replicate = Callable[[NDArray[np.uint32]], None]

# The largest batch that it accepts: its workspace is 12 kB per example of a batch.
LARGEST_BATCH = 4096


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Why it cannot run this: the device, batch size, network or optimizer, or no Numba."""
    if device.type != "cpu":
        return f"it runs on a CPU, not on {device.type}"
    if experiment.batch_size > LARGEST_BATCH:
        return f"it takes batches of up to {LARGEST_BATCH}"
    try:
        from . import kernels
    except ImportError as error:
        return f"Numba is missing ({error})"
    except RuntimeError as error:
        return f"Numba has no writable folder for its cache ({error}); set NUMBA_CACHE_DIR to one"
    compiled = (kernels.PIXELS, kernels.HIDDEN1, kernels.HIDDEN2, kernels.CLASSES)
    if compiled != SIZES:
        return f"it is written for a network of {compiled}"
    return refused_optimizer(experiment.optimizer, _optimizers())


def cores(replicates: int, available: int) -> int:
    """One per replicate, at most `available`."""
    return min(replicates, available)


class Engine:
    """Trains replicates in parallel; they share no array that changes, so none affects another."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        from . import kernels

        images, labels = _sparse(data), data.train_labels.numpy()
        batch_size = min(experiment.batch_size, len(labels))
        train = _optimizers()[experiment.optimizer]
        self._networks = [
            _padded(stack_parameters([build_network(experiment.init, seed)])) for seed in seeds
        ]
        self._replicates: list[_Replicate] = [
            partial(
                train,
                images,
                labels,
                batch_size,
                experiment.learning_rate,
                network,
                kernels.Batch.zeros(batch_size),
                *([kernels.Adam.zeros()] if experiment.optimizer == "adam" else []),
            )
            for network in self._networks
        ]
        if not train.signatures:
            _compile(experiment.optimizer, train, self._replicates[0])

    @flushed()
    def epoch(self, orders: Tensor) -> None:
        """Trains every replicate on its row of `orders` (replicates, examples), int64."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            trained = [
                pool.submit(replicate, order)
                for replicate, order in zip(
                    self._replicates, orders.numpy().astype(np.uint32), strict=True
                )
            ]
        for future in trained:
            future.result()

    def parameters(self) -> list[Tensor]:
        """Copies of the replicates' current parameters; see `network.stack_parameters`."""
        return [torch.stack(views) for views in zip(*map(_views, self._networks), strict=True)]


def _optimizers() -> dict[str, _Train]:
    """The compiled epoch of each optimizer."""
    from . import kernels

    return {"sgd": kernels.train_sgd, "adam": kernels.train_adam}


@lru_cache(maxsize=1)
def _sparse(data: Data) -> Sparse:
    """The training images as a `Sparse` matrix; cached, so that all engines on `data` share it."""
    from .kernels import Sparse

    images = data.train_images.numpy()
    rows, columns = np.nonzero(images)
    starts = np.zeros(len(images) + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=len(images)), out=starts[1:])
    return Sparse(starts, columns.astype(np.uint16), images[rows, columns])


def _padded(parameters: list[Tensor]) -> Network:
    """A `Network`, padded, from one replicate's stacked parameters (1, in, out) and (1, out)."""
    from .kernels import Network

    network = Network.zeros()
    for view, parameter in zip(_views(network), parameters, strict=True):
        view.copy_(parameter[0])
    return network


def _views(network: Network) -> list[Tensor]:
    """Views of the parameters inside the padding: weights (in, out) and biases (out,)."""
    pixels, hidden1, hidden2, classes = SIZES
    weight1, bias1, weight2, bias2, weight3, bias3 = map(torch.from_numpy, network)
    return [
        weight1[:pixels, :hidden1],
        bias1[0, :hidden1],
        weight2[:hidden1, :hidden2],
        bias2[0, :hidden2],
        weight3[:classes, :hidden2].T,
        bias3[0, :classes],
    ]


def _compile(optimizer: str, train: _Train, replicate: _Replicate) -> None:
    """Makes Numba load or compile `train`, by calling `replicate` on no examples.

    One process at a time: several that start at once would all compile, and Numba writes its
    cache's index before the code, so one could load code that an older source left there.
    """
    from numba.core import event

    class Announcement(event.Listener):
        """Announces a compilation; Numba sends no event when it loads from its cache."""

        announced = False

        def on_start(self, event: Event) -> None:
            if not self.announced:
                print(
                    f"compiling the numba engine for {optimizer} (once per machine, about 10 s)",
                    file=sys.stderr,
                    flush=True,
                )
            self.announced = True

        def on_end(self, event: Event) -> None:
            pass

    assert train.stats.cache_path is not None  # it is compiled with `cache=True`
    cache = Path(train.stats.cache_path)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "kernels.lock"), event.install_listener("numba:compile", Announcement()):
        replicate(np.zeros(0, np.uint32))
