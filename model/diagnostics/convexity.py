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
    """The mean training loss at a network, at a copy with its hidden units reversed, and midway.

    The network is trained for `steps` steps at batch size 1, at most an epoch. The copy computes the
    same function, so if the loss were convex, it would be no higher midway. Returns `here`, `copy`
    and `midway`, in nats.
    """
    experiment = Experiment(optimizer=SGD(learning_rate), batch_size=1, epochs=1, dataset=data.name)
    prove_engines(experiment, data)
    engine = choose_engine("auto", experiment, data.device).Engine(experiment, data, (seed,))
    order = epoch_order("shuffled", data.train_labels.cpu().numpy(), seed, 0)[:steps]
    engine.epoch(torch.from_numpy(order).to(data.device)[None])
    here = engine.parameters()
    weight1, bias1, weight2, bias2, weight3, bias3 = here
    # Reversing a layer's units reverses its weights' columns, its biases, and the next weights' rows.
    copy = [
        weight1.flip(2),
        bias1.flip(1),
        weight2.flip(1).flip(2),
        bias2.flip(1),
        weight3.flip(1),
        bias3,
    ]
    midway = [(a + b) / 2 for a, b in zip(here, copy, strict=True)]
    return {
        name: float(evaluate(parameters, data.train_images, data.train_labels).loss[0])
        for name, parameters in (("here", here), ("copy", copy), ("midway", midway))
    }
