"""How far the next stochastic gradients' mean is from the full gradient, along either order.

The convergence proofs of SGD ask of the stochastic gradient that, given the weights, its
expectation is the full gradient (L. Bottou, F. E. Curtis, J. Nocedal, "Optimization Methods for
Large-Scale Machine Learning", SIAM Review 60 (2018), assumption 4.3). Where that is so, the
mean of the next k gradients at fixed weights comes nearer to the full one as 1 / sqrt(k).
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
from ..network import forward

_CHUNK = 500  # examples a backward pass


def gradient_bias(
    order: str,
    data: Data,
    *,
    seed: int,
    learning_rate: float,
    checkpoints: list[float],
    counts: list[int],
) -> dict[str, Any]:
    """Trains at batch size 1 along `order`, and at each of `checkpoints` looks at the gradients to come.

    `checkpoints` are epochs trained, ascending, fractions too; `counts` are the numbers k of gradients
    to average, ascending, an epoch at most. All gradients of a checkpoint are at its weights, and the
    full gradient is that of the whole training set. Returns `checkpoints`, `counts`
    and, each of shape (checkpoints, counts), `cosine` between that mean and the full gradient and
    `relative_error`, the norm of their difference over the full gradient's.
    """
    experiment = Experiment(
        learning_rate=learning_rate, batch_size=1, epochs=1, order=order, dataset=data.name
    )
    prove_engines(experiment, data)
    engine = choose_engine("auto", experiment, data.device).Engine(experiment, data, (seed,))
    labels = data.train_labels.cpu().numpy()
    examples = len(labels)
    epochs = int(max(checkpoints)) + 2
    stream = torch.from_numpy(
        np.concatenate([epoch_order(order, labels, seed, epoch) for epoch in range(epochs)])
    ).to(data.device)
    cosines, errors = [], []
    for before, checkpoint in pairwise([0, *checkpoints]):
        engine.epoch(stream[None, round(before * examples) : round(checkpoint * examples)])
        weights = [parameter[0] for parameter in engine.parameters()]
        to_come = stream[round(checkpoint * examples) :][:examples]
        means = _means(weights, data, to_come, [*counts, examples])
        full = means.pop()
        if len(to_come.unique()) < examples:  # parts of two epochs' orders
            (full,) = _means(weights, data, to_come.new_tensor(range(examples)), [examples])
        cosines.append([float(mean @ full / (mean.norm() * full.norm())) for mean in means])
        errors.append([float((mean - full).norm() / full.norm()) for mean in means])
    return {"checkpoints": checkpoints, "counts": counts, "cosine": cosines, "relative_error": errors}


def _means(weights: list[Tensor], data: Data, indices: Tensor, counts: list[int]) -> list[Tensor]:
    """The mean of the first k examples' gradients for each k of `counts`, flat, in float64."""
    weights = [weight.detach().clone().requires_grad_() for weight in weights]
    total = torch.zeros(sum(w.numel() for w in weights), dtype=torch.float64, device=data.device)
    means = []
    for start, end in pairwise([0, *counts]):
        for some in indices[start:end].split(_CHUNK):
            logits = forward(weights, data.train_images[some])
            loss = cross_entropy(logits, data.train_labels[some], reduction="sum")
            total += torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
        means.append(total / end)
    return means
