"""Loss and accuracy of stacked replicates on a whole set of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from .network import forward
from .subnormals import flushed

# Images per chunk. On a CPU, few enough that the activations stay in cache (MNIST's training
# set took 0.7 times as long in chunks of 1000 as in chunks of 10,000, on two cores); on a GPU,
# enough to keep it busy.
_CHUNK = {"cpu": 1000, "cuda": 20000}


@dataclass(frozen=True)
class Evaluation:
    """Per replicate: mean cross-entropy in nats, accuracies, and how often each class is predicted."""

    loss: NDArray[np.float64]  # (replicates,)
    accuracy: NDArray[np.float64]  # (replicates,)
    class_accuracy: NDArray[np.float64]  # (replicates, 10), on the images of each class
    predictions: NDArray[np.int64]  # (replicates, 10), counts


@flushed()
@torch.no_grad()
def evaluate(parameters: list[Tensor], images: Tensor, labels: Tensor) -> Evaluation:
    """Evaluates `parameters` (see `network.stack_parameters`) on images (n, 784) and labels (n,).

    `torch.argmax` treats NaN as the largest logit, so networks that are no longer finite have an
    accuracy too.
    """
    replicates = len(parameters[0])
    device = images.device
    loss = torch.zeros(replicates, dtype=torch.float64, device=device)
    hits = torch.zeros(replicates, 10, dtype=torch.int64, device=device)
    predictions = torch.zeros(replicates, 10, dtype=torch.int64, device=device)
    size = _CHUNK[device.type]
    for start in range(0, len(images), size):
        chunk_images, chunk_labels = images[start : start + size], labels[start : start + size]
        for replicate in range(replicates):
            logits = forward([p[replicate] for p in parameters], chunk_images)
            loss[replicate] += cross_entropy(logits, chunk_labels, reduction="sum").double()
            predicted = logits.argmax(dim=1)
            hits[replicate] += torch.bincount(chunk_labels[predicted == chunk_labels], minlength=10)
            predictions[replicate] += torch.bincount(predicted, minlength=10)
    return Evaluation(
        loss=(loss / len(images)).cpu().numpy(),
        accuracy=(hits.sum(dim=1).double() / len(images)).cpu().numpy(),
        class_accuracy=(hits.double() / torch.bincount(labels, minlength=10)).cpu().numpy(),
        predictions=predictions.cpu().numpy(),
    )
