"""Loss and accuracy of stacked replicates on a whole set of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from .network import forward

# Images a chunk: on a CPU as many as leave the activations in its caches (a whole MNIST
# training set in chunks of 1000 took 0.7 times as long as in chunks of 10,000, on two
# cores); on a GPU enough to fill it.
_CHUNK = {"cpu": 1000, "cuda": 20000}


@dataclass(frozen=True)
class Evaluation:
    """Per replicate: mean cross-entropy in nats, accuracies, and how often each class is predicted."""

    loss: NDArray[np.float64]  # (replicates,)
    accuracy: NDArray[np.float64]  # (replicates,)
    class_accuracy: NDArray[np.float64]  # (replicates, 10), of each class's own images
    predictions: NDArray[np.int64]  # (replicates, 10), counts


@torch.no_grad()
def evaluate(parameters: list[Tensor], images: Tensor, labels: Tensor) -> Evaluation:
    """Evaluates `parameters` (see `network.stack_parameters`) on images (n, 784) and labels (n,).

    A NaN among the logits counts as the prediction (as `torch.argmax` has it), so networks
    that are no longer finite have an accuracy too.
    """
    replicates = len(parameters[0])
    device = images.device
    loss = torch.zeros(replicates, dtype=torch.float64, device=device)
    hits = torch.zeros(replicates, 10, dtype=torch.int64, device=device)
    predictions = torch.zeros(replicates, 10, dtype=torch.int64, device=device)
    chunk = _CHUNK[device.type]
    for start in range(0, len(images), chunk):
        some_images, some_labels = images[start : start + chunk], labels[start : start + chunk]
        for replicate in range(replicates):
            logits = forward([p[replicate] for p in parameters], some_images)
            loss[replicate] += cross_entropy(logits, some_labels, reduction="sum").double()
            predicted = logits.argmax(dim=1)
            hits[replicate] += torch.bincount(some_labels[predicted == some_labels], minlength=10)
            predictions[replicate] += torch.bincount(predicted, minlength=10)
    return Evaluation(
        loss=(loss / len(images)).cpu().numpy(),
        accuracy=(hits.sum(dim=1).double() / len(images)).cpu().numpy(),
        class_accuracy=(hits.double() / torch.bincount(labels, minlength=10)).cpu().numpy(),
        predictions=predictions.cpu().numpy(),
    )
