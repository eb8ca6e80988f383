"""The fixtures of the exercises: `train` for a row's own test, `trained` and `measured` for claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest
import torch

from model import engines
from model.data.download import DataError
from model.data.mnist import load
from model.experiment import TARGETS, Experiment, Training
from model.train import train as train_model

from . import clock
from .exercise import Exercise, Row, case_id
from .identity import run_of
from .lease import available_cores, lease_cores, lease_gpu
from .machine import device_name
from .options import KEY, Settings, devices
from .progress import AfterEpoch, telling
from .records import to_record, to_training
from .store import Store, StoreError


@pytest.fixture
def train(request: pytest.FixtureRequest, benchmark, recorded) -> Callable[[str], Training]:
    """`train(name)`: the training of the module's row of that name, timed by pytest-benchmark."""

    def run(name: str) -> Training:
        record = recorded(name)
        training = to_training(record)
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
        # The seconds of an earlier session are told, and not saved, compared or gated as this one's.
        benchmark.disabled = benchmark.disabled or record["resumed"]
        benchmark.pedantic(clock.count, args=(training.seconds,), rounds=1, warmup_rounds=0)
        return training

    return run


@pytest.fixture
def trained(recorded) -> Callable[[str], Training]:
    """`trained(name)`: the same without its time, for a test that compares rows.

    It comes from the session's store; what no test has trained yet is trained now.
    """
    return lambda name: to_training(recorded(name))


@pytest.fixture
def recorded(request: pytest.FixtureRequest, stored) -> Callable[[str], dict[str, Any]]:
    """`recorded(name)`: the record of that row's training."""
    exercise: Exercise = request.module.EXERCISE
    config = request.config
    module = request.node.nodeid.partition("::")[0]

    def get(name: str) -> dict[str, Any]:
        row = exercise.row(name)

        def make() -> dict[str, Any]:
            experiment, settings = _experiment(config, exercise, row), config.stash[KEY]
            with telling(settings.report_dir, case_id(module, name), experiment.epochs) as after_epoch:
                training, threads = _train(experiment, settings, after_epoch)
            return to_record(
                training, exercise=exercise.number, threads=threads, published=row.published
            )

        return stored(case_id(module, name), training_of(config, exercise, row), make)

    return get


@pytest.fixture
def measured(request: pytest.FixtureRequest, stored) -> Callable[[str], list[dict[str, Any]]]:
    """`measured(name)`: the exercise's measurement of that name, for each seed.

    Like trainings, it is made by the first test that asks for it, and kept in the store.
    """
    exercise: Exercise = request.module.EXERCISE
    settings: Settings = request.config.stash[KEY]
    module = request.node.nodeid.partition("::")[0]

    def get(name: str) -> list[dict[str, Any]]:
        def make() -> dict[str, Any]:
            candidates = devices(settings.device)
            with _leased(candidates, 1, settings) as device:
                data = load(settings.dataset, settings.data_root, device)
                found = [exercise.measurements[name](data, seed) for seed in settings.seeds]
            return {
                "exercise": exercise.number,
                "device": str(device),
                "seeds": list(settings.seeds),
                "measured": found,
            }

        return stored(f"{module}::{name}", {"run": run_of(request.config)}, make)["measured"]

    return get


@pytest.fixture
def stored(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """`stored(name, what, make)`: as `Store.get_or_make`; what stops it fails the test in one line."""
    # What an engine says (that it compiles, for some seconds) is for the user and at once.
    uncaptured = request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    store = Store(request.config.stash[KEY].report_dir)

    def get(name: str, what: Mapping[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        def loudly() -> dict[str, Any]:
            with uncaptured():
                return make()

        try:
            return store.get_or_make(name, what, loudly)
        except (DataError, engines.EngineError, StoreError) as error:
            reason = str(error)
        except torch.OutOfMemoryError as error:
            reason = f"{str(error).splitlines()[0]} Fewer --replicates take less."
        return pytest.fail(reason, pytrace=False)

    return get


def training_of(config: pytest.Config, exercise: Exercise, row: Row) -> dict[str, Any]:
    """All that the training of a row depends on: this session's run, and the experiment."""
    return {"run": run_of(config), "experiment": asdict(_experiment(config, exercise, row))}


def _experiment(config: pytest.Config, exercise: Exercise, row: Row) -> Experiment:
    settings = config.stash[KEY]
    return exercise.experiment(row, settings.scale, settings.dataset)


def _train(experiment: Experiment, settings: Settings, after_epoch: AfterEpoch) -> tuple[Training, int]:
    """The training, and how many threads PyTorch had for it."""
    candidates = devices(settings.device)
    engine = engines.choose(settings.engine, experiment, candidates[0])
    # Data are loaded under the lease as well: on a machine with few cores, a worker that
    # decodes images would slow the training of another.
    cores = engine.cores(len(settings.seeds), len(available_cores()))
    with _leased(candidates, cores, settings) as device:
        data = load(experiment.dataset, settings.data_root, device)
        training = train_model(
            experiment, data, seeds=settings.seeds, engine=engine.NAME, after_epoch=after_epoch
        )
        return training, torch.get_num_threads()


@contextmanager
def _leased(candidates: list[torch.device], cores: int, settings: Settings) -> Iterator[torch.device]:
    """One of the devices, leased unless times are shared: a GPU, or that many of the CPU's cores."""
    if settings.timing == "shared":
        yield candidates[0]
    elif candidates[0].type == "cuda":
        with lease_gpu(candidates) as device:
            yield device
    else:
        with lease_cores(cores):
            yield candidates[0]
