"""What is derived from an experiment and from a training, worked out on paper."""

import numpy as np
import pytest

from model.experiment import Experiment, first_epochs, ran_on
from model.network import MLP
from model.optimizers import SGD, Adam
from tests.data import made_up_training

ONE = Experiment(optimizer=SGD(0.1, momentum=0.9), batch_size=32, epochs=3)


def test_an_experiment_in_words():
    assert ONE.kind == "SGD with momentum 0.9 at batch size 32"
    other = Experiment(optimizer=Adam(0.1), batch_size=1, epochs=1, network=MLP((784, 5, 10), ("tanh",)))
    assert other.kind == f"Adam at batch size 1 with network {other.network}"


@pytest.mark.parametrize(("examples", "steps"), [(31, 1), (32, 1), (33, 2), (60_000, 1875)])
def test_steps_and_rates_of_an_epoch(examples, steps):
    assert ONE.steps_per_epoch(examples) == steps
    assert ONE.constant_rates(examples).tolist() == [0.1] * steps
    rates = ONE.rates(examples)
    assert [next(rates).tolist() for _ in range(3)] == [[0.1] * steps] * 3


NEEDED = "optimizer, batch_size, epochs"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, f"optimizer is missing; expected {NEEDED}"),
        ({"optimizer": SGD(0.1)}, f"batch_size is missing; expected {NEEDED}"),
        ({"optimizer": SGD(0.1), "batch_size": 1}, f"epochs is missing; expected {NEEDED}"),
        (
            {"batchsize": 1, "rate": 2},
            "no setting is called 'batchsize'; expected one of optimizer, batch_size, epochs, order, "
            "init, dataset, network, schedule",
        ),
    ],
)
def test_settings_by_name(settings, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        Experiment.of(settings)


@pytest.mark.parametrize("content", [None, 3, [], "text"], ids=repr)
def test_what_is_no_experiment(content):
    with pytest.raises(ValueError, match=r"^the experiment is .*; expected settings by name$"):
        Experiment.from_dict(content)


@pytest.mark.parametrize("init", ["zero", float("nan"), float("inf"), None, [0.1]], ids=repr)
def test_what_is_no_initial_value(init):
    with pytest.raises(ValueError, match=r"^init is .*; expected 'default' or a finite number$"):
        Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1, init=init)


@pytest.mark.parametrize(
    ("hardware", "words"), [("", "numba on cpu"), ("X, 3 cores", "numba on cpu (X, 3 cores)")]
)
def test_what_a_training_ran_on(hardware, words):
    assert ran_on("numba", "cpu", hardware) == words
    assert made_up_training(ONE, (0,), engine="numba", hardware=hardware).ran_on == words


def test_a_trainings_figures():
    """Two seeds; an epoch has 30 steps, the last accuracies are 0.75 and 0.25."""
    training = made_up_training(
        ONE,
        (0, 1),
        steps=90,
        epoch_seconds=np.array([0.0, 1.5, 3.0, 5.0]),
        test_accuracy=np.array([[0.1, 0.1], [0.5, 0.6], [0.9, 0.3], [0.75, 0.25]]),
        predictions=np.array([[3, 1], [4, 5], [1, 2]]),
    )
    assert (training.seconds, training.final_test_accuracy, training.test_examples) == (5, 0.5, 8)
    assert training.time_to_accuracy(0.6) == {
        "epochs": [2, 1], "steps": [60, 30], "seconds": [3.0, 1.5],
    }  # fmt: skip
    assert all(isinstance(steps, int) for steps in training.time_to_accuracy(0.6)["steps"])
    assert training.time_to_accuracy(0.1)["epochs"] == [0, 0]
    assert training.time_to_accuracy(0.7) == {
        "epochs": [2, None], "steps": [60, None], "seconds": [3.0, None],
    }  # fmt: skip


def test_the_first_true_epoch():
    reached = np.array([[False, True, False], [True, False, False], [True, True, False]])
    assert first_epochs(reached) == [1, 0, None]
