"""The fixtures that the exercises use: `train` for a row's own test, `trained` for comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from model import engines
from model.experiment import Experiment, Training
from model.mnist import load
from model.train import train as train_model

from . import clock
from .exercise import Exercise, Row
from .lease import available_cores, lease_cores, lease_gpu
from .options import KEY, Settings
from .records import to_record, to_training
from .store import Store


@pytest.fixture
def train(request: pytest.FixtureRequest, benchmark, trained) -> Callable[[Row], Training]:
    """`train(row)`: the row's training, its seconds handed to pytest-benchmark."""

    def run(row: Row) -> Training:
        training = trained(row.name)
        benchmark.group = _group(request.module.EXERCISE)
        benchmark.extra_info.update(
            engine=training.engine,
            device=training.device,
            timing=request.config.stash[KEY].timing,
            scale=request.config.stash[KEY].scale,
            dataset=training.experiment.dataset,
            epochs=training.experiment.epochs,
            seeds=list(training.seeds),
            test_accuracy=training.test_accuracy[-1].tolist(),
            outcome=training.outcome,
        )
        benchmark.pedantic(clock.count, args=(training.seconds,), rounds=1, warmup_rounds=0)
        return training

    return run


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> Callable[[str], Training]:
    """`trained(name)`: the training of the module's row of that name.

    It comes from the session's store; what no test has trained yet is trained now.
    """
    exercise: Exercise = request.module.EXERCISE
    settings: Settings = request.config.stash[KEY]
    module = request.node.nodeid.partition("::")[0]

    def get(name: str) -> Training:
        row = exercise.row(name)
        case = f"{module}::test_training[{name}]"

        def make():
            return to_record(
                _train(exercise.experiment(row, settings.scale, settings.dataset), settings),
                case=case,
                exercise=exercise.number,
                scale=settings.scale,
                timing=settings.timing,
                published=row.published,
            )

        return to_training(Store(settings.report_dir).get_or_make(case, make))

    return get


def _group(exercise: Exercise) -> str:
    return f"exercise {exercise.number}: {exercise.title}"


def _train(experiment: Experiment, settings: Settings) -> Training:
    # Data are loaded under the lease as well: on a machine with few cores, a worker that
    # decodes images would slow the training of another.
    with _device(experiment, settings) as device:
        data = load(experiment.dataset, settings.data_root, device)
        return train_model(experiment, data, seeds=settings.seeds, engine=settings.engine)


@contextmanager
def _device(experiment: Experiment, settings: Settings) -> Iterator[torch.device]:
    """The device to train on, leased unless times are shared."""
    devices = _devices(settings.device)
    if settings.timing == "shared":
        yield devices[0]
    elif devices[0].type == "cuda":
        with lease_gpu(devices) as device:
            yield device
    else:
        engine = engines.choose(settings.engine, experiment, devices[0])
        with lease_cores(engine.cores(len(settings.seeds), len(available_cores()))):
            yield devices[0]


def _devices(name: str) -> list[torch.device]:
    """The devices that `--device` leaves open."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [torch.device(name)]
