"""A suite in miniature, for tests that run pytest itself: the real harness, made-up trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

# Small tensors all over: threads would only wait for each other.
torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent

# The root's own list of plugins, and in place of data and training something that takes no
# time; what it makes up can be changed through the environment.
CONFTEST = (
    (ROOT / "conftest.py").read_text()
    + """
import os
import numpy as np
from tests.data import made_up_training

def train(experiment, data, *, seeds, engine):
    # The rate says how long it takes, so that every case has its own time.
    seconds = experiment.learning_rate * float(os.environ.get("FAKE_SLOWER", 1))
    accuracy = 0.95 + float(os.environ.get("FAKE_BETTER", 0)) + np.array(seeds) / 1000
    curve = np.stack([np.full(len(seeds), 0.1), accuracy])
    return made_up_training(
        experiment, seeds, epoch_seconds=np.array([0.0, seconds]), train_loss=1 - curve,
        train_accuracy=curve, test_loss=1 - curve, test_accuracy=curve,
    )

def pytest_configure():
    import harness.session, harness.trainings

    harness.trainings.train_model = train
    harness.trainings.load = lambda *_: None
    harness.session.ensure = lambda *_: None
"""
)

MODULE = """
import os
import pytest
from harness.exercise import Exercise, Published, Row

EXERCISE = Exercise(
    number={number}, title="exercise {number}", source="Table {number}",
    epochs={{"quick": 1, "paper": 2}},
    rows=tuple(
        Row(f"sgd-lr{{rate}}", {{"learning_rate": rate, "batch_size": 10}}, Published(0.5, 100))
        for rate in (0.25, 0.5, 1.0)
    ),
)

@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
"""


class Suite:
    """A folder with such a suite, and pytest to run in it."""

    def __init__(self, pytester: pytest.Pytester):
        self._pytester = pytester
        self.path = pytester.path
        self.report = self.path / "reports" / "latest"
        (self.path / "pytest.ini").write_text((ROOT / "pytest.ini").read_text())
        (self.path / "conftest.py").write_text(CONFTEST)
        (self.path / "bench").mkdir()
        (self.path / "bench" / "__init__.py").touch()
        for number in (1, 2):
            self.module(number).write_text(MODULE.format(number=number))

    def module(self, number: int) -> Path:
        """The file of an exercise."""
        return self.path / "bench" / f"test_{number}_fake.py"

    def add(self, number: int, code: str) -> None:
        """Appends to an exercise's module."""
        self.module(number).write_text(self.module(number).read_text() + "\n" + code)

    def run(self, *args: str) -> pytest.RunResult:
        """`pytest bench/ ...` in a process of its own."""
        return self._pytester.runpytest_subprocess("bench/", *args)

    def in_process(self, *args: str) -> pytest.RunResult:
        """The same in this process: faster, for a session that ends before it collects."""
        return self._pytester.runpytest_inprocess("bench/", *args)

    def summary(self) -> dict:
        """The `summary.json` that the last run wrote."""
        return json.loads((self.report / "summary.json").read_text())

    def record(self, name: str) -> dict:
        """The record in `runs/` whose file's name begins so."""
        (path,) = (self.report / "runs").glob(f"{name}.*.json")
        return json.loads(path.read_text())

    def cases(self) -> dict[str, dict]:
        """Its cases, by id without the folder."""
        return {case["id"].removeprefix("bench/"): case for case in self.summary()["cases"]}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # these runs are nobody's workers
    # Locks of its own, so that it and a session on this machine do not wait for each other.
    (pytester.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "tmp"))
    return Suite(pytester)
