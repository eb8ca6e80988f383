"""Ctrl-C and SIGTERM in mid-training: soon over, what had finished is summed up, nothing is left."""

import os
import signal
import time

import pytest

from tests.processes import wait_for_the_end_of

# Issue: 5 seconds. Twice that is asserted, as the machine may be busy with other tests.
_SOON = 10


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
    started = time.monotonic()
    (os.killpg if whole_group else os.kill)(session.pid, number)
    assert session.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
    assert time.monotonic() - started < _SOON
    wait_for_the_end_of(session.pid)
    output = (suite.path / "output.txt").read_text()
    assert "Traceback" not in output
    assert "Did not run: " in output
    assert {case["id"] for case in suite.summary()["cases"]} == finished
    assert not (suite.report / "locks").exists()
    suite.go()
    suite.run("-k", "test_1", "-n", workers, "--timing", "shared", "--resume").assert_outcomes(passed=3)
