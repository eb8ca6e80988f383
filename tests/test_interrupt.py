"""Ctrl-C and SIGTERM in mid-training: soon over, what had finished is summed up, nothing is left."""

import os
import signal

import pytest

from tests.processes import wait_for_the_end_of


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["Ctrl-C", "SIGTERM"],  # a terminal sends Ctrl-C to the workers as well
)
def test_an_interrupted_session(suite, number, whole_group, workers):
    suite.hang()
    session = suite.start("-k", "test_1", "-n", workers, "--timing", "shared")
    # All that can finish has: without workers the last row comes after the one that hangs.
    suite.wait_until_it_hangs(others=1 if workers == "0" else 2)
    finished = {record["id"] for record in suite.records()}
    (os.killpg if whole_group else os.kill)(session.pid, number)
    # In half of the time that the training would hang.
    assert session.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
    wait_for_the_end_of(session.pid)
    output = (suite.path / "output.txt").read_text()
    assert "Traceback" not in output
    assert "Did not run: " in output
    assert {case["id"] for case in suite.summary()["cases"]} == finished
    assert not (suite.report / "locks").exists()
    suite.go()
    suite.run("-k", "test_1", "-n", workers, "--timing", "shared", "--resume").assert_outcomes(passed=3)
