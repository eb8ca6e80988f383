"""Fixtures: `train` for a row's own test; `recorded` and `measured` for what others ask of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from model.data.download import DataError
from model.data.mnist import load
from model.dataset import DATASETS
from model.engines import EngineError, choose_engine, left_out, prove_engines, unproven, why_unavailable
from model.environment import available_cores, device_name
from model.experiment import Experiment, Training
from model.observers import Observer
from model.schedule import ScheduleError
from model.train import train as train_model
from model.values import shown

from ..exercise import Exercise, case_id, module_of
from ..files.measured import MeasurementError, checked, restored
from ..files.record import MeasurementRecord, TrainingRecord
from ..files.sealed import FileError
from ..hardware.lease import Applicant, lease
from ..hardware.lock_file import Holder, LockError
from ..hardware.machine import candidate_devices
from ..results.fingerprint import fingerprint_of, training_key
from ..results.records import to_record, to_training
from ..results.store import Store
from ..session_settings import SESSION_STUDY, SETTINGS, Settings
from ..timing import timer
from .progress.writer import AfterEpoch, ProgressFile

# What a training or a measurement may meet, said in a line.
_EXPECTED = (DataError, EngineError, FileError, LockError, MeasurementError, ScheduleError)

# What the fixtures offer each other.
Make = Callable[[], dict[str, Any]]
_Kind = TypeVar("_Kind", TrainingRecord, MeasurementRecord)


class Recorded(Protocol):
    """The record of a row's training, by the row's name; with `again`, of a new training of it."""

    def __call__(self, name: str, *, again: bool = False) -> TrainingRecord: ...


class Stored(Protocol):
    """`Store.get_or_make`; with `again`, what `make` makes now, which is not kept."""

    def __call__(
        self, kind: type[_Kind], name: str, key: Mapping[str, Any], make: Make, *, again: bool = False
    ) -> _Kind: ...


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim: a sentence that this test decides")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Says on stderr, once per session, which engines cannot run here for what this machine lacks.

    Under pytest-xdist the first worker says it: all of them have the same machine and Python.
    """
    config, option = session.config, session.config.option
    worker = getattr(config, "workerinput", {}).get("workerid", "gw0")
    trains = any("stored" in getattr(item, "fixturenames", ()) for item in session.items)
    if worker != "gw0" or not trains or option.collectonly or option.setuponly:
        return
    settings = config.stash[SETTINGS]
    for name, reason in why_unavailable(candidate_devices(settings.device)[0]).items():
        if settings.engine not in ("auto", "eager"):
            continue  # it needs no other, or its rows fail with the reason
        without = "--engine auto goes without it" if settings.engine == "auto" else "PyTorch evaluates"
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nengine {name} cannot run here, {without}: {reason}", file=sys.stderr, flush=True)


@pytest.fixture(name="train")
def train_row(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, recorded: Recorded
) -> Callable[[str], Training]:
    """`train(name)`: the training of the module's row of that name, timed by pytest-benchmark.

    Each epoch is one of pytest-benchmark's rounds.
    """

    def run(name: str) -> Training:
        record = recorded(name)
        settings = request.config.stash[SETTINGS]
        exercise = exercise_of(request)
        store = Store(settings.report_dir)
        key = training_key(request.config, record.experiment)
        resumed = store.is_resumed(record.id, key)
        if not resumed and not store.is_first_timing(record.id, key):
            # The test is repeated: one training is one measurement.
            record = recorded(name, again=True)
        training = to_training(record)
        benchmark.group = _in_a_sentence(exercise.title)  # as earlier saved runs have it
        device = torch.device(training.device)
        benchmark.extra_info.update(
            **training.experiment.to_dict(),
            scale=settings.scale,
            engine=training.engine,
            device=device.type,
            device_name=device_name(device),
            cores=len(available_cores()),
            timing=settings.timing,
            seeds=list(training.seeds),
            seconds=training.seconds,
            test_accuracy=training.test_accuracy[-1].tolist(),
            epochs_to={
                name: training.time_to_accuracy(target)["epochs"]
                for name, target in training.experiment.dataset.targets_by_name.items()
            },
            outcome=training.outcome,
        )
        # A resumed record's seconds are an earlier session's: shown, but not saved, compared or gated.
        benchmark.disabled = benchmark.disabled or resumed
        epochs = iter(np.diff(training.epoch_seconds).tolist())
        benchmark.pedantic(
            timer.advance, setup=lambda: ((next(epochs),), {}), rounds=training.experiment.epochs
        )
        return training

    return run


@pytest.fixture
def recorded(request: pytest.FixtureRequest, stored: Stored) -> Recorded:
    """`recorded(name)`: the record of that row's training."""
    exercise = exercise_of(request)
    settings, study = request.config.stash[SETTINGS], request.config.stash[SESSION_STUDY].study
    path = module_of(request.node.nodeid)

    def get(name: str, *, again: bool = False) -> TrainingRecord:
        if name not in exercise.names:
            pytest.fail(_no(f"{path} has no row", name, exercise.names), pytrace=False)
        row = exercise.row(name)
        experiment = study.experiment(exercise, row, settings.scale, settings.dataset)
        case = case_id(path, name)

        def make() -> dict[str, Any]:
            progress = ProgressFile(settings.report_dir, case, experiment.epochs)
            training, threads, reasons = _train(
                experiment,
                exercise.observers,
                settings,
                _applicant(request.config, progress),
                progress.after_epoch,
            )
            return to_record(
                training,
                threads=threads,
                left_out=reasons,
                published=row.published,
            )

        key = training_key(request.config, experiment)
        return stored(TrainingRecord, case, key, make, again=again)

    return get


@pytest.fixture
def measured(request: pytest.FixtureRequest, stored: Stored) -> Callable[[str], list[dict[str, Any]]]:
    """`measured(name)`: the exercise's measurement of that name, for each seed.

    Like a training, it is made by the first test that asks for it, and kept in the store.
    """
    exercise = exercise_of(request)
    settings = request.config.stash[SETTINGS]
    path = module_of(request.node.nodeid)

    def get(name: str) -> list[dict[str, Any]]:
        def make() -> dict[str, Any]:
            with _leased(settings, 1, _applicant(request.config)) as device:
                data = load(DATASETS[settings.dataset], settings.data_root, device)
                found = [
                    checked(
                        exercise.measurements[name](data, seed), f"measured({name!r}) of seed {seed}"
                    )
                    for seed in settings.seeds
                ]
            return {
                "device": str(device),
                "seeds": list(settings.seeds),
                "measured": found,
            }

        if name not in exercise.measurements:
            pytest.fail(_no(f"{path} has no measurement", name, exercise.measurements), pytrace=False)
        key = {"run": fingerprint_of(request.config)}
        record = stored(MeasurementRecord, f"{path}::{name}", key, make)
        return [restored(each) for each in record.measured]

    return get


@pytest.fixture
def stored(request: pytest.FixtureRequest) -> Stored:
    """`stored(name, key, make)`: `Store.get_or_make`; an expected error fails the test in one line."""
    # An engine's messages ("compiling ...") are for the user, now: not captured.
    uncaptured = request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    store = Store(request.config.stash[SETTINGS].report_dir)

    def get(
        kind: type[_Kind], name: str, key: Mapping[str, Any], make: Make, *, again: bool = False
    ) -> _Kind:
        def make_uncaptured() -> dict[str, Any]:
            with uncaptured():
                return make()

        try:
            if again:
                return kind.model_validate({"id": name, **key, **make_uncaptured()})
            return store.get_or_make(kind, name, key, make_uncaptured)
        except _EXPECTED as error:
            reason = str(error)
        except torch.OutOfMemoryError as error:
            reason = f"{str(error).splitlines()[0]} Fewer --replicates need less memory."
        return pytest.fail(reason, pytrace=False)

    return get


def exercise_of(request: pytest.FixtureRequest) -> Exercise:
    """The exercise of the test's module; the test fails where it has none."""
    exercise = getattr(request.module, "EXERCISE", None)
    if not isinstance(exercise, Exercise):
        pytest.fail(f"{module_of(request.node.nodeid)} has no EXERCISE = Exercise(...)", pytrace=False)
    return exercise


def _in_a_sentence(title: str) -> str:
    """The title with a small first letter, unless it begins with an abbreviation."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _no(what: str, given: object, there: Iterable[str]) -> str:
    return f"{what} {shown(given)}; it has {', '.join(there) or 'none'}"


def _train(
    experiment: Experiment,
    observers: Sequence[Observer],
    settings: Settings,
    applicant: Applicant,
    after_epoch: AfterEpoch,
) -> tuple[Training, int, dict[str, str]]:
    """The training, how many threads PyTorch had for it, and which engines were left out, and why."""
    name, device = settings.engine, candidate_devices(settings.device)[0]
    auto, cores = name == "auto", len(available_cores())
    if auto and unproven(experiment, device):
        # With all cores, which eager takes.
        with _leased(settings, cores, applicant) as device:
            prove_engines(experiment, load(experiment.dataset, settings.data_root, device))
    if device.type == "cpu":
        # The engine says how many cores to lease. With fewer than all, nothing would have proved itself.
        engine = choose_engine(name, experiment, device)
        name, cores = engine.NAME, engine.cores(experiment, len(settings.seeds), cores)
    # Data are loaded under the lease as well: on a machine with few cores, a worker that
    # decodes images would slow down another one's training.
    with _leased(settings, cores, applicant) as device:
        data = load(experiment.dataset, settings.data_root, device)
        training = train_model(
            experiment,
            data,
            seeds=settings.seeds,
            engine=name,
            observers=observers,
            after_epoch=after_epoch,
        )
        threads = torch.get_num_threads()
    return training, threads, left_out(experiment, device) if auto else {}


def _applicant(config: pytest.Config, progress: ProgressFile | None = None) -> Applicant:
    """This session, as others that wait for its lease are told; it tells the user and `progress`."""

    def tell(line: str, by_others: bool) -> None:
        if by_others:
            print(f"\n{line}", file=sys.stderr, flush=True)
        if progress:
            progress.wait(line)

    # A worker's session is its parent.
    process = os.getppid() if hasattr(config, "workerinput") else os.getpid()
    command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
    return Applicant(Holder(process, command), tell)


@contextmanager
def _leased(settings: Settings, cores: int, applicant: Applicant) -> Iterator[torch.device]:
    """A device that `--device` allows, leased unless timings are shared."""
    candidates = candidate_devices(settings.device)
    if settings.timing == "shared":
        yield candidates[0]
    else:
        with lease(candidates, cores, applicant) as device:
            yield device
