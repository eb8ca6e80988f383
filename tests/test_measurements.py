"""Measurements other than trainings: symmetry, the gradients' reach, their bias, convexity."""

import numpy as np
import pytest
import torch
from torch import nn

from model.data.presentation_order import epoch_order
from model.diagnostics.convexity import losses_between_copies
from model.diagnostics.gradient_bias import gradient_bias
from model.diagnostics.gradient_flow import gradient_flow
from model.diagnostics.unit_symmetry import unit_spread, weight_ranks
from model.network import stack_parameters

from .data import EXAMPLES, build_network, made_up

DATA = made_up()


def test_spread_and_ranks_of_copies_and_of_pytorchs_initialisation():
    copies, default = (
        stack_parameters([build_network(0.3, 0)]),
        stack_parameters([build_network("default", 0)]),
    )
    assert unit_spread(copies).tolist() == [[0], [0]]
    assert weight_ranks(copies)[:, 0].tolist() == [1, 1, 1]
    assert weight_ranks(stack_parameters([build_network(0, 0)]))[:, 0].tolist() == [0, 0, 0]
    assert (unit_spread(default) > 1).all(), (
        "randomly drawn units differ by more than their largest weight"
    )
    assert weight_ranks(default)[:, 0].tolist() == [300, 100, 10]
    assert unit_spread(stack_parameters([build_network(0, 0)])).tolist() == [[0], [0]]


@pytest.mark.parametrize("place", ["incoming", "bias", "outgoing"])
def test_spread_depends_on_every_parameter_of_a_unit(place):
    parameters = stack_parameters([build_network(1.0, 0)])
    tensor = {"incoming": parameters[0], "bias": parameters[1], "outgoing": parameters[2]}[place]
    tensor[(0, 7) if place == "bias" else (0, 3, 7) if place == "incoming" else (0, 7, 3)] = 1.5
    assert unit_spread(parameters)[0] == pytest.approx(0.5 / 1.5)


def test_parameters_that_are_not_finite_have_neither_spread_nor_rank():
    parameters = stack_parameters([build_network("default", 0), build_network("default", 1)])
    parameters[0][1, 3, 7] = torch.inf
    assert np.isnan(unit_spread(parameters)[0, 1])
    assert np.isnan(weight_ranks(parameters)[0, 1])
    assert weight_ranks(parameters)[:, 0].tolist() == [300, 100, 10]


def test_gradient_flow_from_zero_reaches_only_the_last_layers():
    found = gradient_flow(0, DATA, seed=0, batch_size=5)
    assert found["steps"] == [1, 2, 5, 10, 20, 50, 100, 200]
    assert found["first"] == [None, None, None, 2, 1, 1]
    assert np.shape(found["gradient"]) == (8, 6)
    assert (np.array(found["gradient"])[:, :3] == 0).all()
    assert found["active"] == [0] * 8
    assert found["loss"][0] == pytest.approx(np.log(10))
    assert found["weight_ranks"][-1] == [0, 0, 1]


def test_gradient_flow_from_small_numbers_reaches_everything():
    found = gradient_flow(0.001, DATA, seed=0, batch_size=5)
    assert found["first"] == [1] * 6
    assert min(found["active"]) > 0
    assert np.max(found["unit_spread"]) < 1e-4


def gradient(network, indices):
    """Returns the mean gradient of these examples, flattened, computed by PyTorch alone."""
    loss = nn.functional.cross_entropy(network(DATA.train_images[indices]), DATA.train_labels[indices])
    weight1, bias1, weight2, bias2, weight3, bias3 = torch.autograd.grad(loss, network.parameters())
    ordered = (weight1.T, bias1, weight2.T, bias2, weight3.T, bias3)
    return torch.cat([each.flatten() for each in ordered]).double()


@pytest.mark.parametrize("order", ["by_class", "shuffled"])
def test_gradient_bias_agrees_with_gradients_of_single_examples(order):
    """At the start, and in the middle of an epoch, after plain PyTorch steps."""
    found = gradient_bias(
        order, DATA, seed=3, learning_rate=0.01, checkpoints=[0, 0.5], counts=[1, 40, EXAMPLES]
    )
    labels = DATA.train_labels.numpy()
    stream = np.concatenate([epoch_order(order, labels, 3, epoch) for epoch in (0, 1)])
    network = build_network("default", 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for point, start in enumerate((0, round(EXAMPLES / 2))):
        if start:
            for index in stream[:start]:
                optimizer.zero_grad()
                nn.functional.cross_entropy(
                    network(DATA.train_images[[index]]), DATA.train_labels[[index]]
                ).backward()
                optimizer.step()
        full = gradient(network, np.arange(EXAMPLES))
        for column, count in enumerate((1, 40, EXAMPLES)):
            some = gradient(network, stream[start : start + count])
            error = float((some - full).norm() / full.norm())
            cosine = float(some @ full / (some.norm() * full.norm()))
            assert found["relative_error"][point][column] == pytest.approx(error, rel=1e-3, abs=1e-5)
            assert found["cosine"][point][column] == pytest.approx(cosine, rel=1e-3)


def test_copies_with_renumbered_units_compute_the_same_and_the_midway_network_does_not():
    found = losses_between_copies(DATA, seed=0, learning_rate=0.1, steps=1000)
    assert found["copy"] == pytest.approx(found["here"], rel=1e-5)
    assert found["midway"] > found["here"] + 0.1
