"""Whether the training loss is convex between a network and a copy with its hidden units permuted."""

from __future__ import annotations

import torch

from ..data.mnist import Data
from ..data.presentation_order import epoch_order
from ..engines import choose_engine, prove_engines
from ..evaluate import evaluate
from ..experiment import Experiment
from ..optimizers import SGD


def losses_between_copies(
    data: Data, *, seed: int, learning_rate: float, steps: int
) -> dict[str, float]:
    """Returns the mean training loss at a network, at a copy with its hidden units reversed, and midway.

    The network is trained for `steps` steps at batch size 1, at most an epoch. The copy computes the
    same function, so if the loss were convex, it would be no higher midway. The losses are named `here`,
    `copy` and `midway`, in nats.
    """
    experiment = Experiment(optimizer=SGD(learning_rate), batch_size=1, epochs=1, dataset=data.dataset)
    prove_engines(experiment, data)
    engine = choose_engine("auto", experiment, data.device).Engine(experiment, data, (seed,))
    order = epoch_order("shuffled", data.train_labels.cpu().numpy(), seed, 0)[:steps]
    engine.epoch(torch.from_numpy(order).to(data.device)[None], experiment.constant_rates(len(order)))
    here = engine.parameters()
    # Reversing a layer's units reverses its weights' columns, its biases, and the next weights' rows.
    copy = [*here]
    for weight in range(0, len(here) - 2, 2):
        copy[weight], copy[weight + 1] = copy[weight].flip(2), copy[weight + 1].flip(1)
        copy[weight + 2] = copy[weight + 2].flip(1)
    midway = [(a + b) / 2 for a, b in zip(here, copy, strict=True)]
    network = experiment.network
    return {
        name: float(evaluate(network, parameters, data.train_images, data.train_labels).loss[0])
        for name, parameters in (("here", here), ("copy", copy), ("midway", midway))
    }
