"""The fixtures that the exercises use: `train` for a row's own test, `trained` for comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch

from model import engines
from model.experiment import TARGETS, Experiment, Training
from model.fetch import DataError
from model.mnist import load
from model.train import train as train_model

from . import clock
from .exercise import Exercise, case_id
from .lease import available_cores, lease_cores, lease_gpu
from .machine import device_name
from .options import KEY, Settings, devices
from .records import to_record, to_training
from .store import Store


@pytest.fixture
def train(request: pytest.FixtureRequest, benchmark, trained) -> Callable[[str], Training]:
    """`train(name)`: the training of the module's row of that name, timed by pytest-benchmark."""

    def run(name: str) -> Training:
        training = trained(name)
        settings = request.config.stash[KEY]
        exercise = request.module.EXERCISE
        benchmark.group = f"exercise {exercise.number}: {exercise.title}"
        device = torch.device(training.device)
        benchmark.extra_info.update(
            scale=settings.scale,
            dataset=training.experiment.dataset,
            epochs=training.experiment.epochs,
            engine=training.engine,
            device=device.type,
            device_name=device_name(device),
            timing=settings.timing,
            seeds=list(training.seeds),
            test_accuracy=training.test_accuracy[-1].tolist(),
            epochs_to={f"{target:.2f}": training.epochs_to(target) for target in TARGETS},
            outcome=training.outcome,
        )
        benchmark.pedantic(clock.count, args=(training.seconds,), rounds=1, warmup_rounds=0)
        return training

    return run


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> Callable[[str], Training]:
    """`trained(name)`: the same without its time, for a test that compares rows.

    It comes from the session's store; what no test has trained yet is trained now.
    """
    exercise: Exercise = request.module.EXERCISE
    settings: Settings = request.config.stash[KEY]
    module = request.node.nodeid.partition("::")[0]
    # What an engine says (that it compiles, for some seconds) is for the user and at once.
    uncaptured = request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled

    def get(name: str) -> Training:
        row = exercise.row(name)
        case = case_id(module, name)

        def make():
            with uncaptured():
                training = _train(exercise.experiment(row, settings.scale, settings.dataset), settings)
            return to_record(
                training,
                case=case,
                exercise=exercise.number,
                scale=settings.scale,
                timing=settings.timing,
                published=row.published,
            )

        try:
            record = Store(settings.report_dir).get_or_make(case, make)
        except (DataError, engines.EngineError) as error:
            reason = str(error)
        else:
            return to_training(record)
        pytest.fail(reason, pytrace=False)

    return get


def _train(experiment: Experiment, settings: Settings) -> Training:
    candidates = devices(settings.device)
    engine = engines.choose(settings.engine, experiment, candidates[0])
    # Data are loaded under the lease as well: on a machine with few cores, a worker that
    # decodes images would slow the training of another.
    with _leased(candidates, engine, settings) as device:
        data = load(experiment.dataset, settings.data_root, device)
        return train_model(experiment, data, seeds=settings.seeds, engine=engine.NAME)


@contextmanager
def _leased(
    candidates: list[torch.device], engine: ModuleType, settings: Settings
) -> Iterator[torch.device]:
    """One of the devices, leased for `engine` unless times are shared."""
    if settings.timing == "shared":
        yield candidates[0]
    elif candidates[0].type == "cuda":
        with lease_gpu(candidates) as device:
            yield device
    else:
        with lease_cores(engine.cores(len(settings.seeds), len(available_cores()))):
            yield candidates[0]
