"""Fixtures: `train` for a row's own test; `recorded` and `measured` for other tests."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from model.data.download import DataError
from model.data.mnist import load
from model.dataset import DATASETS
from model.engines import EngineError, choose_engine, left_out, prove_engines, unproven, why_unavailable
from model.environment import available_cores, device_name
from model.experiment import Experiment, Training
from model.observers import Observer
from model.phases import phase
from model.schedule import ScheduleError
from model.train import train as train_model
from model.values import shown

from ..exercise import Exercise, case_id, module_of
from ..files.measured import MeasurementError, checked, restored
from ..files.record import Hardware, MeasurementRecord, TrainingRecord
from ..files.sealed import FileError
from ..files.weights import networks_of
from ..hardware.lease import Applicant, lease
from ..hardware.lock_file import Holder, LockError
from ..hardware.machine import candidate_devices, machine_of
from ..results.fingerprint import fingerprint_of, training_key
from ..results.records import to_record, to_training
from ..results.seed_blocks import of_first_seeds, with_more_results, with_more_seeds
from ..results.store import Store
from ..results.training import train_evenly
from ..session_settings import KEPT_RUN, SESSION_STUDY, SETTINGS, Settings
from ..timing import timer
from .claim_looks import Look, look_of
from .cluster import wait_for_record
from .progress.messages import Messages, print_message
from .progress.writer import AfterEpoch, ProgressFile
from .shards import own_measurements, why_not_here

# Errors of a training or a measurement that fail a test with one line.
_EXPECTED = (DataError, EngineError, FileError, LockError, MeasurementError, ScheduleError)

Make = Callable[[], dict[str, Any]]
_Kind = TypeVar("_Kind", TrainingRecord, MeasurementRecord)


class Recorded(Protocol):
    """Returns the record of a row's training, by the row's name; with `again`, of a new training.

    It has `seeds` seeds or more: more than the run's are one of the numbers in `Settings.looks`.
    """

    def __call__(self, name: str, *, again: bool = False, seeds: int = 0) -> TrainingRecord: ...


class Stored:
    """The session's store; a test fails with one line for an expected error."""

    def __init__(self, config: pytest.Config, look: Look):
        self._config = config
        self._look = look
        self._store = Store(config.stash[SETTINGS].report_dir)

    def __call__(
        self, kind: type[_Kind], name: str, key: Mapping[str, Any], make: Make, *, again: bool = False
    ) -> _Kind:
        """Calls `Store.get_or_make`; with `again`, makes a new record, which is not kept."""

        def make_here() -> dict[str, Any]:
            if reason := why_not_here(self._config, name):
                pytest.skip(reason)
            with self._shown():
                return make()

        with _failing_in_a_line():
            if again:
                return kind.model_validate({"id": name, **key, **make_here()})
            return self._store.get_or_make(kind, name, key, make_here)

    def with_seeds(
        self,
        kind: type[_Kind],
        name: str,
        key: Mapping[str, Any],
        seeds: int,
        make: Callable[[_Kind, range], dict[str, Any]],
    ) -> _Kind:
        """Returns an existing record with `seeds` seeds or more.

        If it has fewer, `make(record, missing)` returns its content with the missing ones. In a session
        that only reads, skips the test.
        """

        def make_missing(record: _Kind) -> dict[str, Any]:
            if KEPT_RUN in self._config.stash:
                self._look.lacks_seeds = True
                where = self._config.stash[KEPT_RUN].where
                pytest.skip(f"{where} has {len(record.seeds)} seeds of {name}, not {seeds}")
            with self._shown():
                return make(record, range(len(record.seeds), seeds))

        record = self._store.find(kind, name, key)
        if record is not None and len(record.seeds) >= seeds:
            return record
        with _failing_in_a_line():
            return self._store.extend(kind, name, key, seeds, make_missing)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """An engine's messages ("compiling ...") are shown at once, not captured."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled(), redirect_stderr(Messages(self._config)):
            yield


@contextmanager
def _failing_in_a_line() -> Iterator[None]:
    try:
        yield
    except _EXPECTED as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    except torch.OutOfMemoryError as error:
        reason = f"{str(error).splitlines()[0].rstrip('.')}; reduce --replicates"
        raise pytest.fail.Exception(reason, pytrace=False) from None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim: the sentence that the test decides; see harness.claim")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Reports on stderr, once per session, which engines cannot run on this machine, and why.

    Under pytest-xdist the first worker does: all of them have the same machine and Python.
    """
    config, option = session.config, session.config.option
    worker = getattr(config, "workerinput", {}).get("workerid", "gw0")
    trains = any("stored" in getattr(item, "fixturenames", ()) for item in session.items)
    if worker != "gw0" or not trains or option.collectonly or option.setuponly:
        return
    settings = config.stash[SETTINGS]
    if settings.cluster:  # whose nodes are asked before they train
        return
    for name, reason in why_unavailable(candidate_devices(settings.device)[0]).items():
        if settings.engine not in ("auto", "eager"):
            continue  # it is not needed, or its rows fail with the reason
        instead = "--engine auto skips it" if settings.engine == "auto" else "PyTorch evaluates instead"
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nengine {name} cannot run here, {instead}: {reason}", file=sys.stderr, flush=True)


@pytest.fixture(name="train")
def train_row(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, recorded: Recorded
) -> Callable[[str], Training]:
    """`train(name)`: the training of the module's row called `name`, timed by pytest-benchmark.

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
            # The test is repeated, and each measurement needs a new training.
            record = recorded(name, again=True)
        if resumed and settings.save_weights and store.lacks_networks(record.id, key, settings.seeds):
            line = f"{record.id} has no weights: it was trained without --save-weights"
            with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                print_message(request.config, line)
        training = of_first_seeds(to_training(record), len(settings.seeds))
        benchmark.group = _in_a_sentence(exercise.title)  # as in earlier saved runs
        device = torch.device(training.device)
        hardware = record.hardware or _hardware(request.config, device)
        benchmark.extra_info.update(
            **training.experiment.to_dict(),
            scale=settings.scale,
            engine=training.engine,
            device=device.type,
            device_name=hardware.device_name,
            cores=hardware.cores,
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
        # A resumed record's times are an earlier session's: shown, but not saved, compared or gated.
        benchmark.disabled = benchmark.disabled or resumed
        epochs = iter(np.diff(training.epoch_seconds).tolist())
        benchmark.pedantic(
            timer.advance, setup=lambda: ((next(epochs),), {}), rounds=training.experiment.epochs
        )
        return training

    return run


@pytest.fixture
def recorded(request: pytest.FixtureRequest, stored: Stored) -> Recorded:
    """`recorded(name)`: the record of the training of the row called `name`."""
    exercise = exercise_of(request)
    settings, study = request.config.stash[SETTINGS], request.config.stash[SESSION_STUDY].study
    path = module_of(request.node.nodeid)

    def get(name: str, *, again: bool = False, seeds: int = 0) -> TrainingRecord:
        if name not in exercise.names:
            pytest.fail(_missing(f"{path} has no row", name, exercise.names), pytrace=False)
        row = exercise.row(name)
        experiment = study.experiment(exercise, row, settings.scale, settings.dataset)
        case = case_id(path, name)

        def make(settings: Settings = settings) -> dict[str, Any]:
            progress = ProgressFile(settings.report_dir, case, experiment.epochs)
            training, parameters, threads, reasons = _train(
                experiment,
                exercise.observers,
                settings,
                _applicant(request.config, progress),
                progress.after_epoch,
            )
            if settings.save_weights:  # before the record, which marks the row as finished
                networks = networks_of(case, training, parameters)
                Store(settings.report_dir).put_networks(case, key, networks)
            return to_record(
                training,
                threads=threads,
                left_out=reasons,
                published=row.published,
            )

        key = training_key(request.config, experiment)
        if settings.cluster:
            if again:
                pytest.fail(f"{case} is repeated, which is not possible with --cluster", pytrace=False)
            if reason := why_not_here(request.config, case):
                pytest.skip(reason)
            wait_for_record(request.config, case, key)
        record = stored(TrainingRecord, case, key, make, again=again)

        def add(record: TrainingRecord, missing: range) -> dict[str, Any]:
            these = replace(settings, seeds=tuple(missing), engine=record.engine)
            return with_more_seeds(record, make(these))

        for count in settings.looks.seeds:
            if len(record.seeds) < count <= seeds:
                record = stored.with_seeds(TrainingRecord, case, key, count, add)
        return record

    return get


@pytest.fixture
def measured(request: pytest.FixtureRequest, stored: Stored) -> Callable[[str], list[dict[str, Any]]]:
    """`measured(name)`: the results of the exercise's measurement called `name`, one for each seed.

    A claim that gets more seeds gets more results. Like a training, it is made by the first test that
    needs it, and kept in the store.
    """
    exercise = exercise_of(request)
    settings = request.config.stash[SETTINGS]
    path = module_of(request.node.nodeid)

    def get(name: str) -> list[dict[str, Any]]:
        def make(seeds: Sequence[int] = settings.seeds) -> dict[str, Any]:
            with _leased(settings, 1, _applicant(request.config)) as device, phase("observing"):
                data = load(DATASETS[settings.dataset], settings.data_root, device)
                found = [
                    checked(
                        exercise.measurements[name](data, seed), f"measured({name!r}) of seed {seed}"
                    )
                    for seed in seeds
                ]
            return {
                "device": str(device),
                "seeds": list(seeds),
                "measured": found,
            }

        if name not in exercise.measurements:
            missing = _missing(f"{path} has no measurement", name, exercise.measurements)
            pytest.fail(missing, pytrace=False)
        key, measurement = {"run": fingerprint_of(request.config)}, f"{path}::{name}"
        record = stored(MeasurementRecord, measurement, key, make)
        seeds = look_of(request.node).seeds
        if len(record.seeds) < seeds:
            record = stored.with_seeds(
                MeasurementRecord,
                measurement,
                key,
                seeds,
                lambda record, missing: with_more_results(record, make(missing)),
            )
        return [restored(each) for each in record.measured[:seeds]]

    # A test may be skipped for a row of another shard before it asks for a measurement of this one.
    for name in own_measurements(request.config, path):
        get(name)
    return get


@pytest.fixture
def stored(request: pytest.FixtureRequest) -> Stored:
    """The session's `Stored`."""
    return Stored(request.config, look_of(request.node))


def exercise_of(request: pytest.FixtureRequest) -> Exercise:
    """Returns the exercise of the test's module; fails the test if there is none."""
    exercise = getattr(request.module, "EXERCISE", None)
    if not isinstance(exercise, Exercise):
        path = module_of(request.node.nodeid)
        pytest.fail(f"{path} has no exercise; expected EXERCISE = Exercise(...)", pytrace=False)
    return exercise


def _hardware(config: pytest.Config, device: torch.device) -> Hardware:
    """Returns the hardware of the session's own trainings on `device`, or of the run that it reads."""
    if KEPT_RUN in config.stash or config.stash[SETTINGS].cluster:
        machine = machine_of(config)
        return Hardware(device_name=machine["device_name"], cores=machine["cores"])
    return Hardware(device_name=device_name(device), cores=len(available_cores()))


def _in_a_sentence(title: str) -> str:
    """Returns the title with a lower-case first letter, unless it begins with an abbreviation."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _missing(what: str, given: object, existing: Iterable[str]) -> str:
    return f"{what} {shown(given)}; it has {', '.join(existing) or 'none'}"


def _train(
    experiment: Experiment,
    observers: Sequence[Observer],
    settings: Settings,
    applicant: Applicant,
    after_epoch: AfterEpoch,
) -> tuple[Training, list[Tensor], int, dict[str, str]]:
    """Trains; returns the training with its final parameters, which are empty unless weights are saved,
    PyTorch's number of threads, and the engines left out, and why."""
    name, device = settings.engine, candidate_devices(settings.device)[0]
    auto, cores = name == "auto", len(available_cores())
    if auto and unproven(experiment, device):
        # With all cores, as eager uses them all.
        with _leased(settings, cores, applicant) as device, phase("preparing"):
            prove_engines(experiment, load(experiment.dataset, settings.data_root, device))
    if device.type == "cpu":
        # The engine decides how many cores to lease. It is chosen before the lease, which may pin this
        # process to fewer cores: the proofs are for all of them.
        engine = choose_engine(name, experiment, device)
        name, cores = engine.NAME, engine.cores(experiment, len(settings.seeds), cores)
    # The data are loaded under the lease, too: on a machine with few cores, decoding images in one
    # worker would slow down a training in another.
    with _leased(settings, cores, applicant) as device:
        with phase("preparing"):
            data = load(experiment.dataset, settings.data_root, device)
        training, parameters = train_evenly(
            experiment,
            data,
            seeds=settings.seeds,
            engine=name,
            observers=observers,
            after_epoch=after_epoch,
            exclusive=settings.timing == "exclusive",
            keep_parameters=settings.save_weights,
            train=train_model,
        )
        threads = torch.get_num_threads()
    return training, parameters, threads, left_out(experiment, device) if auto else {}


def _applicant(config: pytest.Config, progress: ProgressFile | None = None) -> Applicant:
    """Returns this session as an applicant for a lease, which reports waits, to `progress` too."""

    def tell(line: str, by_others: bool) -> None:
        if by_others:
            print_message(config, line)
        if progress:
            progress.wait(line)

    # A worker's session is its parent.
    process = os.getppid() if hasattr(config, "workerinput") else os.getpid()
    command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
    return Applicant(Holder(process, command), tell)


@contextmanager
def _leased(settings: Settings, cores: int, applicant: Applicant) -> Iterator[torch.device]:
    """Yields a device that `--device` allows, leased unless timings are shared."""
    candidates = candidate_devices(settings.device)
    if settings.timing == "shared":
        yield candidates[0]
    else:
        with lease(candidates, cores, applicant) as device:
            yield device
