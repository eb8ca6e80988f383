"""A small suite that really trains, for a few seconds, on made-up data."""

from __future__ import annotations

from pathlib import Path

from harness.paths import ROOT

ROWS = 8

_CONFTEST = """
import os, pathlib, threading, time
import harness.plugin.fixtures, harness.plugin.session
from tests.data import made_up

pytest_plugins = ["harness.plugin"]

def set_back():
    while not pathlib.Path("clock").exists():
        time.sleep(0.02)
    now = time.time
    time.time = lambda: now() - 86400

def pytest_configure():
    harness.plugin.fixtures.load = lambda *_: made_up()
    harness.plugin.session.prepare = lambda *_: None
    harness.plugin.session.draw_report = lambda *_: "No page."  # tests/test_report.py has its faults
    threading.Thread(target=set_back, daemon=True).start()
"""

_STUDY = """
from harness.study import Study

STUDY = Study(title="Chaos", scales={"quick": 10}, home="..", data_root="../data")
"""

_MODULE = """
import pytest
from harness.claim import claim
from harness.exercise import Exercise, Row
from model.optimizers import SGD, Adam

EXERCISE = Exercise(
    title="Exercise {number}: chaos", question="What is {number}?", source="Table {number}",
    figure="Figure {number}",
    rows=tuple(
        Row(
            f"{name}-lr{{rate}}",
            {{"optimizer": {optimizer}(rate), "batch_size": {batch_size}}},
        )
        for rate in (0.001, 0.003, 0.01, 0.03)
    ),
)

@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)

@claim("The higher rate is better.", source="Table {number}")
def test_higher(trained, decide):
    low, high = (trained(f"{name}-lr{{rate}}").final_test_accuracy for rate in (0.001, 0.003))
    decide(high > low, f"{{high}}, {{low}}")
"""

_THEIRS = {
    "notes.txt": "irreplaceable",
    "reports/thesis.txt": "irreplaceable",
    "reports/latest.backup/runs/a.json": "{}",
    "bench/data.csv": "1,2",
}


def make(folder: Path) -> None:
    """Creates the suite in `folder`, with a user's files among its own."""
    (folder / "bench").mkdir(parents=True)
    (folder / "bench" / "__init__.py").touch()
    (folder / "pytest.ini").write_text((ROOT / "pytest.ini").read_text())
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "bench" / "conftest.py").write_text(_STUDY)
    # The first take one core each, the second all cores.
    for number, optimizer, batch_size in ((1, "SGD", 1), (2, "Adam", 16)):
        name = optimizer.lower()
        module = folder / "bench" / f"test_{number}_{name}.py"
        settings = {"name": name, "optimizer": optimizer, "batch_size": batch_size}
        module.write_text(_MODULE.format(number=number, **settings))
    for name, text in _THEIRS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def untouched(folder: Path) -> bool:
    """Returns whether the user's files are unchanged."""
    return all(
        (folder / name).is_file() and (folder / name).read_text() == text
        for name, text in _THEIRS.items()
    )
