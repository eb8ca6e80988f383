"""Saved runs are checked by one model: accepted as a whole, or refused in one line."""

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from harness.gates.baselines import (
    FOR_ACCURACY,
    FOR_TIMES,
    BaselineError,
    SavedRun,
    cases_of,
    read_saved_run,
)
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam
from model.schedule import Schedule

ROW = "bench/test_1_fake.py::test_training[sgd-lr0.25]"

STATS = {
    "min": 1,
    "max": 1,
    "mean": 1,
    "median": 1,
    "stddev": 0,
    "iqr": 0,
    "total": 1,
    "rounds": 1,
    "iterations": 1,
}
INFO = {
    **Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1).to_dict(),
    **dict.fromkeys(("device", "device_name", "engine", "timing"), "x"),
    "scale": "quick",
    "epochs": 1,
    "cores": 1,
    "seeds": [0],
    "seconds": 1.0,
    "test_accuracy": [0.9],
    "epochs_to": {"0.90": [1], "0.97": [None]},
}
CASE = {"fullname": ROW, "stats": STATS, "extra_info": INFO}


def with_stats(**changed):
    return {"machine_info": {}, "benchmarks": [{**CASE, "stats": {**STATS, **changed}}]}


def with_info(**changed):
    return {"machine_info": {}, "benchmarks": [{**CASE, "extra_info": {**INFO, **changed}}]}


UNREADABLE = "cannot be read: it is not a pytest-benchmark file"
DAMAGED = {
    "empty": ("", UNREADABLE),
    "cut short": ('{"benchmarks": [{"fullname": ', UNREADABLE),
    "deep": ("[" * 200_000, UNREADABLE),
    "a list": ("[]", UNREADABLE),
    "bytes": (b"\xff\xfe", UNREADABLE),
    "of numbers": ({"benchmarks": [1, 2]}, UNREADABLE),
    "no names": ({"benchmarks": [{"stats": STATS, "extra_info": INFO}]}, "fullname: field required"),
    "no info": ({"benchmarks": [{"fullname": "x", "stats": STATS}]}, UNREADABLE),
    "old": (
        {"benchmarks": [{**CASE, "extra_info": {"test_accuracy": [0.9]}}]},
        "extra_info.scale: field required",
    ),
    "accuracies in words": (
        with_info(test_accuracy="high"),
        "extra_info.test_accuracy: input should be",
    ),
    "accuracy -1": (with_info(test_accuracy=[-1.0]), "extra_info.test_accuracy.0: *(it is -1.0)"),
    "accuracy NaN": (with_info(test_accuracy=[math.nan]), "extra_info.test_accuracy.0: *(it is nan)"),
    "two seeds, one accuracy": (with_info(seeds=[0, 1]), "extra_info: its lists do not have one value*"),
    "a seed twice": (
        with_info(seeds=[0, 0], test_accuracy=[1, 1], epochs_to={"0.90": [1, 1], "0.97": [1, 1]}),
        "extra_info: its lists do not have one value*",
    ),
    "another target": (with_info(epochs_to={"0.50": [1]}), "extra_info: epochs_to lacks*"),
    "an epoch before the first": (
        with_info(epochs_to={"0.90": [-1], "0.97": [None]}),
        "extra_info.epochs_to.0.90.0: input should be greater than or equal to 0 (it is -1)",
    ),
    "seconds NaN": (with_stats(median=math.nan), "stats.median: *(it is nan)"),
    "seconds infinite": (with_stats(max=math.inf), "stats.max: *(it is inf)"),
    "seconds negative": (with_stats(min=-1.0), "stats.min: *(it is -1.0)"),
    "seconds 0": (with_stats(min=0), "stats.min: *(it is 0)"),
    "milliseconds": (
        with_stats(min=1000, max=1000, mean=1000, median=1000, total=1000),
        "stats.total is not equal to extra_info.seconds",
    ),
    "in disorder": (with_stats(min=2), "stats: its min, * contradict each other"),
    "another sum": (with_stats(mean=2, max=3), "stats: its min, * contradict each other"),
    "rounds that are not epochs": (
        with_stats(rounds=2, total=2),
        "stats.rounds is not equal to extra_info.epochs",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(tmp_path, content, message):
    path = tmp_path / "0001_base.json"
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)
    with pytest.raises(BaselineError) as refused:
        read_saved_run(path)
    pytest.LineMatcher([str(refused.value)]).fnmatch_lines([f"the saved run {path} *{message}*"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BaselineError, match="No such file"):
        read_saved_run(tmp_path / "0001_base.json")


def test_rounded_sums_are_accepted(tmp_path):
    content = with_stats(total=1 + 5e-7)
    content["benchmarks"][0]["extra_info"] = {**INFO, "seconds": 1.0005}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_saved_run(tmp_path / "a.json").cases[ROW].stats.total == 1 + 5e-7


def test_differences_depend_on_the_fields_compared():
    two = {"seeds": [0, 1], "test_accuracy": [1, 1], "epochs_to": {"0.90": [1, 1], "0.97": [1, 1]}}
    (ours,) = cases_of(with_info()["benchmarks"]).values()
    (theirs,) = cases_of(with_info(**two, cores=4)["benchmarks"]).values()
    assert ours.differences(theirs, FOR_TIMES) == [
        "cores was 4 and is now 1",
        "replicates was 2 and is now 1",
    ]
    assert ours.differences(theirs, FOR_ACCURACY) == []


def test_another_experiment_under_the_same_name_is_distinguished_by_its_settings():
    """Every field of an experiment is compared, for accuracies and for times."""
    assert {each.name for each in fields(Experiment)} <= {*FOR_ACCURACY} <= {*FOR_TIMES}
    network = MLP((784, 20, 10), ("tanh",))
    schedule = Schedule(torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 2})
    other = Adam(0.001).to_dict(), 500, 3, "by_class", 0.0, "emnist-digits"
    other += network.to_dict(), schedule.to_dict()
    (ours,) = cases_of(with_info()["benchmarks"]).values()
    names = "optimizer", "batch_size", "epochs", "order", "init", "dataset"
    names += "network", "schedule"
    changed = with_info(**dict(zip(names, other, strict=True)))["benchmarks"]
    changed[0]["stats"] = {**STATS, "rounds": 3, "mean": 1, "total": 3}
    changed[0]["extra_info"]["seconds"] = 3.0
    (theirs,) = cases_of(changed).values()
    assert ours.differences(theirs, FOR_ACCURACY) == [
        "optimizer was Adam at rate 0.001 and is now SGD at rate 0.1",
        "batch_size was 500 and is now 1",
        "epochs was 3 and is now 1",
        "order was by_class and is now shuffled",
        "init was 0.0 and is now default",
        "dataset was emnist-digits and is now mnist",
        "network was 784-20-10 with tanh and is now 784-300-100-10 with relu, sigmoid",
        "schedule was CosineAnnealingLR, T max 2, every epoch and is now None",
    ]


@pytest.mark.parametrize(("device", "shown"), [(10**38, f" (it is {10**38})"), (10**39, "")])
def test_the_first_invalid_value_is_shown_if_it_is_short(tmp_path, device, shown):
    (tmp_path / "a.json").write_text(json.dumps(with_info(device=device, timing=7)))
    with pytest.raises(BaselineError) as refused:
        read_saved_run(tmp_path / "a.json")
    message = "extra_info.device: input should be a valid string"
    assert str(refused.value).endswith(f"a.json cannot be used: {message}{shown}")


def test_an_accuracy_may_be_reached_before_the_first_epoch(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(with_info(epochs_to={"0.90": [0], "0.97": [1]})))
    assert read_saved_run(tmp_path / "a.json").cases[ROW].extra_info.epochs_to["0.90"] == [0]


def test_control_characters_in_a_name_are_escaped(tmp_path):
    with pytest.raises(BaselineError) as refused:
        read_saved_run(tmp_path / "\x1b[2J\n.json")
    assert "\\x1b[2J .json cannot be read: No such file or directory" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("0001_accepted", True),
        ("12345_accepted", True),
        ("0001_accepted_inconclusive", False),
        ("0001_accepted-old", False),
        ("0001_unaccepted", False),
        ("accepted", False),
        ("_accepted", False),
        ("x0001_accepted", False),
        ("0001_Accepted", False),
    ],
)
def test_only_runs_saved_as_accepted_are_accepted(name, accepted):
    assert SavedRun(Path(f"{name}.json"), {}).accepted is accepted


def test_other_benchmarks_in_a_saved_run_are_ignored(tmp_path):
    path = tmp_path / "0001_base.json"
    other = {"fullname": "other", "stats": {}, "extra_info": {}}
    path.write_text(json.dumps({"machine_info": {}, "benchmarks": [CASE, other]}))
    assert list(read_saved_run(path).cases) == [ROW]
    assert not read_saved_run(path).accepted
    assert read_saved_run(path.rename(tmp_path / "0002_accepted.json")).accepted
