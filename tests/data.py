"""A small made-up data set like MNIST, so that nothing is downloaded."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from model.data.mnist import Data
from model.dataset import MNIST
from model.experiment import Experiment, Training
from model.network import MLP
from model.optimizers import SGD, Adam

NAMED = {"sgd": SGD, "adam": Adam}
# One more than a power of two, so that the last batch is shorter for every size from 2.
EXAMPLES = 1025
NETWORK = MLP()
PARAMETERS = NETWORK.parameter_names


def build_network(init, seed):
    """Returns the assignment's network."""
    return NETWORK.build(init, seed)


@cache
def made_up() -> Data:
    """Returns ten classes of strokes: pixels that most images of a class have, and some random ones."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(EXAMPLES) % 10)
    strokes = rng.random((10, 784)) < 0.25
    strokes[:, :100] = False  # lit in no image, like MNIST's first and last rows
    seen = np.where(strokes[labels], 0.7, 0.01)
    images = rng.integers(1, 256, (EXAMPLES, 784)) / 255 * (rng.random((EXAMPLES, 784)) < seen)
    assert 0.75 < np.mean(images == 0) < 0.85
    images, labels = torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)
    return Data(MNIST, images, labels, images[:500], labels[:500])


def first(examples: int) -> Data:
    """Returns the first training examples and the whole test set."""
    data = made_up()
    images, labels = data.train_images[:examples], data.train_labels[:examples]
    return Data(data.dataset, images, labels, data.test_images, data.test_labels)


def spoilt(value: float) -> Data:
    """Returns a hundred training examples, one of which has a pixel of that value."""
    few = first(100)
    images = few.train_images.clone()
    images[7, 300] = value
    return Data(few.dataset, images, few.train_labels, few.test_images, few.test_labels)


@cache
def made_up_on(device: torch.device) -> Data:
    """Returns the data set on the device."""
    data = made_up()
    tensors = (data.train_images, data.train_labels, data.test_images, data.test_labels)
    return Data(data.dataset, *(tensor.to(device) for tensor in tensors))


def made_up_training(experiment: Experiment, seeds: tuple[int, ...], **fields) -> Training:
    """Returns a made-up training, whose arrays are 0 except for `fields`."""
    count, points = len(seeds), experiment.epochs + 1
    blank = dict.fromkeys(
        ("train_loss", "train_accuracy", "test_loss", "test_accuracy"), np.zeros((points, count))
    )
    return Training(
        **{
            "experiment": experiment,
            "engine": "eager",
            "device": "cpu",
            "seeds": seeds,
            "steps": experiment.epochs,
            "prepare_seconds": 0.0,
            "epoch_seconds": np.zeros(points),
            **blank,
            "predictions": np.zeros((10, count), dtype=int),
            "distance_from_initialisation": np.ones((6, count)),
            "observed": {"unit_spread": np.ones((2, count))},
            "outcomes": ("learned",) * count,
            **fields,
        }
    )
