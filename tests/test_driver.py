"""The session's side of a cluster, with a made-up Ray: what is begun, begun again, and given up."""

import logging
import os
import pickle
import re
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import model.engines
from harness.cluster import address, board, connection, driver, task
from harness.cluster.address import ClusterError
from harness.cluster.board import Board, Reporter
from harness.cluster.connection import Connection, Node, line_of
from harness.cluster.driver import MOST_ATTEMPTS, Cluster, ClusterRow
from harness.cluster.task import Job, choose, digest_of, look, train_block
from harness.exercise import Published, Row
from harness.processes import environment
from harness.results.records import to_record
from model.dataset import MNIST
from model.environment import version
from model.optimizers import SGD
from tests.data import made_up
from tests.made_up_runs import trained


@dataclass(eq=False)
class Task:
    """A task that was passed to Ray, and how it ended, if it has."""

    function: Any
    options: dict[str, Any]
    args: tuple[Any, ...]
    result: Any = None


@dataclass
class MadeUpRay:
    """Notes the tasks, which end when a test says how."""

    tasks: list[Task] = field(default_factory=list)
    cancelled: list[Task] = field(default_factory=list)
    states: dict[Any, Any] = field(default_factory=dict)
    stored: list[Any] = field(default_factory=list)

    def __post_init__(self):
        self.exceptions = SimpleNamespace(
            **{name: type(name, (Exception,), {}) for name in driver._LOST}
        )
        self.registered, self.board_options = [], None
        self.cloudpickle = SimpleNamespace(
            dumps=lambda content: content, register_pickle_by_value=self.registered.append
        )

    def remote(self, function):
        def begin(options, args):
            if function is Board:
                self.board_options = options
                return SimpleNamespace(read=SimpleNamespace(remote=lambda: "board"))
            self.tasks.append(Task(function, options, args))
            return self.tasks[-1]

        return SimpleNamespace(
            options=lambda **options: SimpleNamespace(remote=lambda *args: begin(options, args))
        )

    def put(self, content):
        self.stored.append(content)
        return f"stored {len(self.stored)}"

    def get(self, reference, timeout=None):
        if reference == "board":
            assert timeout == 60
            return self.states
        if isinstance(reference.result, Exception):
            raise reference.result
        return reference.result

    def wait(self, references, num_returns, timeout):
        assert timeout == 0
        ready = [each for each in references if each.result is not None][:num_returns]
        return ready, [each for each in references if each not in ready]

    def cancel(self, reference, force):
        assert force
        self.cancelled.append(reference)


def machine(name="A CPU", cores=2):
    return {"device_name": name, "cores": cores, "gpus": 0}


class Session:
    """A session's cluster of two nodes, with the rows `long` and `short`, and what it was told."""

    def __init__(self, folder, monkeypatch, device="cpu", cores=2, engine="auto", seeds=range(5)):
        self.ray, self.nodes = MadeUpRay(), {"id-a": 2, "id-b": 2}
        self.done, self.shown, self.told, self.asked = [], [], [], []
        self.answers = [[{"engine": "eager", "left_out": {"numba": "too slow"}}] * 4] * 2
        self.threads = []
        of = [Node("id-a", "a (1.1)", machine()), Node("id-b", "b (1.2)", machine(cores=4))]
        self.connection = SimpleNamespace(
            ray=self.ray,
            nodes=of,
            machine=machine(cores=cores),
            device=device,
            cores=cores,
            usable=lambda: dict(self.nodes),
            here=lambda: {"at": "here"},
            on=lambda nodes: {"at": sorted(nodes)},
            each=self.each,
            close=lambda: self.told.append("closed"),
        )
        settings = SimpleNamespace(
            seeds=tuple(seeds), engine=engine, timing="exclusive", save_weights=True, data_root=folder
        )

        def thread(**given):
            self.threads.append(given)
            return SimpleNamespace(
                start=lambda: self.told.append("started"), join=lambda: self.told.append("joined")
            )

        monkeypatch.setattr(driver, "Connection", lambda *_: self.connection)
        monkeypatch.setattr(driver, "load", lambda *_: made_up())
        self.modules = []
        monkeypatch.setattr(driver, "_modules_in", lambda _: self.modules)
        monkeypatch.setattr(driver, "threading", SimpleNamespace(Thread=thread, Event=threading.Event))
        self.cluster = Cluster("auto", settings, self.told.append)
        exercise = SimpleNamespace(observers=())
        self.rows = {}
        for name, epochs in (("short", 1), ("long", 3)):
            row = Row(name, {"optimizer": SGD(0.1), "batch_size": 100}, Published(0.9, 100))
            experiment = trained(SGD(0.1), [0.1] * (epochs + 1), seconds=range(epochs + 1)).experiment
            self.rows[name] = ClusterRow(exercise, row, experiment)
        self.folder = folder

    def each(self, function, jobs, cores, digests, *data):
        assert function is choose
        self.chosen = (jobs, cores, digests, data)
        pairs = zip(self.connection.nodes, self.answers, strict=False)
        return [(node, answers[: len(jobs)]) for node, answers in pairs]

    def start(self, *cases):
        self.cluster.start(
            self.folder,
            self.rows,
            cases,
            lambda *ended: self.done.append(ended),
            lambda *state: self.shown.append(state),
            lambda: self.asked,
        )
        return self.cluster

    def begin(self):
        """Lets the cluster begin what fits; returns the blocks that run, by case and number."""
        self.cluster._begin_blocks(self.nodes)
        return {task.args[3]: task for task in self.cluster._running}

    def queued(self):
        return [(block.case, block.at) for block in self.cluster._queue]

    def begun(self, name, at, host="a", attempt=1):
        """Enters on the board that an attempt at the block has begun."""
        self.ray.states[name, at] = {
            "attempt": attempt, "node": f"id-{host}", "host": host, "running": True, "epoch": 0,
            "waiting": "",
        }  # fmt: skip


@pytest.fixture
def session(tmp_path, monkeypatch):
    return lambda **how: Session(tmp_path, monkeypatch, **how)


def test_the_longest_row_is_first_and_its_seeds_are_cut_into_blocks(session):
    """Five seeds on nodes of two cores: three blocks."""
    of = session()
    of.modules.append(ModuleType("of_the_study"))
    of.start("short", "long")
    assert of.ray.registered == of.modules
    blocks = of.cluster._queue
    assert [(each.case, each.at, each.seeds) for each in blocks] == [
        (name, at, seeds)
        for name in ("long", "short")
        for at, seeds in enumerate([(0, 1), (2, 3), (4,)])
    ]
    jobs, cores, digests, data = of.chosen
    assert (cores, data) == (2, ("stored 1",))
    arrays = of.ray.stored[0]
    assert digests == (digest_of(arrays),)
    assert [each.shape for each in arrays] == [(1025, 784), (1025,), (500, 784), (500,)]
    assert [job.pickled[0].epochs for job in jobs] == [3, 1]
    expected = Job(jobs[0].pickled, 0, "eager", True, "cpu", version("torch").partition("+")[0], True)
    assert [each.job for each in blocks if each.case == "long"] == [expected] * 3
    assert {each.data for each in blocks} == {(digests[0], "stored 1")}
    assert {each.engine for each in jobs} == {"auto"}  # as given, until a node has chosen
    assert of.threads == [{"target": of.cluster._watch, "daemon": True}]


def test_a_thread_watches_even_if_no_row_is_asked_for_yet(session):
    of = session()
    of.start()
    assert (of.told, of.queued(), len(of.threads)) == (["started"], [], 1)


def test_all_seeds_are_one_block_on_a_gpu(session):
    of = session(device="cuda")
    of.start("short")
    assert [each.seeds for each in of.cluster._queue] == [(0, 1, 2, 3, 4)]
    of.begin()
    assert (of.ray.tasks[0].options["num_gpus"], of.ray.tasks[0].options["num_cpus"]) == (1, 1)


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ((("numba", {}), ("eager", {"numba": "fails here"})), ("eager", {"numba": "fails here"})),
        ((("eager", {"numba": "fails here"}), ("numba", {})), ("eager", {"numba": "fails here"})),
        ((("numba", {"a": "1"}), ("numba", {"b": "2"})), ("numba", {"a": "1"})),
    ],
)
def test_a_row_is_trained_by_the_slowest_of_the_nodes_engines(session, answers, chosen):
    of = session()
    of.answers = [[{"engine": engine, "left_out": why}] for engine, why in answers]
    of.start("short")
    assert {(each.job.engine,) for each in of.cluster._queue} == {chosen[:1]}
    assert of.cluster._submitted["short"].left_out == chosen[1]


def test_a_node_that_cannot_train_a_row_is_named(session):
    of = session()
    good = {"engine": "eager", "left_out": {}}
    of.answers = [[good, good], [good, {"error": "no such engine"}]]
    with pytest.raises(ClusterError, match=r"^the node b \(1\.2\) cannot train short: no such engine$"):
        of.start("short", "long")  # the long one is asked for first
    of.answers = []
    with pytest.raises(ClusterError, match=r"^the cluster has lost all its nodes; start one with"):
        of.start("short")


def test_a_row_that_is_asked_for_later_is_submitted_once(session):
    of = session()
    of.start("long")
    of.asked = ["short", "long", "elsewhere"]
    for _ in range(2):
        of.cluster._submit_asked()
    assert of.queued() == [("long", 0), ("long", 1), ("long", 2), *(("short", at) for at in range(3))]
    assert len(of.ray.stored) == 1  # the data set of both
    assert of.done == []


def test_a_row_that_is_asked_for_and_cannot_be_trained_ends(session):
    of = session()
    of.start()
    of.answers, of.asked = [[{"error": "no such engine"}]], ["short"]
    of.cluster._submit_asked()
    ((case, error),) = of.done
    assert (case, str(error)) == ("short", "the node a (1.1) cannot train short: no such engine")


@pytest.mark.parametrize(
    ("cores", "nodes", "begun"),
    [
        ((2, 2, 1), {"a": 2, "b": 2}, 2),
        ((2, 1, 1), {"a": 2, "b": 2}, 3),  # exactly all cores
        ((2, 2, 1), {"a": 3}, 1),
        ((3, 1), {"a": 2}, 1),  # more than there are, but nothing else runs
        ((1,), {}, 0),
    ],
)
def test_as_many_blocks_begin_as_there_are_cores(session, cores, nodes, begun):
    of = session()
    of.start("short")
    of.cluster._queue.extend([replace(of.cluster._queue.popleft(), cores=each) for each in cores])
    for _ in range(3 - len(cores)):
        of.cluster._queue.popleft()
    of.nodes = nodes
    of.begin()
    assert [task.options["num_cpus"] for task in of.ray.tasks] == [*cores[:begun]]
    assert len(of.queued()) == len(cores) - begun
    of.begin()
    assert len(of.ray.tasks) == begun  # what runs counts


def test_a_task_is_given_what_it_needs(session):
    of = session(seeds=(7, 8), cores=4)
    of.start("short")
    (task,) = of.begin().values()
    job, seeds, cores, name, attempt, _, digest, data = task.args
    assert (task.function, seeds, cores, name, attempt) == (train_block, (7, 8), 4, ("short", 0), 1)
    assert (job.engine, digest, data) == ("eager", digest_of(of.ray.stored[0]), "stored 1")
    assert task.options == {
        "num_cpus": 4, "num_gpus": 0, "max_retries": 0, "name": "short", "at": ["id-a", "id-b"],
    }  # fmt: skip


def test_what_a_lost_node_had_is_queued_again_first(session):
    """Of four blocks, one trains on each node, one has not begun, and one's board is of the past."""
    of = session(seeds=range(4), cores=1)
    of.start("short", "long")
    of.nodes = {"id-a": 2, "id-b": 2}
    blocks = of.begin()
    assert [*blocks] == [("long", at) for at in range(4)]
    of.begun("long", 0, "a")
    of.begun("long", 1, "b")
    of.begun("long", 3, "a", attempt=2)
    of.cluster._give_up_lost({"id-a": 2, "id-b": 2}, of.ray.states)
    assert of.ray.cancelled == []
    of.cluster._give_up_lost({"id-a": 2}, of.ray.states)
    assert of.ray.cancelled == [blocks["long", at] for at in (1, 2, 3)]
    assert of.queued()[:4] == [("long", 3), ("long", 2), ("long", 1), ("short", 0)]
    assert [each.lost for each in of.cluster._queue][:3] == [(), (), ("b",)]
    of.cluster._give_up_lost({"id-a": 2, "id-c": 2}, of.ray.states)  # one has joined
    assert len(of.ray.cancelled) == 3
    of.cluster._give_up_lost({"id-c": 2}, of.ray.states)
    assert of.ray.cancelled[3:] == [blocks["long", 0]]


def test_a_block_is_lost_four_times_before_its_row_fails(session):
    assert MOST_ATTEMPTS == 4
    of = session(seeds=(0,))
    of.start("short")
    for attempt in (1, 2, 3, 4):
        assert of.done == []
        (task,) = of.begin().values()
        assert task.args[4] == attempt
        if attempt != 2:  # without a state, where it was is not known
            of.begun("short", 0, f"n{attempt}", attempt)
        task.result = of.ray.exceptions.WorkerCrashedError()
        of.cluster._collect()
    ((case, error),) = of.done
    assert case == "short"
    assert str(error) == (
        "the cluster could not train short: its node or process was lost 4 times, on n1, a node, n3, n4"
    )
    assert (of.queued(), of.begin()) == ([], {})


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"error": "no memory", "host": "b"}, "the node b could not train short: no memory"),
        ({"error": "no memory"}, "the cluster could not train short: no memory"),
        (KeyError("x"), "the cluster could not train short: 'x'"),
    ],
)
def test_an_error_of_a_task_ends_its_row(session, result, message):
    of = session(seeds=(0,))
    of.start("short")
    (task,) = of.begin().values()
    task.result = result
    of.cluster._collect()
    ((case, error),) = of.done
    assert (case, str(error)) == ("short", message)
    assert (of.begin(), of.cluster._unfinished) == ({}, set())


def part(seeds, host, device="A CPU", begun=1.0):
    training = trained(SGD(0.1), *[(0.1, 0.5 + seed / 10) for seed in seeds], seconds=(0, 2))
    training = replace(training, seeds=seeds)
    found = to_record(training, threads=1, left_out={}, published=Published())
    return {
        "record": found,
        "parameters": [np.array([[seed] for seed in seeds])],
        "device_name": device,
        "host": host,
        "begun_seconds": begun,
        "busy_seconds": begun + 2,
    }


def test_a_row_is_finished_when_all_its_blocks_are(session):
    of = session(seeds=(0, 1, 2))
    of.start("short")
    first, second = of.begin().values()
    second.result = part((2,), "b", begun=3.0)
    of.cluster._collect()
    assert of.done == []
    first.result = of.ray.exceptions.NodeDiedError()
    of.begun("short", 0, "c")
    of.cluster._collect()
    of.begin()["short", 0].result = part((0, 1), "a", begun=1.0)
    of.cluster._collect()
    ((case, found),) = of.done
    assert case == "short"
    record = found.record
    assert record["seeds"] == [0, 1, 2]
    assert record["test_accuracy"][-1] == pytest.approx([0.5, 0.6, 0.7])
    assert (record["seconds"], record["engines_left_out"]) == (4, {"numba": "too slow"})
    assert record["paper"] == {"test_accuracy": 0.9, "seconds": 100, "remark": ""}
    assert record["blocks"] == [
        {
            "seeds": seeds, "node": node, "device_name": "A CPU", "seconds": 2, "begun_seconds": begun,
            "busy_seconds": begun + 2, "lost": lost,
        }
        for seeds, node, begun, lost in [([0, 1], "a", 1, ["c"]), ([2], "b", 3, [])]
    ]  # fmt: skip
    assert "hardware" not in record
    assert [each.tolist() for each in found.parameters] == [[[0], [1], [2]]]


def test_hardware_other_than_the_runs_is_recorded(session):
    of = session(seeds=(0, 1, 2))
    of.start("short")
    for begun, result in zip(
        of.begin().values(), (part((0, 1), "a", "Z"), part((2,), "b", "B")), strict=True
    ):
        begun.result = result
    of.cluster._collect()
    assert of.done[0][1].record["hardware"] == {"device_name": "B and Z", "cores": 2}


@pytest.mark.parametrize(
    ("error", "failed", "lost"),
    [(ValueError("odd"), ["long"], False), (TimeoutError("no answer"), ["long", "later"], True)],
)
def test_a_failure_of_the_cluster_ends_the_rows_that_are_not_finished(session, error, failed, lost):
    """Those that may be asked for later, too, if the head node is lost."""
    of = session(seeds=(0,))
    of.start("short", "long")
    of.rows["later"] = of.rows["short"]
    of.begin()["short", 0].result = part((0,), "a")
    of.cluster._collect()
    (finished,) = of.done
    assert finished[0] == "short"
    of.cluster._fail(error)
    assert {case for case, _ in of.done[1:]} == {*failed}
    assert {str(error) for _, error in of.done[1:]} == {f"the cluster failed: {error}"}
    assert (of.queued(), of.begin(), of.cluster._is_lost) == ([], {}, lost)
    of.told.clear()
    of.cluster.close()
    assert of.told == ([] if lost else ["joined", "closed"])


def test_what_is_queued_fails_with_the_cluster(session):
    of = session(seeds=(0,))
    of.nodes = {"id-a": 1}
    of.start("short", "long")
    of.begin()
    assert of.queued() == [("short", 0)]
    of.cluster._fail(ValueError("odd"))
    assert (of.queued(), {case for case, _ in of.done}) == ([], {"short", "long"})


def test_each_block_on_a_gpu_takes_a_whole_one(session):
    of = session(device="cuda")
    of.rows["third"] = of.rows["short"]
    of.nodes = {"id-a": 1, "id-b": 1}
    of.start("short", "long", "third")
    assert len(of.begin()) == 2


def test_blocks_that_end_together_are_all_collected(session):
    of = session(seeds=(0,))
    of.rows |= {"third": of.rows["short"], "fourth": of.rows["short"]}
    of.nodes = {"id-a": 8}
    of.start("short", "long", "third", "fourth")
    tasks = of.begin()
    tasks["long", 0].result = of.ray.exceptions.NodeDiedError()
    tasks["fourth", 0].result = ValueError("odd")
    tasks["short", 0].result = {"error": "no such engine", "host": "b"}
    tasks["third", 0].result = part((0,), "a")
    of.cluster._collect()
    ended = dict(of.done)
    assert str(ended["fourth"]) == "the cluster could not train fourth: odd"
    assert str(ended["short"]) == "the node b could not train short: no such engine"
    assert ended["third"].record["blocks"][0]["node"] == "a"
    assert of.queued() == [("long", 0)]


def test_closing_cancels_what_runs(session):
    of = session(seeds=(0,))
    of.start("short", "long")
    running = [*of.begin().values()]
    of.cluster.close()
    assert of.ray.cancelled == running
    assert of.cluster._stopped.is_set()
    assert of.told == ["started", "joined", "closed"]


def test_what_cannot_be_cancelled_does_not_keep_the_connection_open(session, monkeypatch):
    of = session(seeds=(0,))
    of.start("short")
    of.begin()
    monkeypatch.setattr(MadeUpRay, "cancel", None)
    of.cluster.close()
    assert of.told == ["started", "joined", "closed"]


def test_the_states_of_unfinished_rows_are_shown(session):
    of = session(seeds=(0, 1, 2))
    of.start("long")
    _, second = of.begin().values()
    of.begun("long", 0)
    of.begun("long", 1, "b")
    of.ray.states["long", 0] |= {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "seconds": 4.0}
    second.result = part((2,), "b")
    of.cluster._collect()
    of.cluster._show_unfinished(of.ray.states)
    # Of two blocks of three epochs, one is after the first epoch, and one has ended.
    assert of.shown == [("long", {"epoch": 2, "loss": 0.5, "accuracy": 0.8, "seconds": 4.0})]


def test_nodes_and_waiting_in_words(session):
    of = session()
    assert of.cluster.about() == "1 node with A CPU, 2 cores; 1 node with A CPU, 4 cores"
    assert of.cluster.machine == machine()
    assert of.ray.board_options == {"num_cpus": 0, "at": "here"}
    assert of.cluster._why_idle() == "waiting for the cluster, whose cores are in use"
    of.nodes = {}
    assert of.cluster._why_idle().startswith("waiting for the cluster, whose nodes are gone; start")


class Watched:
    """Runs the loop of the watching thread, whose clock a test sets."""

    def __init__(self, of, monkeypatch, turns):
        self.now, self.turns = 100.0, iter(turns)
        self.cluster = of.cluster
        monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(driver, "_within", lambda seconds, function: function())
        self.cluster._stopped = SimpleNamespace(wait=self.wait)
        self.cluster._watch()

    def wait(self, seconds):
        assert seconds == 0.1
        for step in self.turns:
            if not callable(step):
                self.now += step
                return False
            step()
        return True


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([0, 10], []),
        ([0, 10.5], ["in use"]),
        ([0, 10.5, 20, 20], ["in use"]),  # once
        ([0] + [0.5] * 22, ["in use"]),
    ],
)
def test_waiting_for_longer_than_ten_seconds_is_told(session, monkeypatch, turns, told):
    of = session(seeds=(0,))
    of.start("short")
    of.told.clear()
    Watched(of, monkeypatch, turns)
    assert [line.rpartition("are ")[2] for line in of.told] == told


def test_the_watch_begins_blocks_collects_results_and_gives_up_lost_blocks_once(session, monkeypatch):
    of = session(seeds=(0,))
    of.start("short", "long")
    tasks = of.ray.tasks

    def one_ends():
        tasks[1].result = part((0,), "a")

    def a_node_is_lost():
        of.begun("long", 0, "b")
        del of.nodes["id-b"]

    Watched(of, monkeypatch, [0, 0.1, one_ends, 0.1, a_node_is_lost, 1, 0.1, 1, 1])
    assert [(task.options["name"], task.args[4]) for task in tasks] == [
        ("long", 1), ("short", 1), ("long", 2),
    ]  # fmt: skip
    assert [case for case, _ in of.done] == ["short"]
    assert of.ray.cancelled == tasks[:1]


def test_nothing_is_waited_for_while_a_block_trains_or_none_is_left(session, monkeypatch):
    of = session(seeds=(0,))
    of.start("short")
    of.begun("short", 0)
    of.told.clear()
    Watched(of, monkeypatch, [0, 11, 11])
    assert of.told == []
    assert [case for case, _ in of.shown] == ["short"] * 3  # one look each
    idle = session(seeds=(0,))
    idle.start()
    idle.told.clear()
    Watched(idle, monkeypatch, [0, 11, 11])
    assert idle.told == []


def test_the_board_is_read_every_second(session, monkeypatch):
    of = session(seeds=(0,))
    of.start("short")
    Watched(of, monkeypatch, [0, 0.5, 0.5, 0.75, 0.25])
    assert len(of.shown) == 3


@pytest.mark.parametrize(("error", "turns"), [(ValueError("odd"), 2), (TimeoutError("no head"), 1)])
def test_only_a_lost_head_node_ends_the_watch(session, monkeypatch, error, turns):
    of = session(seeds=(0,))
    of.start("short")
    asked = []

    def failing():
        asked.append(1)
        raise error

    of.cluster._asked = failing
    Watched(of, monkeypatch, [0, 2])
    assert len(asked) == turns
    assert {str(each) for _, each in of.done if _ == "short"} == {f"the cluster failed: {error}"}


def test_a_call_that_does_not_return_in_time_is_abandoned():
    going_on = threading.Event()
    assert driver._within(10, lambda: time.sleep(0.05) or {"a": 1}) == {"a": 1}
    with pytest.raises(TimeoutError, match=r"^its head node does not answer; continue with --resume"):
        driver._within(0.01, lambda: going_on.wait(10) and {})
    going_on.set()


def test_modules_below_the_study_travel_with_the_rows(tmp_path, monkeypatch):
    def module(name, file):
        made = ModuleType(name)
        made.__file__ = file
        return made

    modules = {
        name: module(name, file and str(file))
        for name, file in {
            "inside": tmp_path / "a" / "inside.py",
            "of_the_study": tmp_path / "x.py",
            "outside": tmp_path.parent / "y.py",
            "built_in": None,
        }.items()
    }
    monkeypatch.setattr(driver, "sys", SimpleNamespace(modules=modules))
    assert driver._modules_in(tmp_path) == [modules["inside"], modules["of_the_study"]]


# The board ---------------------------------------------------------------------------------------------


def test_a_task_reports_at_most_every_half_second(monkeypatch):
    now, sent = [10.0], []
    monkeypatch.setattr(board, "time", SimpleNamespace(monotonic=lambda: now[0]))
    actor = SimpleNamespace(
        update=SimpleNamespace(remote=lambda block, state: sent.append((block, state)))
    )
    reporter = Reporter(actor, ("row", 1))
    on_train = SimpleNamespace(loss=np.array([0.5, 1.5]))
    on_test = SimpleNamespace(accuracy=np.array([0.5, 0.75]))
    for epoch, at in enumerate([10.25, 10.5, 10.75, 11.0], 1):
        now[0] = at
        reporter.after_epoch(epoch, on_train, on_test)
    figures = {"loss": 1.0, "accuracy": 0.625}
    assert sent == [
        (("row", 1), {"epoch": 2, "seconds": 0.5, **figures}),
        (("row", 1), {"epoch": 4, "seconds": 1.0, **figures}),
    ]
    sent.clear()
    reporter.waiting("for b", True)
    reporter.end()
    assert sent == [(("row", 1), {"waiting": "for b"}), (("row", 1), {"running": False})]


def test_a_block_begins_by_the_boards_clock(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(board, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = Board()
    now[0] = 12.5
    assert found.begin(("row", 0), 1, "id", "a") == 2.5


# The connection ----------------------------------------------------------------------------------------


@pytest.fixture
def outputs(monkeypatch):
    """Sets what Ray's check prints, one output after another; returns the modes that it ran in."""
    modes = []

    def outputs(*texts):
        left = iter(texts)
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        monkeypatch.setattr(address.socket, "create_connection", lambda *_: nullcontext())
        monkeypatch.setattr(
            address, "_health", lambda _: modes.append(os.environ.get("RAY_AUTH_MODE")) or next(left)
        )
        return modes

    yield outputs
    os.environ.pop("RAY_AUTH_MODE", None)


@pytest.mark.parametrize("given", ["auto", "host:1", "1.2.3.4:65535", "[::1]:6379"])
def test_an_address_that_answers(outputs, given):
    modes = outputs("")
    address.reach(given)
    assert modes == [None]


@pytest.mark.parametrize(
    ("given", "host", "port", "error"),
    [
        ("host:1", "host", 1, ConnectionRefusedError),
        ("1.2.3.4:65535", "1.2.3.4", 65535, TimeoutError),
        ("[fe80::1]:6379", "fe80::1", 6379, OSError("unreachable")),
        ("a..b:6379", "a..b", 6379, UnicodeError("label empty or too long")),
    ],
)
def test_where_nothing_listens_ray_is_not_asked(monkeypatch, given, host, port, error):
    asked = []

    def refused(place, seconds):
        asked.append((*place, seconds))
        raise error

    monkeypatch.setattr(address.socket, "create_connection", refused)
    monkeypatch.setattr(address, "_health", None)
    with pytest.raises(ClusterError, match=rf"^'{re.escape(given)}' does not answer; check the address"):
        address.reach(given)
    assert asked == [(host, port, 5)]


def test_a_cluster_that_asks_for_a_token_is_given_it(outputs):
    modes = outputs("AuthenticationError: no token", "")
    address.reach("auto")
    assert modes == [None, "token"]


def test_a_token_that_is_refused_is_not_tried_again(outputs, monkeypatch):
    modes = outputs("AuthenticationError: this one")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(ClusterError, match=r"^'auto' asks for another token; copy "):
        address.reach("auto")
    assert modes == ["token"]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("Could not find any running Ray instance.", "finds no cluster on this machine; start one"),
        ("Timed out", "does not answer; check the address"),
        ("ray ConnectionError", "does not answer; check the address"),
        ("Failed to connect to GCS", "does not answer; check the address"),
        ("a\nb\nc: odd\n", "cannot be used: c: odd$"),
        ("a\nb: \x1b" + "c" * 400, r"cannot be used: b: \\x1b" + "c" * 293 + "$"),
    ],
)
def test_why_an_address_cannot_be_used(outputs, output, why):
    outputs(output)
    with pytest.raises(ClusterError, match=rf"^'a:1' {why}"):
        address.reach("a:1")


@pytest.mark.parametrize(
    ("status", "given", "found"),
    [(0, "auto", ""), (0, "a:1", ""), (3, "a:1", "outerr\nstatus 3")],
)
def test_rays_check_fails_with_its_output(monkeypatch, status, given, found):
    asked = []

    def run(command, **options):
        asked.append(command[3:])
        assert options == {
            "env": environment(), "capture_output": True, "encoding": "utf-8", "errors": "replace",
            "timeout": 12,
        }  # fmt: skip
        return SimpleNamespace(returncode=status, stdout="out", stderr="err")

    monkeypatch.setattr(address.subprocess, "run", run)
    assert address._health(given) == found
    assert asked == [["health-check", *([] if given == "auto" else ["--address", given])]]


def test_a_check_that_does_not_end_is_a_time_out(monkeypatch):
    def run(command, timeout, **_):
        raise address.subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(address.subprocess, "run", run)
    assert address._health("auto") == "Timed out"


def described(name, cpus=2, gpus=0, alive=True):
    return {
        "NodeID": name,
        "Alive": alive,
        "NodeManagerHostname": name,
        "NodeManagerAddress": "1.1",
        "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})},
    }


class Connected:
    """A connection to made-up nodes, which say of themselves what a test wants."""

    def __init__(self, monkeypatch, nodes, says):
        self.of_ray, self.told, self.tasks = nodes, [], []
        self.says, self.closed = says, 0
        monkeypatch.setattr(connection, "find_spec", lambda _: True)
        monkeypatch.setattr(connection, "reach", lambda _: None)
        monkeypatch.setattr(connection, "pinned_packages", lambda: ["a==1", "b==2"])
        monkeypatch.setattr(Connection, "_connect", lambda of, _: setattr(of, "ray", self))
        self.settings = SimpleNamespace(device="auto", cluster_same=False)

    def open(self, **settings):
        for name, value in settings.items():
            setattr(self.settings, name, value)
        return Connection("auto", self.settings, self.told.append)

    # Ray's functions.
    def nodes(self):
        return self.of_ray

    def remote(self, function):
        def begin(options, args):
            self.tasks.append((function, options, args))
            return options["label_selector"]["ray.io/node-id"].removeprefix("in(").removesuffix(")")

        return SimpleNamespace(
            options=lambda **options: SimpleNamespace(remote=lambda *args: begin(options, args))
        )

    def get(self, name, timeout):
        self.timeout = timeout
        found = self.says(name)
        if isinstance(found, Exception):
            raise found
        return found

    def shutdown(self):
        self.closed += 1


def good(name, cores=8, **changes):
    return {
        "host": name,
        "machine": machine(f"model {name[0]}", cores),
        "memory": 2**30,
        "torch": version("torch").partition("+")[0],
        "code": connection.code_digest([connection.ROOT / "model", connection.ROOT / "harness"]),
        **changes,
    }


@pytest.fixture
def connected(monkeypatch):
    return lambda nodes, says=good: Connected(monkeypatch, nodes, says)


def test_a_node_has_the_cores_that_ray_may_use(connected):
    ray = connected([described("a1", 4), described("b1", 16), described("c1", 2, alive=False)])
    found = ray.open()
    assert [(each.id, each.address, each.machine["cores"]) for each in found.nodes] == [
        ("a1", "a1 (1.1)", 4),
        ("b1", "b1 (1.1)", 8),
    ]
    assert (found.device, found.cores, ray.timeout, ray.told) == ("cpu", 4, 60, [])
    assert found.machine == machine("model a", 4)
    assert {(each[0], each[2], each[1]["num_cpus"]) for each in ray.tasks} == {(look, ("cpu",), 0)}


def test_the_machine_is_of_the_model_of_most_nodes(connected):
    ray = connected([described("a1", 8), described("b1", 4), described("b2", 2)])
    found = ray.open()
    assert found.machine == machine("model b", 2)
    assert ray.open(cluster_same=True).machine == machine("model a", 8)


@pytest.mark.parametrize(
    ("nodes", "device", "chosen"),
    [
        ([described("a", 1), described("b", 0)], "auto", ("cpu", ["a"])),
        ([described("a", 1), described("b", 1, gpus=1)], "auto", ("cuda", ["b"])),
        ([described("a", 1), described("b", 1, gpus=1)], "cpu", ("cpu", ["a", "b"])),
        ([described("a", 1), described("b", 1, gpus=0.5)], "auto", ("cpu", ["a", "b"])),
        ([described("a", 1), described("b", 1, gpus=2)], "cuda", ("cuda", ["b"])),
        ([described("a", 1)], "cuda", "no node has a GPU, as --device cuda needs; use --device cpu"),
        ([described("a", 0.5)], "auto", "the cluster has no node with a core; start one"),
        ([described("a", 0, gpus=1)], "auto", "the cluster has no node with a core; start one"),
    ],
)
def test_the_device_and_the_nodes_that_have_it(connected, nodes, device, chosen):
    ray = connected(nodes)
    if isinstance(chosen, str):
        with pytest.raises(ClusterError, match=f"^{chosen}"):
            ray.open(device=device)
        assert ray.closed == 1
    else:
        found = ray.open(device=device)
        assert (found.device, [each.id for each in found.nodes]) == chosen


def test_missing_packages_are_installed_and_then_looked_at_again(connected):
    installed = []

    def says(name):
        if not installed and name != "c":
            return {"lacks": "No module named 'numba'"}
        return good(name)

    ray = connected([described("a"), described("b"), described("c")], says)
    tell = ray.told.append
    ray.told = SimpleNamespace(append=lambda line: installed.append(line) or tell(line))
    found = ray.open()
    assert installed == ["installing 2 packages on a (1.1) and other nodes"]
    environment = {"pip": {"packages": ["a==1", "b==2"], "pip_check": False}}
    assert [task[1].get("runtime_env") for task in ray.tasks] == [None] * 3 + [environment] * 3
    assert ray.timeout == 1200
    assert found.on(["b", "a"]) == {
        "label_selector": {"ray.io/node-id": "in(a,b)"},
        "runtime_env": environment,
    }


def test_a_node_that_lacks_packages_alone_is_named_alone(connected):
    ray = connected(
        [described("a"), described("b")], lambda name: {"lacks": "x"} if name == "b" else good(name)
    )
    with pytest.raises(ClusterError, match=r"^the node b \(1\.1\) lacks a package: x$"):
        ray.open()
    assert ray.told == ["installing 2 packages on b (1.1)"]


def test_a_node_that_is_lost_meanwhile_is_left_out(connected):
    nodes = [described("a"), described("b")]

    def says(name):
        if name == "a":
            nodes[0]["Alive"] = False
            return OSError("lost")
        return good(name)

    ray = connected(nodes, says)
    found = ray.open()
    assert [each.id for each in found.nodes] == ["b"]
    nodes[0]["Alive"] = True  # it is back, but was not looked at
    assert found.usable() == {"b": 2}
    ray.says = lambda name: ValueError("odd")
    with pytest.raises(ClusterError, match=r"^the node b \(1\.1\) cannot run a task: odd$"):
        found.each(look, "cpu")


def test_if_all_nodes_are_lost_that_is_said(connected):
    nodes = [described("a")]
    ray = connected(nodes, lambda name: nodes[0].update(Alive=False) or OSError("lost"))
    with pytest.raises(ClusterError, match=r"^the cluster has lost all its nodes; start one with"):
        ray.open()


def test_nodes_that_join_are_used_unless_only_one_model_is(connected):
    nodes = [described("a1", 2), described("b1", 4)]
    ray = connected(nodes)
    everyone, alike = ray.open(), ray.open(cluster_same=True)
    nodes += [described("c1", 3), described("d1", 0.5)]
    assert everyone.usable() == {"a1": 2, "b1": 4, "c1": 3}
    assert alike.usable() == {"b1": 4}
    nodes[0]["Alive"] = nodes[1]["Alive"] = False
    assert everyone.usable() == {"c1": 3}


def test_each_node_that_is_alive_is_asked(connected):
    nodes = [described("a"), described("b"), described("c")]
    ray = connected(nodes)
    found = ray.open()
    nodes[0]["Alive"] = False

    def says(name):
        if name == "b":
            nodes[1]["Alive"] = False
            return OSError("lost")
        return f"of {name}"

    ray.says = says
    assert [(node.id, one) for node, one in found.each(look, "cpu")] == [("c", "of c")]
    assert ray.timeout == 1200


class RayModule(ModuleType):
    """A made-up `ray` for the connection itself."""

    def __init__(self, fails=None):
        super().__init__("ray")
        self.fails, self.given = fails, None
        self.cloudpickle = ModuleType("ray.cloudpickle")
        self._private = SimpleNamespace(worker=SimpleNamespace())

    def init(self, **given):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray does
        working = Path(given["runtime_env"]["working_dir"])
        self.given = given
        self.copied = sorted(
            path.relative_to(working).as_posix() for path in working.rglob("*") if path.is_file()
        )
        if self.fails:
            raise self.fails

    def nodes(self):
        return [described("a1", 2), {**described("b1"), "Resources": {"GPU": 1}}]

    def get_runtime_context(self):
        return SimpleNamespace(get_node_id=lambda: "id-here")

    def shutdown(self):
        raise RuntimeError("it was not connected")


@pytest.fixture
def connect(monkeypatch, tmp_path):
    """Connects by a made-up `ray`, from a checkout of two packages; returns what was reached."""
    temporary, root, reached = tmp_path / "tmp", tmp_path / "root", []
    temporary.mkdir()
    for name in ("harness/a.py", "harness/__pycache__/a.pyc", "model/data/b.py", "model/.cache", "c.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(connection, "ROOT", root)
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setattr(connection, "reach", reached.append)
    monkeypatch.setattr(
        Connection,
        "_look",
        lambda self, nodes, _: [Node(each["NodeID"], "", machine()) for each in nodes],
    )

    def connect(ray):
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setitem(sys.modules, "ray.cloudpickle", ray.cloudpickle)
        settings = SimpleNamespace(device="cpu", cluster_same=False)
        return Connection("host:1", settings, lambda _: None), reached

    return connect


def test_a_connection_takes_the_code_with_it_and_leaves_nothing(connect, tmp_path):
    before, ray = signal.getsignal(signal.SIGTERM), RayModule()
    found, reached = connect(ray)
    assert reached == ["host:1"]
    assert signal.getsignal(signal.SIGTERM) is before
    assert ray.copied == ["harness/a.py", "model/data/b.py"]
    (working,) = (tmp_path / "tmp").iterdir()
    assert ray.given == {
        "address": "host:1",
        "runtime_env": {"working_dir": str(working)},
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
    }
    assert ray._private.worker.print_to_stdstream("a line") is None
    assert [node.id for node in found.nodes] == ["a1"]  # the other one has no core
    assert found.usable() == {"a1": 2}
    assert found.here() == {"label_selector": {"ray.io/node-id": "in(id-here)"}}
    assert found.on(["a1"]) == {"label_selector": {"ray.io/node-id": "in(a1)"}}
    found.close()
    found.close()
    assert not [*(tmp_path / "tmp").iterdir()]


def test_a_connection_that_fails_is_reported_and_leaves_nothing(connect, tmp_path):
    before, ray = signal.getsignal(signal.SIGTERM), RayModule(OSError("no route"))
    del ray._private.worker  # as in a version that has no such function
    with pytest.raises(ClusterError, match=r"^'host:1' cannot be used: no route$"):
        connect(ray)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [*(tmp_path / "tmp").iterdir()]


def caused(error, by):
    error.cause = by
    return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError(""), "ValueError"),
        (
            ValueError("in a task\n  File x\nKeyError: 'a'\nOSError: no disk\nso it is"),
            "OSError: no disk",
        ),
        (caused(ValueError("outer"), KeyError("inner")), "'inner'"),
        (ValueError("x" * 301), "x" * 300),
    ],
)
def test_the_cause_of_an_error_of_rays_in_one_line(error, line):
    assert line_of(error) == line


def test_the_priority_and_threads_that_ray_sets_are_undone(monkeypatch):
    given = []
    monkeypatch.setattr(os, "setpriority", lambda *values: given.append(values))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = look("cpu")
    assert "OMP_NUM_THREADS" not in os.environ
    assert given == [(os.PRIO_PROCESS, 0, 0)]
    assert found["machine"]["cores"] >= 1
    assert found["torch"] == version("torch").partition("+")[0]


# What runs on a node -----------------------------------------------------------------------------------


def job(engine="auto", **changes):
    experiment = trained(SGD(0.1), [0.1, 0.2], seconds=(0, 1)).experiment
    given = {
        "pickled": pickle.dumps((experiment, (), {})), "dataset": 0, "engine": engine,
        "exclusive": False, "device": "cpu", "torch": version("torch").partition("+")[0], **changes,
    }  # fmt: skip
    return Job(**given)


def arrays_of_data():
    tensors = (made_up().train_images, made_up().train_labels, made_up().test_images)
    return [each.numpy() for each in (*tensors, made_up().test_labels)]


@pytest.fixture
def engines(monkeypatch):
    """Notes what is proved and chosen on a node; returns the notes."""
    done = []
    monkeypatch.setattr(model.engines, "unproven", lambda *_: True)
    monkeypatch.setattr(model.engines, "prove_engines", lambda experiment, data: done.append("proved"))
    monkeypatch.setattr(model.engines, "left_out", lambda *_: {"numba": "too slow"})

    def chosen(name, experiment, device):
        done.append(f"chose {name}")
        if name == "odd":
            raise model.engines.EngineError("no engine is called odd")
        return SimpleNamespace(NAME="eager")

    monkeypatch.setattr(model.engines, "choose_engine", chosen)
    return done


def test_engines_prove_themselves_on_a_node_if_auto_chooses(engines):
    arrays = arrays_of_data()
    found = choose([job(), job("eager"), job("odd")], 1, [digest_of(arrays)], arrays)
    assert found == [
        {"engine": "eager", "left_out": {"numba": "too slow"}},
        {"engine": "eager", "left_out": {}},
        {"error": "no engine is called odd"},
    ]
    assert engines == ["proved", "chose auto", "chose eager", "chose odd"]


def test_proved_engines_are_not_proved_again(engines, monkeypatch):
    monkeypatch.setattr(model.engines, "unproven", lambda *_: False)
    arrays = arrays_of_data()
    choose([job()], 1, [digest_of(arrays)], arrays)
    assert engines == ["chose auto"]


def test_each_job_has_its_own_data_set(engines):
    arrays = arrays_of_data()
    other = [arrays[0] + 1, *arrays[1:]]
    given = [digest_of(arrays), digest_of(other)]
    assert given[0] != given[1]
    assert "engine" in choose([job(dataset=1)], 1, given, arrays, other)[0]
    (found,) = choose([job(dataset=1)], 1, [given[1], given[0]], other, arrays[:1])
    assert found["error"].endswith(" arrived damaged; run again with --resume")


def test_data_are_converted_once_and_may_be_written_to():
    arrays = arrays_of_data()
    for each in arrays:
        each.flags.writeable = False
    first = task._arrived(MNIST, arrays, digest_of(arrays), torch.device("cpu"))
    assert task._arrived(MNIST, None, digest_of(arrays), torch.device("cpu")) is first
    assert torch.equal(first.train_images, made_up().train_images)
    assert torch.equal(first.test_labels, made_up().test_labels)
    first.train_images.add_(1)  # a copy
    assert arrays[0].max() <= 1
    task._data.clear()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2, np.int64), np.zeros(2, np.float64)),
        (np.zeros(2), np.array([0.0, 1.0])),
    ],
)
def test_a_digest_is_of_shapes_types_and_contents(one, other):
    assert digest_of([one]) == digest_of([one.copy()])
    assert digest_of([one]) != digest_of([other])
    assert digest_of([one, other]) != digest_of([other, one])
    assert len(digest_of([one])) == 32


@pytest.fixture
def ray(monkeypatch):
    """Puts a made-up `ray` and a board in place; returns what the board was told."""
    told = []
    remote = lambda name: SimpleNamespace(  # noqa: E731
        remote=lambda *given: told.append((name, *given)) or 12.5
    )
    made = ModuleType("ray")
    made.get = lambda reference: reference
    made.get_runtime_context = lambda: SimpleNamespace(get_node_id=lambda: "id-a")
    monkeypatch.setitem(sys.modules, "ray", made)
    return told, SimpleNamespace(begin=remote("begin"), update=remote("update"))


def test_a_block_is_trained_and_reported(ray, monkeypatch):
    told, actor = ray
    times = iter([100.0, 101.0, 104.5])
    monkeypatch.setattr(task, "time", SimpleNamespace(monotonic=lambda: next(times)))
    monkeypatch.setattr(task, "_trained", lambda *given: {"record": given[:3]})
    monkeypatch.setattr(task.platform, "node", lambda: "a")
    found = train_block("job", (3, 4), 2, ("row", 1), 2, actor, "digest", [])
    assert found["record"] == ("job", (3, 4), 2)
    assert (found["host"], found["begun_seconds"], found["busy_seconds"]) == ("a", 12.5, 1.0)
    assert told == [
        ("begin", ("row", 1), 2, "id-a", "a"),
        ("update", ("row", 1), {"running": False}),
    ]


def test_a_block_that_fails_has_ended(ray, monkeypatch):
    told, actor = ray

    def failing(*_):
        raise KeyError("odd")

    monkeypatch.setattr(task, "_trained", failing)
    with pytest.raises(KeyError):
        train_block("job", (3,), 1, ("row", 1), 1, actor, "digest", [])
    assert told[-1] == ("update", ("row", 1), {"running": False})


def test_the_result_of_a_block():
    arrays = arrays_of_data()
    reporter = SimpleNamespace(waiting=lambda *_: None, after_epoch=lambda *_: None)
    given = ((3, 5), 1, reporter, digest_of(arrays), arrays)
    found = task._trained(job("eager", keep_parameters=True), *given)
    assert found["record"]["seeds"] == [3, 5]
    assert (found["record"]["engine"], found["record"]["engines_left_out"]) == ("eager", {})
    assert found["record"]["threads"] == torch.get_num_threads()
    assert [each.shape for each in found["parameters"]][-1] == (2, 10)
    assert found["device_name"]
    assert task._trained(job("eager"), *given)["parameters"] == []
    assert task._trained(job("eager", torch="1.0"), *given) == {
        "error": f"it has torch {version('torch').partition('+')[0]}; expected 1.0, as in this session"
    }
    damaged = task._trained(job("eager"), (3,), 1, reporter, "0" * 32, arrays)
    assert damaged["error"].endswith(" arrived damaged; run again with --resume")


def test_memory_that_runs_out_is_reported_in_one_line(monkeypatch):
    def train(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB.")

    monkeypatch.setattr("harness.results.training.train_evenly", train)
    arrays = arrays_of_data()
    reporter = SimpleNamespace(waiting=lambda *_: None, after_epoch=lambda *_: None)
    assert task._trained(job("eager"), (3,), 1, reporter, digest_of(arrays), arrays) == {
        "error": "CUDA out of memory; reduce --replicates"
    }


@pytest.mark.parametrize("exclusive", [True, False])
def test_only_an_exclusive_block_takes_a_lease(monkeypatch, exclusive):
    leased = []

    def lease(devices, cores, applicant):
        leased.append((devices, cores, applicant))
        return nullcontext(devices[0])

    monkeypatch.setattr("harness.hardware.lease.lease", lease)
    with task._leased(job(exclusive=exclusive), 3, "applicant") as device:
        assert device == torch.device("cpu")
    assert leased == ([([torch.device("cpu")], 3, "applicant")] if exclusive else [])


def test_a_block_is_trained_as_its_job_says(monkeypatch):
    """With the exercise's observers, alone on its cores or not, and with the classes that travel."""
    given, kept = [], []

    def train(experiment, data, **how):
        given.append((experiment.learning_rate, len(data.train_images), how))
        raise model.engines.EngineError("that is all")

    monkeypatch.setattr("harness.results.training.train_evenly", train)
    monkeypatch.setattr("model.by_name.keep", kept.append)
    monkeypatch.setattr("harness.hardware.lease.lease", lambda devices, *_: nullcontext(devices[0]))
    experiment = trained(SGD(0.1), [0.1, 0.2], seconds=(0, 1)).experiment
    pickled = pickle.dumps((experiment, ("an observer",), {"a.Class": 1}))
    reporter = SimpleNamespace(waiting=lambda *_: None, after_epoch=lambda *_: None)
    arrays = arrays_of_data()
    of = job("eager", pickled=pickled, exclusive=True, keep_parameters=True)
    assert task._trained(of, (3, 4), 1, reporter, digest_of(arrays), arrays) == {"error": "that is all"}
    assert kept == [{"a.Class": 1}]
    assert given == [
        (
            0.1,
            1025,
            {
                "seeds": (3, 4), "engine": "eager", "observers": ("an observer",), "exclusive": True,
                "keep_parameters": True, "after_epoch": reporter.after_epoch,
            },
        )
    ]  # fmt: skip


@pytest.mark.parametrize("lacking", ["psutil", "model.environment"])
def test_a_package_that_a_node_lacks_is_told(monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    found = look("cpu")
    assert lacking in found["lacks"]
    assert "torch" not in found


def test_what_ray_sets_is_undone_before_a_proof_and_a_training(ray, engines, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arrays = arrays_of_data()
    choose([job()], 1, [digest_of(arrays)], arrays)
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(task, "_trained", lambda *_: {"threads": os.environ.get("OMP_NUM_THREADS")})
    found = train_block("job", (3,), 1, ("row", 1), 1, ray[1], "digest", [])
    assert found["threads"] is None


def test_a_priority_that_may_not_be_raised_stays(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert "torch" in look("cpu")


def test_a_process_keeps_the_last_data_set_only():
    arrays = arrays_of_data()
    other = [arrays[0] + 1, *arrays[1:]]
    for each in (arrays, other):
        task._arrived(MNIST, each, digest_of(each), torch.device("cpu"))
    assert [*task._data] == [(digest_of(other), "cpu")]
    task._data.clear()
