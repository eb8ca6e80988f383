"""What distinguishes rows: every setting of an experiment, and labels that are never equal."""

import pytest
import torch

from harness.report.alike import numeric_settings
from harness.report.series import lines_of
from harness.report.settings import network_in_words, schedule_in_words, settings_of
from model.dataset import FASHION_MNIST
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam, Torch
from model.schedule import Schedule
from tests.made_up_runs import FIRST, run_of, trained

SETTINGS = {"optimizer": SGD(0.1), "batch_size": 32}
STEP = torch.optim.lr_scheduler.StepLR


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": SGD(0.2)},
        {"optimizer": SGD(0.1, momentum=0.5)},
        {"optimizer": SGD(0.1, momentum=0.5, nesterov=True)},
        {"optimizer": SGD(0.1, weight_decay=0.5)},
        {"optimizer": Adam(0.1)},
        {"optimizer": Adam(0.1, betas=(0.8, 0.999))},
        {"optimizer": Adam(0.1, eps=0.5)},
        {"optimizer": Torch(torch.optim.SGD, 0.1)},
        {"batch_size": 33},
        {"order": "by_class"},
        {"init": 0.5},
        {"dataset": FASHION_MNIST},
        {"network": MLP((784, 100, 300, 10))},
        {"network": MLP((784, 300, 10), ("relu",))},
        {"network": MLP(activations=("sigmoid", "relu"))},
        {"network": MLP(activations=("relu", "tanh"))},
        {"schedule": Schedule(STEP, {"step_size": 2})},
        {"schedule": Schedule(STEP, {"step_size": 3})},
        {"schedule": Schedule(STEP, {"step_size": 2}, every="step")},
    ],
    ids=lambda changed: " ".join(map(str, changed.values())),
)
def test_every_setting_distinguishes_rows(changed):
    one, other = (Experiment(**{**SETTINGS, **each}, epochs=1) for each in ({}, changed))
    assert settings_of(one) != settings_of(other)


def lines(rows):
    """Returns the lines of rows, by name, which are optimizers and further settings."""
    trainings = {
        name: trained(optimizer, (0.1, 0.5), seconds=(0, 1), **how)
        for name, (optimizer, how) in rows.items()
    }
    run = run_of({FIRST: trainings}, published={})
    return lines_of(run, run.summary.exercises[0])


def test_rows_with_equal_settings_are_labelled_by_their_names():
    rows = {"a": (SGD(0.1), {}), "b": (SGD(0.1), {}), "c": (SGD(0.2), {})}
    assert [line.label for line in lines(rows)] == ["a", "b", "c"]
    del rows["b"]
    assert [line.label for line in lines(rows)] == ["rate 0.1", "rate 0.2"]


def test_rows_of_unlike_activations_are_not_one_line():
    networks = {"relu": MLP(), "tanh": MLP(activations=("tanh", "sigmoid"))}
    rows = {
        f"{name}-lr{rate}": (SGD(rate), {"network": network})
        for name, network in networks.items()
        for rate in (0.1, 0.2, 0.3)
    }
    (alike,) = numeric_settings(lines(rows))
    assert alike.setting == "learning rate"
    assert [[line.name for line in group] for group in alike.groups] == [[*rows][:3], [*rows][3:]]


HALVED = Schedule(STEP, {"step_size": 7, "gamma": 0.5}, every="step")


@pytest.mark.parametrize(
    ("schedule", "without", "words"),
    [
        (None, (), "constant rate"),
        (None, ("schedule gamma",), "constant rate"),
        (HALVED, (), "StepLR, gamma 0.5, step size 7, every step"),
        (HALVED, ("momentum", "gamma"), "StepLR, gamma 0.5, step size 7, every step"),
        (HALVED, ("schedule gamma",), "StepLR, step size 7, every step"),
        (HALVED, ("schedule gamma", "schedule step size"), "StepLR, every step"),
    ],
)
def test_schedules_in_words(schedule, without, words):
    assert schedule_in_words(schedule, without) == words


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ((), "784-300-100-10 with relu, tanh"),
        (
            ("momentum", "units of hidden layer 0", "units of hidden layer 3"),
            "784-300-100-10 with relu, tanh",
        ),
        (("units of hidden layer 1",), "784-·-100-10 with relu, tanh"),
        (("units of hidden layer 2",), "784-300-·-10 with relu, tanh"),
        (("units of hidden layer 1", "units of hidden layer 2"), "784-·-·-10 with relu, tanh"),
    ],
)
def test_networks_in_words(without, words):
    assert network_in_words(MLP((784, 300, 100, 10), ("relu", "tanh")), without) == words
