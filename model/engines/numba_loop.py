"""The engine for small batches on a CPU: compiled by Numba, a replicate to a core.

PyTorch's loop spends most of a small batch's step on starting some fifty operations; here an
epoch is one compiled loop. See `numba_kernels` for how it computes.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..experiment import Experiment
from ..mnist import Data
from ..network import SIZES, build, stack

NAME = "numba"


def refuses(experiment: Experiment, device: torch.device) -> str | None:
    """Why this cannot run: it is not a CPU, or Numba is missing."""
    if device.type != "cpu":
        return f"it runs on a CPU, not on {device.type}"
    try:
        from . import numba_kernels  # noqa: F401
    except ImportError as error:
        return f"numba cannot be imported ({error})"
    return None


def cores(replicates: int, available: int) -> int:
    """One for every replicate."""
    return min(replicates, available)


class Engine:
    """Replicates side by side, each in the order of its own examples and on one core alone."""

    def __init__(self, experiment: Experiment, data: Data, seeds: tuple[int, ...]):
        from . import numba_kernels

        self._images = _sparse(data)
        self._labels = data.train_labels.numpy()
        batch_size = min(experiment.batch_size, len(self._labels))
        self._train = numba_kernels.train_sgd
        self._replicates = []
        for seed in seeds:
            network = _zeros()
            for padded, parameter in zip(network, stack([build(experiment.init, seed)]), strict=True):
                own = parameter[0] if parameter.dim() == 3 else parameter
                if padded.shape[0] == SIZES[3]:
                    own = own.T
                padded[: own.shape[0], : own.shape[1]] = own
            extra = [_batch(batch_size), experiment.learning_rate]
            if experiment.optimizer == "adam":
                self._train = numba_kernels.train_adam
                extra += [_zeros(), _zeros(), _zeros(), np.zeros(SIZES[0], bool), 0]
            self._replicates.append([batch_size, self._images, self._labels, network, *extra])
        self._adam = experiment.optimizer == "adam"
        self._batch_size = batch_size
        self._pool = ThreadPoolExecutor(torch.get_num_threads())
        self._train(np.zeros(0, np.uint32), *self._replicates[0])

    def epoch(self, orders: Tensor) -> None:
        orders = orders.numpy().astype(np.uint32)
        list(self._pool.map(lambda a: self._train(a[0], *a[1]), zip(orders, self._replicates)))
        if self._adam:
            for r in self._replicates:
                r[-1] += -(-orders.shape[1] // self._batch_size)

    def parameters(self) -> list[Tensor]:
        out = []
        for i in range(6):
            ps = []
            for r in self._replicates:
                p = torch.from_numpy(r[3][i])
                if i == 4:
                    p = p.T
                a, b = SIZES[i // 2], SIZES[i // 2 + 1]
                ps.append(p[:a, :b].clone() if i % 2 == 0 else p[0, :b].clone())
            out.append(torch.stack(ps))
        return out


def _z(*s, dt=torch.float32):
    return torch.zeros(*s, dtype=dt).numpy()


def _zeros():
    from . import numba_kernels as K

    z = _z
    return K.Network(z(784, 304), z(1, 304), z(300, 112), z(1, 112), z(10, 112), z(1, 16))


def _batch(B):
    from . import numba_kernels as K

    z = _z

    def sp(n, e):
        return K.Sparse(z(n + 1, dt=torch.uint32), z(e, dt=torch.uint16), z(e))

    return K.Batch(
        sp(B, B * 300 + 1), z(B, 112), z(B, 304), z(B, 112), z(B, 16), sp(784, B * 784), sp(300, B * 300)
    )


@lru_cache(maxsize=1)
def _sparse(data: Data):
    from .numba_kernels import Sparse

    images = data.train_images.numpy()
    rows, columns = np.nonzero(images)
    starts = np.zeros(len(images) + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=len(images)), out=starts[1:])
    return Sparse(starts, columns.astype(np.uint16), images[rows, columns])
