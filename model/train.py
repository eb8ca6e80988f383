"""`train`: from an experiment to its training, by whichever engine."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from .data.mnist import Data
from .data.presentation_order import epoch_order
from .diagnostics.unit_symmetry import unit_spread, weight_ranks
from .engines import choose_engine
from .evaluate import Evaluation, evaluate
from .experiment import Experiment, Training, classify_outcome
from .stopwatch import Stopwatch


def train(
    experiment: Experiment,
    data: Data,
    *,
    seeds: tuple[int, ...] = (0,),
    engine: str = "auto",
    after_epoch: Callable[[int, Evaluation, Evaluation], None] = lambda *_: None,
) -> Training:
    """Trains `experiment` once per seed, on the device that `data` is on.

    The clock runs while the engine runs epochs. Making the engine ready, drawing the orders
    and evaluating all replicates on the training and test set after every epoch are outside;
    so are looks at the test accuracy per class along the last epoch of a sorted stream.
    `after_epoch` is told, outside as well, how many epochs are done, and the evaluations of the
    training and the test set. Divergence is a result like any other. Raises ValueError where
    `engine` names none that can run this, or `data` is another data set than the experiment's.
    """
    if data.name != experiment.dataset:
        raise ValueError(f"the experiment is on {experiment.dataset}, the data are {data.name}")
    chosen = choose_engine(engine, experiment, data.device)

    preparing = Stopwatch(data.device)
    with preparing.running():
        runner = chosen.Engine(experiment, data, seeds)

    training = Stopwatch(data.device)
    labels = data.train_labels.cpu().numpy()
    epoch_seconds = [0.0]
    initial = runner.parameters()
    on_train = [evaluate(initial, data.train_images, data.train_labels)]
    on_test = [evaluate(initial, data.test_images, data.test_labels)]
    checkpoint_examples, checkpoint_class_accuracy = [0], []
    for epoch in range(experiment.epochs):
        last = epoch == experiment.epochs - 1
        if last:
            checkpoint_class_accuracy.append(on_test[-1].class_accuracy.T)
        orders = torch.from_numpy(
            np.stack([epoch_order(experiment.order, labels, seed, epoch) for seed in seeds])
        ).to(data.device)
        for start, end in pairwise(_cuts(experiment, labels, last)):
            with training.running():
                runner.epoch(orders[:, start:end])
            parameters = runner.parameters()
            tested = evaluate(parameters, data.test_images, data.test_labels)
            if last:
                checkpoint_examples.append(end)
                checkpoint_class_accuracy.append(tested.class_accuracy.T)
        epoch_seconds.append(training.seconds)
        on_train.append(evaluate(parameters, data.train_images, data.train_labels))
        on_test.append(tested)
        after_epoch(epoch + 1, on_train[-1], on_test[-1])

    finite = (
        torch.stack([p.isfinite().flatten(1).all(dim=1) for p in parameters]).all(dim=0).cpu().numpy()
    )
    finite = finite & np.isfinite(on_train[-1].loss) & np.isfinite(on_test[-1].loss)
    return Training(
        experiment=experiment,
        engine=chosen.NAME,
        device=str(data.device),
        seeds=tuple(seeds),
        steps=experiment.epochs * experiment.steps_per_epoch(len(labels)),
        prepare_seconds=preparing.seconds,
        epoch_seconds=np.array(epoch_seconds),
        train_loss=np.array([e.loss for e in on_train]),
        train_accuracy=np.array([e.accuracy for e in on_train]),
        test_loss=np.array([e.loss for e in on_test]),
        test_accuracy=np.array([e.accuracy for e in on_test]),
        checkpoint_examples=np.array(checkpoint_examples),
        checkpoint_class_accuracy=np.array(checkpoint_class_accuracy),
        predictions=on_test[-1].predictions.T,
        distance_from_initialisation=np.array(
            [
                (after - before).flatten(1).double().norm(dim=1).cpu().numpy()
                for before, after in zip(initial, parameters, strict=True)
            ]
        ),
        unit_spread=unit_spread(parameters),
        weight_ranks=weight_ranks(parameters),
        outcomes=tuple(
            classify_outcome(
                finite=bool(finite[i]),
                classes_predicted=int(np.count_nonzero(on_test[-1].predictions[i])),
                test_accuracy=on_test[-1].accuracy[i],
            )
            for i in range(len(seeds))
        ),
    )


def _cuts(experiment: Experiment, labels: NDArray[np.int64], last: bool) -> list[int]:
    """Where an epoch is cut, both ends included: after whole batches.

    The last one of a sorted stream in the middle and at the end of every class, else nowhere.
    """
    cuts = {0, len(labels)}
    if last and experiment.order == "by_class":
        ends = np.cumsum(np.bincount(labels))
        middles = (ends + np.append(0, ends[:-1])) // 2
        cuts |= {
            int(cut) // experiment.batch_size * experiment.batch_size for cut in (*ends[:-1], *middles)
        }
    return sorted(cuts)
