"""A miniature suite for tests that run pytest itself: the real harness with made-up trainings."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import execnet.gateway_io
import pytest
import torch

import harness.plugin.fixtures
import harness.plugin.options
import harness.plugin.session
import model.engines.proof
from tests.processes import PLUGINS, ForkedWorker, Session

# The tensors are small, so threads would only wait for each other.
torch.set_num_threads(1)
# If a test needs two threads, they wait without spinning, which takes ten times as long on busy cores.
# This applies to processes that start from here on, above all workers.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).parent.parent

# The root's list of plugins, and replacements for data and training. Tests append to its function.
CONFTEST = (
    (ROOT / "conftest.py").read_text()
    + """
import os
import numpy as np

pytest_plugins += ["tests.fakes"]

def pytest_configure():
    import harness.plugin.session, harness.plugin.fixtures, model.engines.proof
"""
)

CONFTEST_OF_THE_STUDY = """
from harness.study import Study

STUDY = Study(
    title="A study", published="paper", scales={"quick": 1, "paper": 2}, home="..", data_root="../data"
)
"""

MODULE = """
import os
import pytest
from harness.exercise import Exercise, Published, Row
from model.optimizers import SGD

EXERCISE = Exercise(
    title="Exercise {number}: fake", question="What is {number}?",
    source="Table {number}", figure="Figure {number}",
    rows=tuple(
        Row(f"sgd-lr{{rate}}", {{"optimizer": SGD(rate), "batch_size": 10}}, Published(0.5, 100))
        for rate in (0.25, 0.5, 1.0)
    ),
)

@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
"""

HANG = """
import pathlib, time, harness.plugin.fixtures

fake = harness.plugin.fixtures.train_model

def hanging(experiment, *args, **kwargs):
    with open("begun.txt", "a") as file:
        file.write(f"{experiment.learning_rate}\\n")
    if experiment.learning_rate == 0.5 and not pathlib.Path("go").exists():
        pathlib.Path("hangs").touch()
        time.sleep(120)
    return fake(experiment, *args, **kwargs)

harness.plugin.fixtures.train_model = hanging
"""


def pytest_configure(config: pytest.Config) -> None:
    # Tests import bench's modules, which use this mark.
    config.addinivalue_line("markers", "claim: the sentence that the test decides")
    config.addinivalue_line("markers", "gpu: needs a GPU, and is skipped without one")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


class Suite:
    """A folder with a miniature suite, and ways to run pytest in it."""

    def __init__(self, pytester: pytest.Pytester):
        self._pytester = pytester
        self.path = pytester.path
        self.report = self.path / "reports" / "latest"
        (self.path / "pytest.ini").write_text((ROOT / "pytest.ini").read_text())
        (self.path / "conftest.py").write_text(CONFTEST)
        (self.path / "bench").mkdir()
        (self.path / "bench" / "__init__.py").touch()
        (self.path / "bench" / "conftest.py").write_text(CONFTEST_OF_THE_STUDY)
        for number in (1, 2):
            self.module(number).write_text(MODULE.format(number=number))

    def module(self, number: int) -> Path:
        """Returns the file of an exercise."""
        return self.path / "bench" / f"test_{number}_fake.py"

    def add(self, number: int, code: str) -> None:
        """Appends to an exercise's module."""
        self.module(number).write_text(self.module(number).read_text() + "\n" + code)

    def run(self, *args: str) -> pytest.RunResult:
        """Runs `pytest bench/ ...` in this process, and its workers in forks (see `ForkedWorker`)."""
        with warnings.catch_warnings(record=True):  # its warnings are not this session's
            return self._pytester.runpytest_inprocess("bench/", *args)

    def refused(self, *args: str) -> str:
        """Returns the one line with which a session refuses these arguments before it trains."""
        result = self.run(*args)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "passed" not in result.stdout.str()
        assert not self.report.exists()
        (line,) = [line for line in result.errlines if line.strip()]
        assert line.startswith("ERROR: ")
        return line

    def saved_runs(self) -> list[Path]:
        """Returns the files that pytest-benchmark has saved, oldest first."""
        return sorted((self.path / ".benchmarks").rglob("*.json"))

    def run_apart(self, *args: str) -> pytest.RunResult:
        """Runs it in a fork, if it would change this process. All its output is on stdout."""
        status = self.start(*args).wait()
        return pytest.RunResult(status, (self.path / "output.txt").read_text().splitlines(), [], 0)

    def start(self, *args: str) -> Session:
        """Starts it in the background; it writes to `output.txt`."""
        self._session = Session(["bench/", *args], self.path, self.path / "output.txt")
        return self._session

    def hang(self) -> None:
        """Makes exercise 1's training at 0.5 hang until it is killed or `go()` is called."""
        self.add(1, HANG)

    def wait_until_it_hangs(self, others: int) -> None:
        """Waits until that training has begun, and `others` other trainings have finished."""
        while not (self.path / "hangs").exists() or len(self.records()) < others:
            assert self._session.poll() is None, (self.path / "output.txt").read_text()
            time.sleep(0.05)

    def go(self) -> None:
        """Lets the training that hangs continue."""
        (self.path / "go").touch()

    def trained(self) -> list[str]:
        """Returns the trainings begun since the last call, if `hang` was called before."""
        begun = self.path / "begun.txt"
        lines = begun.read_text().split() if begun.exists() else []
        begun.unlink(missing_ok=True)
        return sorted(lines)

    def summary(self) -> dict:
        """Returns the last run's `summary.json`."""
        return json.loads((self.report / "summary.json").read_text())

    def record(self, name: str) -> dict:
        """Returns the record in `runs/` whose file name begins with `name`."""
        (path,) = (self.report / "runs").glob(f"{name}.*.json")
        return json.loads(path.read_text())

    def records(self) -> list[dict]:
        """Returns all records in `runs/`."""
        return [json.loads(path.read_text()) for path in sorted((self.report / "runs").glob("*.json"))]

    def cases(self) -> dict[str, dict]:
        """Returns the last run's cases, by id without the folder."""
        return {case["id"].removeprefix("bench/"): case for case in self.summary()["cases"]}


@pytest.fixture(scope="session")
def prepared() -> None:
    """Prepares this process for sessions in it."""
    # After a session, pytester unloads the modules imported in it, and these cannot be imported twice.
    for name in ("numba.np.arrayobj", "pyarrow.parquet", "pygal", "scipy.stats"):
        importlib.import_module(name)
    # Numba imports the rest of itself when it first compiles.
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps proofs on made-up data from the user's cache, and does not wait for the user's sessions."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def _saved_once() -> list[tuple[Path, str]]:
    """The result of `saved_run`, once it has run."""
    return []


@pytest.fixture
def saved_run(suite: Suite, _saved_once: list[tuple[Path, str]]) -> tuple[Path, str]:
    """A saved run of the suite, made once: its path in the suite's folder, and its text."""
    if not _saved_once:
        suite.run("--benchmark-autosave").assert_outcomes(passed=6)
        (path,) = suite.saved_runs()
        _saved_once.append((path.relative_to(suite.path), path.read_text()))
        for made in (path.parent.parent, suite.report.parent):
            shutil.rmtree(made)
    return _saved_once[0]


@pytest.fixture
def home(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, inside the suite's."""
    folder = suite.path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def suite(prepared: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # these sessions are not workers
    monkeypatch.setattr(execnet.gateway_io, "Popen2IOMaster", ForkedWorker)
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: PLUGINS)
    # The suite has a package of this name, too.
    for name in [each for each in sys.modules if each.partition(".")[0] == "bench"]:
        monkeypatch.delitem(sys.modules, name)
    # A module that a test rewrites may have the same name, size and second as before.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # The suite's conftest.py replaces these in this process; monkeypatch restores them.
    for module, name in (
        (harness.plugin.session, "prepare"),
        (harness.plugin.session, "draw_report"),
        (harness.plugin.fixtures, "load"),
        (harness.plugin.fixtures, "train_model"),
        (harness.plugin.fixtures, "lease"),
        (model.engines.proof, "kept_answer"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    # Separate locks, so that it and the user's sessions do not wait for each other.
    (pytester.path / "runtime").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(pytester.path / "runtime"))
    return Suite(pytester)
