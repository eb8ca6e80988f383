"""JSON files are written whole or not at all, and strict parsers read them."""

import json
import math
import os

import numpy as np
import pytest

from harness import atomic_json
from harness.exercise import Published
from harness.files.record import read_record
from harness.results.records import to_record, to_training
from model.experiment import Experiment
from model.optimizers import SGD
from tests.data import made_up_training
from tests.reports import RUN, write_record


def parsed_strictly(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_numbers_that_are_not_finite_survive_a_strict_parser(tmp_path):
    path = tmp_path / "numbers.json"
    atomic_json.write_json(path, {"a": [math.inf, -math.inf, math.nan, 1.5], "b": (None, "text")})
    content = parsed_strictly(path)
    assert content["b"] == [None, "text"]
    assert [float(value) for value in content["a"]] == pytest.approx(
        [math.inf, -math.inf, math.nan, 1.5], nan_ok=True
    )


def test_a_diverged_training_is_read_back_unchanged(tmp_path):
    curve = np.array([[0.1, 0.2], [math.nan, math.inf]])
    training = made_up_training(
        Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1, init=0),
        seeds=(0, 1),
        epoch_seconds=np.array([0.0, 1.0]),
        train_loss=curve,
        test_loss=curve * 2,
        distance_from_initialisation=np.full((6, 2), math.inf),
        outcomes=("diverged", "diverged"),
    )
    key = {"id": "x::row", "run": {**RUN, "replicates": 2}, "experiment": training.experiment.to_dict()}
    record = to_record(training, threads=1, left_out={}, published=Published())
    (tmp_path / "runs").mkdir()
    path = write_record(tmp_path, {**key, **record})
    parsed_strictly(path)
    again = to_training(read_record(path))
    for name, value in vars(training).items():
        np.testing.assert_equal(getattr(again, name), value)


def test_a_failed_write_leaves_only_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    atomic_json.write_json(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left") as error:
        atomic_json.write_json(path, "new")
    assert error.value.filename == str(path)
    assert atomic_json.read_json(path) == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_everyone_may_read_a_file(tmp_path):
    atomic_json.write_json(tmp_path / "file.json", 1)
    assert (tmp_path / "file.json").stat().st_mode & 0o777 == 0o644
