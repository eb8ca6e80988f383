"""`train` runs an experiment on an engine and returns the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .data.mnist import Data
from .data.presentation_order import epoch_order
from .engines import choose_engine
from .evaluate import Evaluation, evaluate, joined
from .experiment import Experiment, Outcome, Training, classify_outcome
from .network import MLP
from .observers import LastEpoch, Observer
from .phases import phase
from .stopwatch import Stopwatch


def train(
    experiment: Experiment,
    data: Data,
    *,
    seeds: tuple[int, ...] = (0,),
    engine: str = "auto",
    observers: Sequence[Observer] = (),
    after_epoch: Callable[[int, Evaluation, Evaluation], None] = lambda *_: None,
) -> Training:
    """Trains `experiment` once per seed, on the device that `data` is on.

    Only the engine's epochs are timed, not preparing the engine, drawing orders, evaluating both sets
    after every epoch, observing, or calling `after_epoch`. `after_epoch` receives the number of epochs
    done and the evaluations of the training set and the test set. `observers` are called after the last
    epoch. The engine "auto" is the first that has proved itself here (see `engines.prove_engines`), or
    eager. Divergence is an outcome, not an error. Raises ValueError if no engine has the name `engine`,
    if it cannot run the experiment, or if `data` is not the experiment's data set.
    """
    if data.dataset != experiment.dataset:
        raise ValueError(f"the data are {data.dataset}; expected the experiment's {experiment.dataset}")
    chosen = choose_engine(engine, experiment, data.device)
    preparing, training = Stopwatch(data.device), Stopwatch(data.device)
    with phase("preparing"), preparing.running():
        runner = chosen.Engine(experiment, data, seeds)

    network, labels = experiment.network, data.train_labels.cpu().numpy()
    initial = runner.parameters()
    batch_size, rates_by_epoch = experiment.batch_size, experiment.rates(len(labels))
    epoch_seconds = [0.0]
    with phase("evaluating"):
        on_train, on_test = ([each] for each in _evaluate_initial(experiment, data, seeds, initial))
    for epoch in range(experiment.epochs):
        with phase("preparing"):
            orders = _orders(experiment, labels, seeds, epoch).to(data.device)
            rates = next(rates_by_epoch)
        checkpoints = [0, len(labels)]
        if epoch == experiment.epochs - 1:
            pauses = {at for each in observers for at in each.pauses(experiment, labels)}
            checkpoints = sorted({*checkpoints, *pauses})
        at_checkpoints = [on_test[-1]]
        for start, end in pairwise(checkpoints):
            with phase("training"), training.running():
                runner.epoch(orders[:, start:end], rates[start // batch_size : -(-end // batch_size)])
            parameters = runner.parameters()
            with phase("evaluating"):
                at_checkpoints.append(evaluate(network, parameters, data.test_images, data.test_labels))
        epoch_seconds.append(training.seconds)
        with phase("evaluating"):
            on_train.append(evaluate(network, parameters, data.train_images, data.train_labels))
        on_test.append(at_checkpoints[-1])
        after_epoch(epoch + 1, on_train[-1], on_test[-1])

    seen = LastEpoch(experiment, parameters, checkpoints, at_checkpoints)
    with phase("observing"):
        observed = {name: array for each in observers for name, array in each.observe(seen).items()}
    return Training(
        experiment=experiment,
        engine=chosen.NAME,
        device=str(data.device),
        seeds=tuple(seeds),
        steps=experiment.epochs * experiment.steps_per_epoch(len(labels)),
        prepare_seconds=preparing.seconds,
        epoch_seconds=np.array(epoch_seconds),
        train_loss=np.array([each.loss for each in on_train]),
        train_accuracy=np.array([each.accuracy for each in on_train]),
        test_loss=np.array([each.loss for each in on_test]),
        test_accuracy=np.array([each.accuracy for each in on_test]),
        predictions=on_test[-1].predictions.T,
        distance_from_initialisation=_distance(initial, parameters),
        observed=observed,
        outcomes=_outcomes(experiment, parameters, on_train[-1], on_test[-1]),
    )


# The evaluations of initial networks on the training set and the test set, by the data set, and by
# network, initialisation and seed: the rows of an exercise mostly start from the same network.
_Start: TypeAlias = tuple[MLP, str | float, int]
_initial: WeakKeyDictionary[Data, dict[_Start, tuple[Evaluation, Evaluation]]] = WeakKeyDictionary()


def _evaluate_initial(
    experiment: Experiment, data: Data, seeds: tuple[int, ...], parameters: list[Tensor]
) -> tuple[Evaluation, Evaluation]:
    """Evaluates the initial networks on the training set and the test set, each once per process."""
    network, kept = experiment.network, _initial.setdefault(data, {})
    found = []
    for replicate, seed in enumerate(seeds):
        start = (network, experiment.init, seed)
        if start not in kept:
            alone = [each[replicate : replicate + 1] for each in parameters]
            kept[start] = (
                evaluate(network, alone, data.train_images, data.train_labels),
                evaluate(network, alone, data.test_images, data.test_labels),
            )
        found.append(kept[start])
    on_train, on_test = zip(*found, strict=True)
    return joined(on_train), joined(on_test)


def _orders(
    experiment: Experiment, labels: NDArray[np.int64], seeds: tuple[int, ...], epoch: int
) -> Tensor:
    """Returns each replicate's presentation order in the epoch, int64 (replicates, examples)."""
    drawn = [epoch_order(experiment.order, labels, seed, epoch) for seed in seeds]
    return torch.from_numpy(np.stack(drawn))


def _distance(before: list[Tensor], after: list[Tensor]) -> NDArray[np.float64]:
    """Returns the Euclidean norm of each parameter's change, float64 (parameters, replicates)."""
    changes = [(now - then).flatten(1).double() for then, now in zip(before, after, strict=True)]
    return np.array([change.norm(dim=1).cpu().numpy() for change in changes])


def _outcomes(
    experiment: Experiment, parameters: list[Tensor], on_train: Evaluation, on_test: Evaluation
) -> tuple[Outcome, ...]:
    finite = torch.stack([each.isfinite().flatten(1).all(dim=1) for each in parameters]).all(dim=0)
    all_finite = finite.cpu().numpy() & np.isfinite(on_train.loss) & np.isfinite(on_test.loss)
    return tuple(
        classify_outcome(
            finite=bool(all_finite[replicate]),
            classes=on_test.predictions.shape[1],
            classes_predicted=int(np.count_nonzero(on_test.predictions[replicate])),
            test_accuracy=float(on_test.accuracy[replicate]),
            learned_from=experiment.dataset.learned_from,
        )
        for replicate in range(len(all_finite))
    )
