"""A data set, held entirely on one device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ..dataset import Dataset
from .download import ensure_downloaded, files
from .idx import read_idx


@dataclass(frozen=True, eq=False)
class Data:
    """A data set on one device.

    Images are float32, flattened to (examples, inputs); labels are int64 (examples,). The pixels of a
    data set that is loaded by its name are in [0, 1] and not standardised: with this scaling, batch size
    1 collapses as in the assignment's Table 1.
    """

    dataset: Dataset
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def device(self) -> torch.device:
        return self.train_images.device


@cache
def load(dataset: Dataset, root: Path, device: torch.device) -> Data:
    """Returns the data set, cached per process: from `root`, downloaded if missing, or your own.

    Raises `download.DataError` if its files have the wrong digests, or cannot be read or downloaded.
    """
    if dataset.digest is not None:
        return Data(dataset, *(torch.from_numpy(each).to(device) for each in dataset.arrays()))
    raw = ensure_downloaded(dataset.name, root)
    train_images, train_labels, test_images, test_labels = (
        torch.tensor(read_idx(raw / name), device=device) for name in files(dataset.name)
    )
    first = int(test_labels.min())  # 1 in EMNIST's letters
    return Data(
        dataset,
        _flatten(train_images),
        train_labels.long() - first,
        _flatten(test_images),
        test_labels.long() - first,
    )


def prepare(dataset: Dataset, root: Path) -> None:
    """Downloads and verifies the data set's files, if it has any; raises DataError as `load` does."""
    if dataset.digest is None:
        ensure_downloaded(dataset.name, root)


def _flatten(images: Tensor) -> Tensor:
    return images.reshape(len(images), -1).float().div_(255)
