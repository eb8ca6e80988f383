"""Loss and accuracy of stacked replicates on a whole set of images.

On a CPU, the engine `numba`'s compiled forward pass evaluates if it can run; otherwise PyTorch does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from .engines.numba_loop.compilation import numba_unavailable, refuses_size
from .engines.numba_loop.evaluation import tally as compiled_tally
from .network import MLP, stack_parameters
from .subnormals import flushed
from .values import one_line

# Images per chunk. On a CPU, few enough that the activations stay in cache (MNIST's training
# set took 0.7 times as long in chunks of 1000 as in chunks of 10,000, on two cores); on a GPU,
# enough to keep it busy.
_CHUNK = {"cpu": 1000, "cuda": 20000}


@dataclass(frozen=True)
class Evaluation:
    """Per replicate: mean cross-entropy in nats, accuracies, and the predictions of each class."""

    loss: NDArray[np.float64]  # (replicates,)
    accuracy: NDArray[np.float64]  # (replicates,)
    class_accuracy: NDArray[np.float64]  # (replicates, classes), on the examples of each class
    predictions: NDArray[np.int64]  # (replicates, classes), counts


def joined(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Returns the evaluations of several sets of replicates as one."""
    parts = ([getattr(each, field.name) for each in evaluations] for field in fields(Evaluation))
    return Evaluation(*map(np.concatenate, parts))


@flushed()
@torch.no_grad()
def evaluate(network: MLP, parameters: list[Tensor], images: Tensor, labels: Tensor) -> Evaluation:
    """Evaluates `parameters` (see `network.stack_parameters`) on images (n, inputs) and labels (n,).

    `torch.argmax` treats NaN as the largest logit, so networks that are not finite have an accuracy too.
    """
    tallies = [
        (compiled_tally if _compiled(network, each, images) else _tally)(network, each, images, labels)
        for each in map(list, zip(*parameters, strict=True))
    ]
    loss, hits, predictions = (torch.stack(each) for each in zip(*tallies, strict=True))
    return Evaluation(
        loss=(loss / len(images)).cpu().numpy(),
        accuracy=(hits.sum(dim=1).double() / len(images)).cpu().numpy(),
        class_accuracy=(hits.double() / torch.bincount(labels, minlength=network.classes)).cpu().numpy(),
        predictions=predictions.cpu().numpy(),
    )


def _compiled(network: MLP, parameters: list[Tensor], images: Tensor) -> bool:
    """Returns whether the compiled forward pass is used: it skips zeros, so all must be finite."""
    holds = images.device.type == "cpu" and _compiled_holds(network)
    return holds and all(bool(each.isfinite().all()) for each in parameters)


@cache
def _compiled_holds(network: MLP) -> bool:
    """Returns whether the compiled forward pass runs here and agrees with PyTorch's; tried once."""
    if numba_unavailable() is not None or refuses_size(network) is not None:
        return False
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(50, network.inputs, generator=generator).sub(0.8).relu()
    labels = torch.randint(network.classes, (50,), generator=generator)
    parameters = [parameter[0] for parameter in stack_parameters([network.build("default", 0)])]
    try:
        loss, *_ = compiled_tally(network, parameters, images, labels)
    except Exception as error:  # whatever it raises, training must not fail
        reason = f"it raised {type(error).__name__}: {one_line(error)}"
    else:
        reference, *_ = _tally(network, parameters, images, labels)
        if abs(loss - reference) < 1e-5 * reference:
            return True
        reason = f"its loss is {loss:.6f}, PyTorch's is {reference:.6f}"
    print(f"the compiled evaluation is not used, PyTorch evaluates: {reason}", file=sys.stderr)
    return False


def _tally(
    network: MLP, parameters: list[Tensor], images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns one replicate's summed loss (float64), hits and predictions by class, from PyTorch."""
    classes = network.classes
    loss = torch.zeros((), dtype=torch.float64, device=images.device)
    hits, predictions = torch.zeros(2, classes, dtype=torch.int64, device=images.device)
    size = _CHUNK[images.device.type]
    for chunk_images, chunk_labels in zip(images.split(size), labels.split(size), strict=True):
        logits = network.forward(parameters, chunk_images)
        loss += cross_entropy(logits, chunk_labels, reduction="sum").double()
        predicted = logits.argmax(dim=1)
        hits += torch.bincount(chunk_labels[predicted == chunk_labels], minlength=classes)
        predictions += torch.bincount(predicted, minlength=classes)
    return loss, hits, predictions
