"""MNIST and data sets of its shape, held entirely on one device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .download import FILES, ensure_downloaded
from .torchvision_mnist import mnist_module


@dataclass(frozen=True, eq=False)
class Data:
    """A data set on one device.

    Images are float32 in [0, 1], flattened to (examples, 784); labels are int64 (examples,).
    They are not standardised: with this scaling, batch size 1 collapses as in the assignment's
    Table 1.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def device(self) -> torch.device:
        return self.train_images.device


@cache
def load(dataset: str, root: Path, device: torch.device) -> Data:
    """The data set (see `experiment.DATASETS`) from `root`, downloaded if missing; cached per process.

    Raises `download.DataError` if its files have the wrong digests, or cannot be read or downloaded.
    """
    raw = ensure_downloaded(dataset, root)
    reader = mnist_module()
    # torchvision's readers rather than its data set class, which would prefer a
    # `processed/training.pt` left by an old version, for which no digest is known.
    train_images, train_labels, test_images, test_labels = (
        (reader.read_image_file if "images" in name else reader.read_label_file)(str(raw / name))
        for name in FILES
    )
    return Data(
        dataset,
        _flatten(train_images.to(device)),
        train_labels.to(device),
        _flatten(test_images.to(device)),
        test_labels.to(device),
    )


def _flatten(images: Tensor) -> Tensor:
    return images.reshape(len(images), -1).float().div_(255)
