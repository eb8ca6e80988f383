"""One training of a row, in a session's process or on a cluster's node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from model.data.mnist import Data
from model.experiment import Experiment, Training
from model.observers import LastEpoch, Observer
from model.train import train as train_model

from .evenness import is_spoilt


def train_evenly(
    experiment: Experiment,
    data: Data,
    *,
    observers: Sequence[Observer],
    exclusive: bool,
    keep_parameters: bool,
    train: Callable[..., Training] = train_model,
    **options: Any,
) -> tuple[Training, list[Tensor]]:
    """Trains; returns the training and its final parameters, stacked, or none if they are not kept.

    If other processes have spoilt the time of a training with exclusive timing, times it again.
    `options` are `train`'s.
    """

    def trained() -> tuple[Training, list[Tensor]]:
        final: list[Tensor] = []

        def keep(seen: LastEpoch) -> dict[str, Any]:
            final.extend(seen.parameters)
            return {}

        keepers = [Observer(keep)] if keep_parameters else []
        return train(experiment, data, observers=[*observers, *keepers], **options), final

    found = trained()
    if exclusive and is_spoilt(found[0].epoch_seconds):
        # The same results, timed again; other processes have delayed one of the two less.
        found = min(found, trained(), key=lambda of: of[0].seconds)
    return found
