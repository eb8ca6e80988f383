"""Sessions whose rows a made-up cluster trains: how records, failures and refusals get into them."""

import pytest

import harness.cluster.driver
from harness.files.weights import read_network

CONFTEST = """
import harness.cluster.driver
from harness.cluster.address import ClusterError
from tests.made_up_cluster import MadeUpCluster

class Cluster(MadeUpCluster):
    pass

harness.cluster.driver.Cluster = Cluster
"""
CLAIM = """
from harness.claim import claim

@claim("It compares a row that is not selected.")
def test_claim(trained, decide):
    decide(trained("sgd-lr0.5").test_accuracy[-1].mean() > 0.9, "It does.")
"""
FULL = """
import harness.results.store
from harness.files.sealed import FileError

def put(self, name, key, content):
    raise FileError("x.json cannot be written: No space left on device")

harness.results.store.Store.put = put
"""


@pytest.fixture
def suite(suite, monkeypatch):
    """The miniature suite, on a made-up cluster."""
    monkeypatch.setattr(harness.cluster.driver, "Cluster", None)  # the conftest replaces it
    configure(suite)
    return suite


def configure(suite, code=""):
    conftest = suite.path / "bench" / "conftest.py"
    conftest.write_text(conftest.read_text() + CONFTEST + code)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "two workers"])
def test_the_records_are_those_of_the_cluster(suite, workers):
    result = suite.run("--cluster=auto", "--replicates=2", *workers)
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["6 rows to train on a cluster: 2 made-up nodes"])
    result.stdout.fnmatch_lines(["*study: bench; rows: 6; submitted: 6"])
    cases = suite.cases()
    assert len(cases) == 6
    record = suite.record("test_1_fake.sgd-lr0.25")
    assert record["seeds"] == [0, 1]
    assert record["test_accuracy"][-1] == pytest.approx([0.95, 0.951])
    assert record["paper"]["test_accuracy"] == 0.5
    machine = suite.summary()["machine"]
    assert (machine["device_name"], machine["cores"]) == ("Made up", 7)


def test_only_selected_rows_are_submitted_and_others_when_a_claim_asks(suite):
    suite.add(1, CLAIM)
    result = suite.run("--cluster=auto", "-k", "claim or 0.25")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["2 rows to train on a cluster: 2 made-up nodes"])
    result.stdout.fnmatch_lines(["*study: bench; rows: 6; submitted: 2"])
    result.stdout.fnmatch_lines(["*asked for bench/test_1_fake.py::test_training?sgd-lr0.5?"])
    assert len(suite.records()) == 3


def test_a_row_that_cannot_be_trained_fails_with_its_reason(suite):
    configure(suite, 'Cluster.fails = {"sgd-lr0.5": ClusterError("the node a could not train it: why")}')
    result = suite.run("--cluster=auto")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["the node a could not train it: why"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_finished_rows_are_not_submitted_again(suite):
    suite.run("--cluster=auto", "-k", "0.25").assert_outcomes(passed=2)
    result = suite.run("--cluster=auto", "--resume")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*study: bench; rows: 6; submitted: 4"])


def test_weights_are_saved_before_the_record(suite):
    suite.run("--cluster=auto", "--save-weights", "-k", "0.25").assert_outcomes(passed=2)
    files = sorted((suite.report / "weights").iterdir())
    assert len(files) == 2
    network = read_network(files[0])
    assert all(bool((each == 0.25).all()) for each in network.state.values())


def test_the_progress_of_a_finished_row_is_its_result(suite, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "harness.plugin.cluster.ProgressFile.copy", lambda file, state: shown.append({**state})
    )
    suite.run("--cluster=auto", "--replicates=2", "-k", "1_fake and 0.25").assert_outcomes(passed=1)
    (state,) = shown
    assert state == {
        "epoch": 1,
        "seconds": 0.25,
        "loss": pytest.approx(1 - 0.9505),
        "accuracy": pytest.approx(0.9505),
    }


def test_a_cluster_that_cannot_be_used_is_refused_in_one_line(suite):
    configure(
        suite,
        "def refuse(*_):\n    raise ClusterError('no node has a GPU')\n\nCluster.__init__ = refuse\n",
    )
    assert suite.refused("--cluster=auto") == "ERROR: --cluster: no node has a GPU"


def test_a_row_that_no_node_can_train_is_refused_in_one_line(suite):
    configure(
        suite,
        "def refuse(*_):\n    raise ClusterError('the node a has no eager')\n\nCluster.start = refuse\n",
    )
    result = suite.run("--cluster=auto")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line.strip()] == [
        "ERROR: --cluster: the node a has no eager"
    ]


def test_a_repeated_row_is_refused(suite):
    suite.add(1, "@pytest.mark.parametrize('time', range(2))\ndef test_again(train, time):\n    pass\n")
    text = suite.module(1).read_text()
    suite.module(1).write_text(
        text.replace(
            "def test_training(train, row):\n", "def test_training(train, row):\n    train(row)\n"
        )
    )
    result = suite.run("--cluster=auto", "-k", "1_fake and 0.25")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*sgd-lr0.25? is repeated, which is not possible with --cluster"])


def test_listing_tests_connects_to_nothing(suite):
    configure(suite, "Cluster.__init__ = None\n")
    for option in ("--collect-only", "--setup-only"):
        assert suite.run("--cluster=auto", option).ret == 0


def test_a_session_closes_the_cluster_before_it_writes_its_report(suite):
    result = suite.run("--cluster=auto", "-k", "0.25")
    lines = result.outlines
    (closed,) = (at for at, line in enumerate(lines) if "the cluster is closed" in line)
    (tables,) = (at for at, line in enumerate(lines) if "tables and claims" in line)
    assert closed < tables


def test_a_full_disk_ends_the_session_in_one_line(suite):
    configure(suite, FULL)
    result = suite.run_apart("--cluster=auto", "-k", "0.25")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    line = "the session ends, since results cannot be written: x.json cannot be written: No space left"
    assert result.stdout.str().count(line) == 1
