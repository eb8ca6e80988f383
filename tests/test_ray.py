"""`--cluster`: rows on the nodes of a small Ray cluster on this machine, and what happens to them.

`make test-cluster` installs Ray and runs these tests.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from harness.cluster import address
from harness.cluster.address import ClusterError
from tests.processes import Session

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make test-cluster"),
    pytest.mark.xdist_group("ray"),
]

CONFTEST = """
from harness.study import Study

STUDY = Study(title="A study", scales={"quick": 2, "long": 40, "endless": 100000})
"""
OPTIMIZER = """
import torch


class Halved(torch.optim.Optimizer):
    \"\"\"SGD at half the rate, which no node has.\"\"\"

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                weight.add_(weight.grad, alpha=-group["lr"] / 2)
"""
MODULE = """
import pytest
from halved import Halved

from harness.claim import claim
from harness.exercise import Exercise, Published, Row
from model.optimizers import SGD, Torch

EXERCISE = Exercise(
    title="Exercise 1: rates",
    rows=(
        Row("halved", {"optimizer": Torch(Halved, 0.5), "batch_size": 50}, Published(0.9)),
        *(Row(f"sgd-lr{rate}", {"optimizer": SGD(rate), "batch_size": 50}) for rate in (0.25, 0.5, 1.0)),
    ),
)


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)


@claim("Half a rate of 0.5 is a rate of 0.25.")
def test_halved(trained, decide):
    one, other = (trained(row).test_accuracy[-1].tolist() for row in ("halved", "sgd-lr0.25"))
    decide(one == other, "It is.")
"""
# Without a page and compiled code, which take long to make.
SMALL = """
import harness.plugin.session
harness.plugin.session.draw_report = lambda *_: "No page."
import numba
numba.config.DISABLE_JIT = 1
"""
ROWS = ("halved", "sgd-lr0.25", "sgd-lr0.5", "sgd-lr1.0")
TIMES = (
    *("blocks", "checksum", "seconds", "epoch_seconds", "prepare_seconds", "threads"),
    *("engines_left_out", "hardware", "run", "seeds", "engine"),
)


class Study:
    """A study in a folder of its own, whose sessions are processes."""

    def __init__(self, folder: Path):
        self.path = folder
        (folder / "halved.py").write_text(OPTIMIZER)
        (folder / "test_rates.py").write_text(MODULE)

    def start(self, *args: str, code: str = "") -> Session:
        """Starts a session in the background, after `code`; its output is in `output.txt`."""
        (self.path / "conftest.py").write_text(CONFTEST + code + SMALL)
        options = ["-p", "tests.small", "-p", "no:cacheprovider", "--engine=eager"]
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("COLUMNS", "200")
            return Session([*options, *args, "."], self.path, self.path / "output.txt")

    def run(self, *args: str, **options) -> int | None:
        """Runs a session; returns its exit status, None after 100 seconds."""
        return self.start(*args, **options).wait(100)

    @property
    def output(self) -> str:
        path = self.path / "output.txt"
        return path.read_text() if path.exists() else ""

    def records(self, folder: str) -> dict[str, dict]:
        """Returns the records of trainings in a report folder, by the row's name."""
        found = [json.loads(path.read_text()) for path in (self.path / folder / "runs").glob("*.json")]
        return {re.search(r"\[(.+)\]", each["id"])[1]: each for each in found}

    def refused(self, *args: str, code: str = "") -> str:
        """Returns the line that refuses a session."""
        assert self.run(*args, code=code) == pytest.ExitCode.USAGE_ERROR
        (line,) = [line for line in self.output.splitlines() if line.startswith("ERROR: ")]
        return line

    def wait_for(self, what, session, seconds=60):
        """Waits until `what()` is true, and returns it; the session must not end before."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert session.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.1)
        return found


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, and two nodes of one core."""
    with _running(cores=0) as found:
        for _ in range(2):
            found.add_node(num_cpus=1)
        yield found


@pytest.fixture(scope="module")
def node():
    """A cluster of a single node, the head, which has one core."""
    with _running(cores=1) as found:
        yield found


@contextmanager
def _running(cores):
    """Starts a head node with so many cores. At the end, no process of its cluster is left."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "15")  # by default 60
        # Processes that start without a session's files could not run its tasks.
        monkeypatch.setenv("RAY_enable_worker_prestart", "0")
        monkeypatch.setenv("RAY_prestart_worker_first_driver", "0")
        found = Cluster(
            initialize_head=True, head_node_args={"num_cpus": cores, "include_dashboard": False}
        )
        session = found.head_node.get_session_dir_path()
        try:
            yield found
        finally:
            found.shutdown()
            shutil.rmtree(session, ignore_errors=True)
        end = time.monotonic() + 10
        while left := _of(session):
            assert time.monotonic() < end, left
            time.sleep(0.1)


def _of(session: str) -> list[str]:
    """Returns the command lines of the processes of a session of Ray's."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if session in (line := " ".join(process.info["cmdline"] or ())):
            found.append(line)
    return found


def trainings(cluster) -> list[psutil.Process]:
    """Returns the processes that train a block on this cluster now."""
    session, found = cluster.head_node.get_session_dir_path(), []
    for process in psutil.process_iter(["cmdline"]):
        if "ray::test_rates.py::" in " ".join(process.info["cmdline"] or ()):
            with suppress(psutil.Error):
                if session in " ".join(process.parent().cmdline()):
                    found.append(process)
    return found


def test_rows_are_those_of_this_machine(cluster, study):
    """Equal to the last digit, with a class of the study's own, in blocks of seeds, as reports say."""
    there = f"--cluster={cluster.address}"
    one_core = "import os\nos.sched_setaffinity(0, [*os.sched_getaffinity(0)][:1])"
    assert study.run("--replicates=2", "--report-dir=here", code=one_core) == 0, study.output
    alone = study.records("here")
    selected = ["-k", "not 0.25", "--replicates=2", "--report-dir=there", "--save-weights"]
    assert study.run(there, *selected, "-n2") == 0, study.output
    records = study.records("there")
    assert {*records} == {*ROWS}  # a claim asked for the row that was not selected
    for name, record in records.items():
        others = [field for field in record if field not in TIMES]
        assert [field for field in others if record[field] != alone[name].get(field)] == []
        assert [block["seeds"] for block in record["blocks"]] == [[0], [1]]
        assert sum(block["seconds"] for block in record["blocks"]) == pytest.approx(record["seconds"])
        assert all(block["busy_seconds"] > block["seconds"] for block in record["blocks"])
        assert record["threads"] == 1
    assert "Claims: 1 holds." in study.output
    assert "3 rows to train on a cluster: 2 nodes with" in study.output
    host = os.uname().nodename
    assert f"Trained on a cluster: 4 rows on {host}." in study.output
    assert f"Trained on {host}: halved, sgd-lr0.25" in (study.path / "there" / "summary.md").read_text()
    with (study.path / "there" / "results.csv").open() as file:
        assert {row["node"] for row in csv.DictReader(file)} == {host}
    assert len([*(study.path / "there" / "weights").iterdir()]) == 8
    machine = json.loads((study.path / "there" / "summary.json").read_text())["machine"]
    assert machine["cores"] == 1


def test_a_killed_process_and_a_lost_node_cost_no_row(cluster, study):
    session = study.start(f"--cluster={cluster.address}", "--scale=long", "-k", "0.5 or 1.0")
    killed, _ = study.wait_for(lambda: len(found := trainings(cluster)) == 2 and found, session)
    killed.kill()
    study.wait_for(lambda: len({*trainings(cluster)} - {killed}) == 2, session)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    assert session.wait(100) == 0, study.output
    cluster.add_node(num_cpus=1)
    records = study.records("reports/latest")
    assert {*records} == {"sgd-lr0.5", "sgd-lr1.0"}
    lost = [block["lost"] for record in records.values() for block in record["blocks"]]
    # A block that is lost twice before it begins again counts once.
    assert 1 <= sum(map(len, lost)) <= 2
    assert "Trained again after a node or a process was lost: sgd-lr" in study.output


def test_a_killed_session_ends_its_trainings_and_is_resumed(cluster, study):
    arguments = (f"--cluster={cluster.address}", "--scale=long", "--report-dir=report", "-k", "sgd")
    session = study.start(*arguments)
    study.wait_for(
        lambda: (study.path / "report" / "runs").exists() and study.records("report"), session
    )
    session.kill()
    session.wait()
    before = {name: record["checksum"] for name, record in study.records("report").items()}
    end = time.monotonic() + 20
    while trainings(cluster):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert study.run(*arguments, "--resume") == 0, study.output
    assert re.search(rf"^{3 - len(before)} rows? to train", study.output, re.MULTILINE)
    after = {name: record["checksum"] for name, record in study.records("report").items()}
    assert {*after} == {*ROWS[1:]}
    assert {name: after[name] for name in before} == before


def test_ctrl_c_ends_the_trainings_and_keeps_the_finished_rows(cluster, study):
    session = study.start(f"--cluster={cluster.address}", "--scale=endless", "--report-dir=report")
    study.wait_for(lambda: trainings(cluster), session)
    os.kill(session.pid, signal.SIGINT)
    assert session.wait(30) == pytest.ExitCode.INTERRUPTED, study.output
    end = time.monotonic() + 20
    while trainings(cluster):
        assert time.monotonic() < end
        time.sleep(0.1)


OCCUPY = """
import sys, time, ray
ray.init(address=sys.argv[1], logging_level="CRITICAL", log_to_driver=False)

@ray.remote(num_cpus=1)
def occupy(path):
    open(path, "a").close()
    time.sleep(1000)

tasks = [occupy.remote(f"{sys.argv[2]}/occupied-{at}") for at in range(2)]
time.sleep(1000)
"""


def test_a_full_cluster_is_waited_for_and_named(cluster, study):
    other = subprocess.Popen([sys.executable, "-c", OCCUPY, cluster.address, str(study.path)])
    try:
        while len([*study.path.glob("occupied-*")]) < 2:
            assert other.poll() is None
            time.sleep(0.1)
        impatient = "import harness.cluster.driver\nharness.cluster.driver._PATIENCE_SECONDS = 0.5"
        session = study.start(f"--cluster={cluster.address}", "-k", "1.0", "-v", code=impatient)
        line = "waiting for the cluster, whose cores are in use"
        study.wait_for(lambda: line in study.output, session)
    finally:
        other.kill()
        other.wait()
    assert session.wait(60) == 0, study.output
    assert study.output.count(line) == 1


def test_another_version_of_pytorch_is_refused(node, study):
    other = (
        "import harness.cluster.connection\nharness.cluster.connection.version = lambda _: '1.13.1+cpu'"
    )
    line = study.refused(f"--cluster={node.address}", code=other)
    assert re.fullmatch(
        r"ERROR: --cluster: the node \S+ \(\S+\) has torch [\d.]+; expected 1\.13\.1, as here", line
    )
    assert not (study.path / "reports").exists()


def test_an_engine_that_a_node_lacks_is_refused(node, study):
    line = study.refused(f"--cluster={node.address}", "--engine=cuda-graph")
    assert re.fullmatch(
        r"ERROR: --cluster: the node \S+ \(\S+\) cannot train test_rates.py::test_training\[halved\]: "
        "engine cuda-graph cannot run this experiment: .+",
        line,
    )


def test_a_gpu_that_no_node_has_is_refused(node, study):
    line = study.refused(f"--cluster={node.address}", "--device=cuda")
    assert line == "ERROR: --cluster: no node has a GPU, as --device cuda needs; use --device cpu"


def test_a_lost_head_node_costs_no_finished_row(node, study):
    """After the other tests of this cluster."""
    impatient = "import harness.cluster.driver\nharness.cluster.driver._HEAD_SECONDS = 3"
    arguments = (f"--cluster={node.address}", "--scale=long", "--report-dir=report")
    session = study.start(*arguments, code=impatient)
    runs = study.path / "report" / "runs"
    study.wait_for(lambda: runs.exists() and [*runs.glob("*.json")], session)
    node.head_node.kill_gcs_server()
    assert session.wait(90) == pytest.ExitCode.TESTS_FAILED, study.output
    assert "the cluster failed: its head node does not answer" in study.output
    assert "A study: tables and claims" in study.output
    assert 1 <= len(study.records("report")) < len(ROWS)


def test_an_address_where_nothing_answers_is_refused(study):
    started = time.monotonic()
    line = study.refused("--cluster=127.0.0.1:9")
    assert time.monotonic() - started < 20
    assert line == (
        "ERROR: --cluster: '127.0.0.1:9' does not answer; check the address, and `ray status` there"
    )


def test_an_address_where_something_else_listens_is_given_up(monkeypatch):
    monkeypatch.setattr(address, "ANSWER_SECONDS", 3)
    with socket.create_server(("127.0.0.1", 0)) as other:
        given = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ClusterError, match=rf"^'{given}' does not answer; check the address"):
            address.reach(given)


def test_without_tests_to_run_nothing_is_connected(study):
    assert study.run("--cluster=127.0.0.1:9", "--collect-only", "-q") == 0
    with suppress(FileNotFoundError):
        assert not [*(study.path / "reports").iterdir()]
