"""The engine for small batches on a CPU: an epoch is one compiled loop, and a replicate has a core.

PyTorch's step on a small batch mostly starts its fifty operations. `kernels` holds the
compiled loop and says how it computes; here is what it needs around it.
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

if TYPE_CHECKING:  # Numba may be missing
    from numba.core.dispatcher import Dispatcher
    from numba.core.event import Event

    from .kernels import Network, Sparse

    _Train = Dispatcher[Callable[..., None]]

NAME = "numba"

_Replicate = Callable[[NDArray[np.uint32]], None]

# Its working memory is 12 kB for each example of a batch.
LARGEST_BATCH = 4096


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Why it cannot run this: not a CPU, a large batch, another network, or no Numba."""
    if device.type != "cpu":
        return f"it runs on a CPU, not on {device.type}"
    if experiment.batch_size > LARGEST_BATCH:
        return f"it takes batches of up to {LARGEST_BATCH}"
    try:
        from . import kernels
    except ImportError as error:
        return f"Numba is missing ({error})"
    except RuntimeError as error:
        return f"Numba finds no folder for its cache ({error}); NUMBA_CACHE_DIR can name one"
    compiled = (kernels.PIXELS, kernels.HIDDEN1, kernels.HIDDEN2, kernels.CLASSES)
    return None if compiled == SIZES else f"it is written for a network of {compiled}"


def cores(replicates: int, available: int) -> int:
    """One for every replicate."""
    return min(replicates, available)


class Engine:
    """Replicates side by side; each has all its arrays to itself, and so the result it has alone."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        from . import kernels

        images, labels = _sparse(data), data.train_labels.numpy()
        batch_size = min(experiment.batch_size, len(labels))
        trains: dict[str, _Train] = {"sgd": kernels.train_sgd, "adam": kernels.train_adam}
        train = trains[experiment.optimizer]
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
        """The replicates' parameters as they are now; see `network.stack_parameters`."""
        return [torch.stack(views) for views in zip(*map(_views, self._networks), strict=True)]


@lru_cache(maxsize=1)
def _sparse(data: Data) -> Sparse:
    """The training images without their zeros, a `Sparse`; made once for all engines on `data`."""
    from .kernels import Sparse

    images = data.train_images.numpy()
    rows, columns = np.nonzero(images)
    starts = np.zeros(len(images) + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=len(images)), out=starts[1:])
    return Sparse(starts, columns.astype(np.uint16), images[rows, columns])


def _padded(parameters: list[Tensor]) -> Network:
    """A `Network` of one replicate's stacked parameters (1, in, out) and (1, out)."""
    from .kernels import Network

    network = Network.zeros()
    for view, parameter in zip(_views(network), parameters, strict=True):
        view.copy_(parameter[0])
    return network


def _views(network: Network) -> list[Tensor]:
    """The parameters inside the padding: weights (in, out) and biases (out,), not copied."""
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
    """Has Numba load or compile `train` by a call of `replicate` without an example.

    One process at a time: four that start at once would all compile, and Numba writes the
    index of its cache before the code, so that one could load what an older source left there.
    """
    from numba.core import event

    class Announcement(event.Listener):
        """Numba's event of compiling does not come where it loads from its cache."""

        said = False

        def on_start(self, event: Event) -> None:
            if not self.said:
                print(
                    f"compiling the numba engine for {optimizer} (once per machine, about 10 s)",
                    file=sys.stderr,
                    flush=True,
                )
            self.said = True

        def on_end(self, event: Event) -> None:
            pass

    assert train.stats.cache_path is not None  # it is compiled with `cache`
    cache = Path(train.stats.cache_path)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "kernels.lock"), event.install_listener("numba:compile", Announcement()):
        replicate(np.zeros(0, np.uint32))
