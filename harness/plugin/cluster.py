"""`--cluster`: the nodes of a Ray cluster train the rows; tests wait for the records."""

from __future__ import annotations

import _thread
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from model.experiment import Experiment, Training
from model.phases import phase

from ..cluster.address import ClusterError
from ..exercise import Exercise, row_name
from ..files.record import TrainingRecord
from ..files.sealed import FileError
from ..files.weights import networks_of
from ..results.fingerprint import training_key
from ..results.records import to_training
from ..results.store import Store
from ..session_settings import CLUSTER_MACHINE, KEPT_RUN, SESSION_STUDY, SETTINGS
from ..wording import counted
from .progress.messages import print_message
from .progress.writer import ProgressFile

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from ..cluster.driver import Cluster, Finished

_CLUSTER: pytest.StashKey[Cluster] = pytest.StashKey()
_MACHINE = "minibatch_bench_cluster_machine"  # in a worker's input
_POLL_SECONDS = 0.1  # between two looks for a record


def pytest_configure(config: pytest.Config) -> None:
    """Connects the controlling process; a worker learns from it what the nodes are."""
    settings, option = config.stash[SETTINGS], config.option
    runs_tests = not (option.collectonly or option.setuponly or option.help or option.version)
    if settings.cluster is None or not runs_tests or KEPT_RUN in config.stash:
        return
    if hasattr(config, "workerinput"):
        config.stash[CLUSTER_MACHINE] = config.workerinput[_MACHINE]
        return
    from ..cluster.driver import Cluster  # here, as importing it takes a while

    try:
        cluster = Cluster(settings.cluster, settings, partial(_tell, config))
    except ClusterError as error:
        raise pytest.UsageError(f"--cluster: {error}") from None
    config.stash[_CLUSTER] = cluster
    config.stash[CLUSTER_MACHINE] = cluster.machine
    config.add_cleanup(cluster.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    node.workerinput[_MACHINE] = node.config.stash.get(CLUSTER_MACHINE, None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Ends what still runs, before the session's report is written."""
    if _CLUSTER in session.config.stash:
        session.config.stash[_CLUSTER].close()
    yield


def train_on_cluster(
    config: pytest.Config, rows: Mapping[str, tuple[Exercise, Experiment]], selected: Iterable[str]
) -> None:
    """Submits the selected rows, by their cases; others of `rows` are submitted when a claim asks.

    Does nothing without --cluster. Raises pytest.UsageError if a node cannot train one of them.
    """
    if _CLUSTER not in config.stash:
        return
    from ..cluster.driver import ClusterRow

    cluster, settings = config.stash[_CLUSTER], config.stash[SETTINGS]
    store = Store(settings.report_dir)

    def done(case: str, found: Finished | ClusterError) -> None:
        try:
            write(case, found)
        except (
            FileError,
            OSError,
        ) as error:  # its test, and those of all other rows, would wait forever
            _tell(config, f"the session ends, since results cannot be written: {error}")
            _thread.interrupt_main()

    def write(case: str, found: Finished | ClusterError) -> None:
        key = training_key(config, rows[case][1])
        if isinstance(found, ClusterError):
            store.put_failure(case, key, str(found))
            return
        content = {"id": case, **key, **found.record}
        record = TrainingRecord.model_validate(content)
        if settings.save_weights:  # before the record, which marks the row as finished
            training: Training = to_training(record)
            store.put_networks(case, key, networks_of(case, training, found.parameters))
        store.put(case, key, found.record)
        last = {"loss": _mean(record.train_loss[-1]), "accuracy": _mean(record.test_accuracy[-1])}
        show(case, {"epoch": record.experiment.epochs, "seconds": record.seconds, **last})

    def show(case: str, state: Mapping[str, Any]) -> None:
        ProgressFile(settings.report_dir, case, rows[case][1].epochs).copy(state)

    cases = [*selected]
    config.get_terminal_writer().line(
        f"{counted(len(cases), 'row')} to train on a cluster: {cluster.about()}"
    )
    every = {
        case: ClusterRow(exercise, exercise.row(row_name(case)), experiment)
        for case, (exercise, experiment) in rows.items()
    }
    try:
        cluster.start(config.stash[SESSION_STUDY].path, every, cases, done, show, store.asked)
    except ClusterError as error:
        raise pytest.UsageError(f"--cluster: {error}") from None


def _tell(config: pytest.Config, line: str) -> None:
    """Prints a message, also before pytest has its terminal's plugin."""
    if config.pluginmanager.hasplugin("terminalreporter"):
        print_message(config, line)
    else:
        print(line, file=sys.stderr, flush=True)


def wait_for_record(config: pytest.Config, case: str, key: Mapping[str, Any]) -> None:
    """Waits until the controlling process has the row's record; fails the test if there will be none."""
    store = Store(config.stash[SETTINGS].report_dir)
    # Progress and messages are shown meanwhile, not captured.
    uncaptured = config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    with phase("waiting"), uncaptured():
        if store.find(TrainingRecord, case, key) is None and store.failure(case, key) is None:
            store.ask(case, key)
        while store.find(TrainingRecord, case, key) is None:
            if (line := store.failure(case, key)) is not None:
                pytest.fail(line, pytrace=False)
            time.sleep(_POLL_SECONDS)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
