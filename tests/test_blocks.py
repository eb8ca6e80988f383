"""Blocks of seeds, the state of rows on a cluster, and its nodes: everything that needs no Ray."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster import connection
from harness.cluster.address import ClusterError, reach
from harness.cluster.board import Board, state_of_row
from harness.cluster.connection import Connection, Node, _alike, _unfit
from harness.cluster.packages import pinned_packages
from harness.cluster.task import public
from harness.exercise import Published
from harness.files.record import Block
from harness.report.nodes import counts_of_nodes, rows_of_nodes
from harness.report.scaling import makespan, scaling, use_of
from harness.results.records import to_case, to_record
from harness.results.seed_blocks import cut_seeds, join
from model.environment import code_digest, version
from model.experiment import Experiment
from model.optimizers import SGD
from model.train import train
from tests.conftest import ROOT
from tests.data import made_up
from tests.made_up_runs import record, trained
from tests.properties import at_any_speed


@at_any_speed
@given(st.lists(st.integers(), min_size=1, max_size=50, unique=True), st.integers(1, 60))
def test_blocks_have_all_seeds_in_order_and_are_as_few_and_equal_as_possible(seeds, most):
    found = cut_seeds(seeds, most)
    assert [seed for block in found for seed in block] == seeds
    assert len(found) == -(-len(seeds) // most)
    assert max(map(len, found)) <= most
    assert max(map(len, found)) - min(map(len, found)) <= 1


def part(*seeds, **changes):
    experiment = Experiment(optimizer=SGD(0.5), batch_size=100, epochs=2)
    found = train(experiment, made_up(), seeds=seeds, engine="eager")
    return {**to_record(found, threads=1, left_out={}, published=Published()), **changes}


def test_joined_blocks_are_the_training_of_all_seeds():
    together, parts = part(3, 5, 8), [part(3), part(5, 8)]
    joined = join(parts)
    assert joined.keys() == together.keys()
    times = {"seconds", "epoch_seconds", "prepare_seconds"}
    for name in together.keys() - times:
        assert joined[name] == together[name], name
    assert joined["seconds"] == sum(each["seconds"] for each in parts)
    assert joined["epoch_seconds"] == [
        pytest.approx(sum(both)) for both in zip(*(each["epoch_seconds"] for each in parts), strict=True)
    ]
    assert joined["epoch_seconds"][-1] == joined["seconds"]
    assert joined["prepare_seconds"] == sum(each["prepare_seconds"] for each in parts)


def test_blocks_of_unlike_engines_are_not_joined():
    with pytest.raises(ValueError, match=r"^its blocks differ: engine is eager and numba$"):
        join([part(0), part(1, engine="numba")])


def test_an_attempt_begins_anew():
    board = Board()
    started = board.begin(("row", 0), 1, "id-a", "a")
    board.update(("row", 0), {"epoch": 3, "waiting": "for b"})
    first = {"attempt": 1, "node": "id-a", "host": "a", "running": True, "epoch": 3, "waiting": "for b"}
    assert board.read() == {("row", 0): first}
    assert board.begin(("row", 0), 2, "id-b", "b") >= started >= 0
    board.begin(("row", 1), 1, "id-b", "b")
    state = {"attempt": 2, "node": "id-b", "host": "b", "running": True, "epoch": 0, "waiting": ""}
    assert board.read() == {("row", 0): state, ("row", 1): {**state, "attempt": 1}}


def running(epoch, loss=None, waiting="", node="a"):
    state = {"host": node, "epoch": epoch, "waiting": waiting}
    return state if loss is None else {**state, "loss": loss, "accuracy": loss / 2, "seconds": epoch}


@pytest.mark.parametrize(
    ("blocks", "ended", "expected"),
    [
        ([None, None], [False, False], {"epoch": 0, "waiting": "waiting for the cluster"}),
        ([running(0), None], [False, False], {"epoch": 0, "waiting": "starting on a"}),
        (
            [running(0), running(0, node="b"), None],
            [False] * 3,
            {"epoch": 0, "waiting": "starting on b"},
        ),
        ([running(0, waiting="for b")], [False], {"epoch": 0, "waiting": "for b"}),
        ([running(4, 1.0)], [False], {"epoch": 4, "loss": 1.0, "accuracy": 0.5, "seconds": 4}),
        (
            [running(4, 1.0), None],
            [False, False],
            {"epoch": 2, "loss": 1.0, "accuracy": 0.5, "seconds": 4},
        ),
        (
            [running(5, 1.0), running(0), None],
            [False] * 3,
            {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "seconds": 5},
        ),
        # The first has ended, though its last report was of epoch 4.
        (
            [running(4, 1.0), running(6, 3.0)],
            [True, False],
            {"epoch": 8, "loss": 2.0, "accuracy": 1.0, "seconds": 6},
        ),
        (
            [running(9, 1.0), running(9, 1.0)],
            [True, True],
            {"epoch": 9, "loss": 1.0, "accuracy": 0.5, "seconds": 9},
        ),
    ],
)
def test_the_state_of_a_row_is_that_of_its_blocks(blocks, ended, expected):
    assert state_of_row(blocks, ended, 10) == expected


GOOD = {
    "torch": public(version("torch")),
    "code": code_digest([ROOT / "model", ROOT / "harness"]),
    "machine": {},
    "memory": 2**30,
}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"lacks": "No module named 'numba'"}, r"lacks a package: No module named 'numba'"),
        ({"torch": "1.0"}, rf"has torch 1\.0; expected {re.escape(GOOD['torch'])}, as here"),
        ({"code": "abc"}, rf"has other code of the suite, abc; expected {GOOD['code']}, as here"),
        ({"machine": None}, r"has a GPU that its PyTorch cannot use; .+, or use --device cpu"),
        ({"memory": 2**29}, r"has 0\.5 GiB of memory; expected at least 1"),
    ],
)
def test_a_node_that_cannot_train_says_why(changes, why):
    found = _unfit({**GOOD, **changes})
    assert found is None if why is None else re.fullmatch(why, found)


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(ClusterError, match=r"^needs Ray, which is not installed; `pip install ray`"):
        Connection("auto", None, print)


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "a b:1", "host:123456", "host:65536", "ray://a:1"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ClusterError, match=r"^'.*' is not an address; expected auto or HOST:PORT$"):
        reach(address)


def node(name, cores, gpus=0):
    return Node(name, name, {"device_name": name[0], "cores": cores, "gpus": gpus})


@pytest.mark.parametrize(
    ("nodes", "chosen"),
    [
        ([node("a1", 1), node("a2", 1), node("b1", 3)], ["b1"]),
        ([node("a1", 2), node("b1", 3), node("a2", 2)], ["a1", "a2"]),
        ([node("b1", 2), node("a1", 2)], ["a1"]),
        ([node("a1", 64, gpus=1), node("b1", 1, gpus=2)], ["b1"]),
    ],
)
def test_alike_nodes_are_those_of_the_model_with_most_cores_or_gpus(nodes, chosen):
    assert [each.id for each in _alike(nodes)] == chosen


def test_packages_are_pinned_without_their_builds():
    found = pinned_packages()
    assert f"torch=={public(version('torch'))}" in found
    assert all(re.fullmatch(r"[\w-]+==[^+\s]+", each) for each in found)
    assert len(found) == len({each.partition("==")[0] for each in found}) >= 15


def block(node, *seeds, seconds=1.0, begun=0.0, busy=2.0, lost=()):
    return Block(
        seeds=list(seeds),
        node=node,
        device_name="A CPU",
        seconds=seconds,
        begun_seconds=begun,
        busy_seconds=busy,
        lost=list(lost),
    )


def on_nodes(name, *blocks):
    seeds = [seed for each in blocks for seed in each.seeds] or [0]
    training = trained(SGD(0.5), *[[0.1, 0.9]] * len(seeds), seconds=[0, 1])
    found = to_case(record("bench/test_1_fake.py", name, training, Published()), resumed=False)
    return found.model_copy(update={"blocks": list(blocks), "seeds": seeds})


def test_nodes_and_their_rows_in_words():
    cases = [
        on_nodes("one", block("b", 0), block("a", 1, lost=["c", "c"])),
        on_nodes("two", block("b", 0), block("b", 1)),
    ]
    assert counts_of_nodes(cases) == [
        "Trained on a cluster: 1 row on a, 2 rows on b.",
        "Trained again after a node or a process was lost: one (c); the lost attempts count in no time.",
    ]
    assert rows_of_nodes(cases) == ["Trained on a: one (seeds 1); on b: one (seeds 0), two."]
    assert counts_of_nodes([on_nodes("one")]) == rows_of_nodes([on_nodes("one")]) == []


def test_the_use_of_a_cluster_on_paper():
    blocks = [block("a", 0, begun=10, busy=40, seconds=20), block("b", 0, begun=10, busy=90, seconds=60)]
    found = use_of(blocks, 2)
    # 100 s of two cores: 130 s busy and 80 s training of 200 s.
    assert (found.wall_seconds, found.busy, found.training) == (100, 0.65, 0.4)


@pytest.mark.parametrize(
    ("seconds", "workers", "end"),
    [([5, 1, 1, 1], 2, 5), ([3, 3, 2], 2, 5), ([1], 8, 1), ([1, 1, 1], 1, 3), ([2, 4, 4, 2, 6], 3, 6)],
)
def test_the_makespan_of_the_longest_first(seconds, workers, end):
    assert makespan(seconds, workers) == end


def test_larger_runs_are_simulated_from_the_blocks():
    cases = [on_nodes("one", block("a", 0, begun=4, busy=16)), on_nodes("two", block("b", 0, busy=8))]
    text = scaling(cases)
    assert text.startswith("2 blocks on 2 nodes of a core took 20 s from the connection")
    assert "busy for 60% of that time" in text  # 24 s of 40 s
    # Ten seeds on 8 cores: from 0 s on, ten tasks of 16 s and ten of 8 s, which end after 32 s.
    assert re.search(r"^\| +10 \| +32 s, 94% \|", text, re.MULTILINE)
    with pytest.raises(LookupError, match=r"^needs rows that a cluster trained"):
        scaling([on_nodes("one")])
