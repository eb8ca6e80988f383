"""The process that trains rows again for a gate: its command, and what its end means."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.gates import retraining
from harness.gates.retraining import RetrainingError, retrain
from tests.made_up_runs import SETTINGS

OTHER = replace(
    SETTINGS,
    scale="quick",
    engine="numba",
    seeds=(0, 1, 2),
    dataset="kmnist",
    data_root=Path("/data"),
    timing="shared",
)


@pytest.fixture
def ended(monkeypatch):
    """Sets how the process ends; returns the commands and options that it was started with."""
    started = []

    def ended(status=0, saved=None, **output):
        def run(command, **options):
            started.append((command, options))
            (path,) = (each for each in command if each.startswith("--benchmark-json="))
            if saved is not None:
                Path(path.partition("=")[2]).write_text(saved)
            return SimpleNamespace(returncode=status, **({"stdout": "", "stderr": ""} | output))

        monkeypatch.setattr(retraining.subprocess, "run", run)
        return started

    return ended


EMPTY = '{"benchmarks": []}'


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, []),
        ({"cluster": "a:1"}, ["--cluster=a:1"]),
        ({"cluster": "auto", "cluster_same": True}, ["--cluster=auto", "--cluster-same"]),
    ],
)
def test_it_trains_the_rows_under_the_sessions_settings(ended, tmp_path, monkeypatch, changes, more):
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("KEPT", "y")
    started = ended(saved=EMPTY)
    assert retrain(["a::b[c]", "a::b[d]"], replace(OTHER, **changes), tmp_path) == {}
    ((command, options),) = started
    assert command[:5] == [sys.executable, "-m", "pytest", "a::b[c]", "a::b[d]"]
    given = [each for each in command[5:] if not each.startswith(("--benchmark-json=", "--report-dir="))]
    assert given == [
        *("-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={tmp_path}"),
        *("--scale=quick", "--device=cpu", "--engine=numba", "--replicates=3"),
        *("--dataset=kmnist", "--data-root=/data", "--timing=shared", *more),
    ]
    places = [
        Path(each.partition("=")[2]).parent for each in command if each not in (*given, *command[:5])
    ]
    assert places[0] == places[1]  # a folder of its own
    assert not places[0].exists()
    assert (options["cwd"], options["env"]["KEPT"], options["env"]["COLUMNS"]) == (tmp_path, "y", "1000")
    assert not {"PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS"} & {*options["env"]}


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ({"status": 1, "stdout": "E   ValueError: odd\n"}, "ValueError: odd"),
        ({"status": 0, "stderr": "ERROR: it is odd\n"}, "it is odd"),
        ({"status": -9, "stdout": "E   ValueError: odd\n"}, "killed by signal 9"),
        ({"status": 0, "saved": "{"}, "saved.json cannot be read: it is not a pytest-benchmark file"),
    ],
)
def test_why_nothing_was_saved(ended, tmp_path, end, why):
    ended(**end)
    with pytest.raises(RetrainingError, match=why):
        retrain(["a::b[c]"], SETTINGS, tmp_path)


def test_a_process_that_cannot_be_started_is_explained(monkeypatch, tmp_path):
    def run(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(retraining.subprocess, "run", run)
    with pytest.raises(RetrainingError, match=r"^no process could be started: Cannot allocate memory$"):
        retrain(["a::b[c]"], SETTINGS, tmp_path)
