"""The distance of the mean of the next stochastic gradients from the full gradient, in either order.

The convergence proofs of SGD assume that, given the weights, the expectation of the stochastic
gradient is the full gradient (L. Bottou, F. E. Curtis, J. Nocedal, "Optimization Methods for
Large-Scale Machine Learning", SIAM Review 60 (2018), assumption 4.3). If it is, the mean of the
next k gradients at fixed weights approaches the full gradient as 1 / sqrt(k).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..data.mnist import Data
from ..data.presentation_order import epoch_order
from ..engines import choose_engine, prove_engines
from ..experiment import Experiment
from ..network import MLP
from ..optimizers import SGD
from ..subnormals import flushed

_CHUNK = 500  # examples per backward pass


@flushed()
def gradient_bias(
    order: str,
    data: Data,
    *,
    seed: int,
    learning_rate: float,
    checkpoints: list[float],
    counts: list[int],
) -> dict[str, Any]:
    """Trains at batch size 1 in `order`, and averages the next gradients at each of `checkpoints`.

    `checkpoints` are in epochs, ascending, and may be fractions; `counts` are the numbers k of gradients
    to average, ascending, at most an epoch. All gradients of a checkpoint are taken at its weights; the
    full gradient is that of the whole training set. Returns `checkpoints`, `counts`, and two arrays of
    shape (checkpoints, counts): `cosine`, of the angle between the mean of k gradients and the full
    gradient, and `relative_error`, the norm of their difference divided by the full gradient's norm.
    """
    experiment = Experiment(
        optimizer=SGD(learning_rate), batch_size=1, epochs=1, order=order, dataset=data.dataset
    )
    prove_engines(experiment, data)
    engine = choose_engine("auto", experiment, data.device).Engine(experiment, data, (seed,))
    network, labels = experiment.network, data.train_labels.cpu().numpy()
    examples = len(labels)
    epochs = int(max(checkpoints)) + 2
    stream = torch.from_numpy(
        np.concatenate([epoch_order(order, labels, seed, epoch) for epoch in range(epochs)])
    ).to(data.device)
    cosines, errors = [], []
    for before, checkpoint in pairwise([0, *checkpoints]):
        upto = stream[None, round(before * examples) : round(checkpoint * examples)]
        engine.epoch(upto, experiment.constant_rates(upto.shape[1]))
        weights = [parameter[0] for parameter in engine.parameters()]
        upcoming = stream[round(checkpoint * examples) :][:examples]
        means = _means(network, weights, data, upcoming, [*counts, examples])
        full = means.pop()
        if len(upcoming.unique()) < examples:  # they span two epochs, so they are not a permutation
            (full,) = _means(
                experiment.network, weights, data, upcoming.new_tensor(range(examples)), [examples]
            )
        cosines.append([float(mean @ full / (mean.norm() * full.norm())) for mean in means])
        errors.append([float((mean - full).norm() / full.norm()) for mean in means])
    return {"checkpoints": checkpoints, "counts": counts, "cosine": cosines, "relative_error": errors}


def _means(
    network: MLP, weights: list[Tensor], data: Data, indices: Tensor, counts: list[int]
) -> list[Tensor]:
    """Returns, for each k of `counts`, the mean gradient of the first k examples, flat, float64."""
    weights = [weight.detach().clone().requires_grad_() for weight in weights]
    total = torch.zeros(sum(w.numel() for w in weights), dtype=torch.float64, device=data.device)
    means = []
    for start, end in pairwise([0, *counts]):
        for chunk in indices[start:end].split(_CHUNK):
            logits = network.forward(weights, data.train_images[chunk])
            loss = cross_entropy(logits, data.train_labels[chunk], reduction="sum")
            total += torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
        means.append(total / end)
    return means
