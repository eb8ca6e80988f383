"""What an engine does not honour is named, in the words of a refusal."""

from dataclasses import dataclass

import pytest

from model.engines.honours import Honours, refuses_network
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam

HONOURS = Honours({SGD: {"learning_rate", "weight_decay"}}, activations=["relu", "tanh"])


def experiment(**fields):
    return Experiment(**{"optimizer": SGD(0.1), "batch_size": 1, "epochs": 1, **fields})


@dataclass(frozen=True)
class Deep(MLP):
    """A network that no engine knows."""


@dataclass(frozen=True)
class Noisy(Experiment):
    noise: float = 0.0


RELU = MLP((784, 5, 10), ("relu",))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"optimizer": SGD(0.1, weight_decay=0.5)}, None),
        ({"network": MLP((784, 5, 10), ("tanh",))}, None),
        (
            {"optimizer": SGD(0.1, momentum=0.9)},
            "it does not support momentum; the optimizer is SGD with momentum 0.9",
        ),
        (
            {"optimizer": SGD(0.1, weight_decay=0.5, momentum=0.9)},
            "it does not support momentum; the optimizer is SGD with momentum 0.9 and weight decay 0.5",
        ),
        ({"optimizer": Adam(0.1)}, "it supports SGD, not Adam"),
        (
            {"network": MLP((784, 5, 10), ("gelu",))},
            "it supports the activations relu and tanh, not gelu",
        ),
        ({"network": Deep((784, 5, 10), ("relu",))}, "it supports the network class MLP, not Deep"),
    ],
)
def test_what_is_refused_and_why(fields, reason):
    assert HONOURS.refuses(experiment(**{"network": RELU, **fields})) == reason


def test_a_field_of_the_experiment_that_is_not_honoured_is_named_with_its_value():
    without = Honours({SGD: {"learning_rate"}}, without={"init", "order"})
    assert without.refuses(experiment()) is None
    assert without.refuses(experiment(init=0.5)) == "it does not support init; the experiment has 0.5"
    assert without.refuses(experiment(order="by_class")) == (
        "it does not support order; the experiment has 'by_class'"
    )


def test_a_new_field_of_the_experiment_is_refused_until_it_is_declared():
    fields = {"optimizer": SGD(0.1), "batch_size": 1, "epochs": 1, "network": RELU}
    assert HONOURS.refuses(Noisy(**fields)) is None
    assert HONOURS.refuses(Noisy(**fields, noise=0.5)) == (
        "it does not support noise; the experiment has 0.5"
    )


def test_several_optimizers_are_listed():
    assert Honours({SGD: (), Adam: ()}).refuses(experiment(optimizer=SGD(0.1))) == (
        "it does not support learning rate; the optimizer is SGD"
    )

    class Own(SGD):
        pass

    assert Honours({SGD: (), Adam: ()}).refuses(experiment(optimizer=Own(0.1))) == (
        "it supports SGD and Adam, not Own"
    )


def test_a_field_of_the_network_that_is_not_honoured_is_named(monkeypatch):
    monkeypatch.setattr("model.engines.honours._NETWORKS", {MLP: frozenset({"sizes"})})
    network = MLP((784, 5, 10), ("tanh",))
    line = f"it does not support activations; the network is {network!r}"
    assert refuses_network(network, ("tanh",)) == line
