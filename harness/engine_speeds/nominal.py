"""What a row's training costs, as far as its experiment alone says: the same on every machine.

For dividing rows among machines that do not know each other. The times are those of one core of an AMD
EPYC, from the published `speed.json`; only their ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model.engines import ENGINES, eager
from model.experiment import Experiment

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class _Costs:
    """Seconds of an engine's step."""

    step: float
    weight_and_example: float
    """For each parameter of the network and example of a batch."""
    weight: float
    """For each parameter that the optimizer moves whatever its gradient."""


_EAGER = _Costs(step=350e-6, weight_and_example=65e-12, weight=2.4e-9)
_COMPILED = _Costs(step=0, weight_and_example=27e-12, weight=0.4e-9)
_EVALUATION = 8e-12  # for each parameter and example of both sets, after each epoch


def nominal_seconds(experiment: Experiment, engine: str) -> float:
    """Returns the seconds of training and evaluating one replicate with `--engine ENGINE`.

    "auto" is taken to be the first engine that does not refuse the experiment on a CPU.
    """
    if engine == "auto":
        able = (each.NAME for each in ENGINES if each.refuses(experiment, _CPU) is None)
        engine = next(able, eager.NAME)
    costs = _EAGER if engine == eager.NAME else _COMPILED
    weights, examples = experiment.network.parameter_count, experiment.dataset.examples
    moved = weights if experiment.optimizer.moves_all else 0
    steps = experiment.steps_per_epoch(examples)
    training = (
        steps * (costs.step + moved * costs.weight) + examples * weights * costs.weight_and_example
    )
    both_sets = examples * 7 / 6  # close enough for any data set
    return experiment.epochs * (training + both_sets * weights * _EVALUATION)
