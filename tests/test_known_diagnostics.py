"""Diagnostics are what plain PyTorch computes, also on other data, with other networks and defaults."""

import numpy as np
import pytest
import torch
from torch import nn

from model.data.mnist import Data
from model.data.presentation_order import epoch_order
from model.dataset import Dataset
from model.diagnostics.convexity import losses_between_copies
from model.diagnostics.gradient_flow import gradient_flow
from model.diagnostics.unit_symmetry import unit_spread, weight_ranks
from model.network import MLP, stack_parameters
from tests.data import build_network, made_up

CLASSES, INPUTS, EXAMPLES = 3, 6, 40


@pytest.fixture(scope="module")
def small():
    """Forty examples of six inputs, three classes."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(EXAMPLES) % CLASSES)
    inputs = (rng.random((EXAMPLES, INPUTS)) + np.eye(CLASSES, INPUTS)[labels]).astype(np.float32)
    dataset = Dataset.of("forty", lambda: (inputs, labels, inputs[:9], np.arange(9) % CLASSES))
    return Data(dataset, *map(torch.from_numpy, dataset.arrays()))


def loss_of(layers, data):
    """Returns the mean training loss of a network given as (weights, biases), weights (out, in)."""
    outputs = data.train_images
    for (weight, bias), activation in zip(layers, (torch.relu, torch.sigmoid, torch.clone), strict=True):
        outputs = activation(outputs @ weight.T + bias)
    return float(nn.functional.cross_entropy(outputs, data.train_labels))


@pytest.mark.parametrize("steps", [7, EXAMPLES])
def test_losses_at_a_network_its_copy_and_midway(small, steps):
    found = losses_between_copies(small, seed=2, learning_rate=0.1, steps=steps)
    network = MLP().between(INPUTS, CLASSES).build("default", 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for index in epoch_order("shuffled", small.train_labels.numpy(), 2, 0)[:steps]:
        optimizer.zero_grad()
        outputs = network(small.train_images[[index]])
        nn.functional.cross_entropy(outputs, small.train_labels[[index]]).backward()
        optimizer.step()
    with torch.no_grad():
        (w1, b1), (w2, b2), (w3, b3) = here = [(each.weight, each.bias) for each in network[::2]]
        copy = [(w1.flip(0), b1.flip(0)), (w2.flip(0).flip(1), b2.flip(0)), (w3.flip(1), b3)]
        midway = [
            ((w + other_w) / 2, (b + other_b) / 2)
            for (w, b), (other_w, other_b) in zip(here, copy, strict=True)
        ]
        losses = {
            name: loss_of(layers, small)
            for name, layers in (("here", here), ("copy", copy), ("midway", midway))
        }
    assert found == pytest.approx(losses, rel=1e-5)
    assert losses["midway"] != pytest.approx(losses["here"], rel=1e-3), "so it matters which is which"


def test_gradients_are_those_of_a_plain_loop():
    """With the default batch size and learning rate, for the eleven batches of an epoch."""
    data = made_up()
    found = gradient_flow(0.01, data, seed=3)
    network = build_network(0.01, 3)
    order = epoch_order("shuffled", data.train_labels.numpy(), 3, 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    kept = []
    for step, batch in enumerate(torch.from_numpy(order).split(100), start=1):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(data.train_images[batch]), data.train_labels[batch])
        loss.backward()
        if step in (1, 2, 5, 10):
            active = float(network[1](network[0](data.train_images[batch])).detach().max())
            gradient = [float(each.grad.abs().max()) for each in network.parameters()]
            kept.append((step, loss.item(), active, gradient))
        optimizer.step()
    steps, losses, active, gradients = zip(*kept, strict=True)
    assert found["steps"] == [*steps]
    assert found["loss"] == pytest.approx(losses, rel=1e-6)
    assert found["active"] == pytest.approx(active, rel=1e-6)
    np.testing.assert_allclose(found["gradient"], gradients, rtol=1e-4)
    assert len({f"{each:.4f}" for each in losses}) == 4, "so a step more or less would show"


def test_layers_that_put_out_nothing_are_not_active():
    assert gradient_flow(-0.001, made_up(), seed=0)["active"] == [0, 0, 0, 0]


def test_spread_and_ranks_of_replicates_are_those_of_each_alone():
    mlp = MLP((6, 5, 4, 3, 2), ("relu", "tanh", "relu"))
    networks = [mlp.build("default", 0), mlp.build(0.5, 0), mlp.build("default", 1)]
    with torch.no_grad():
        networks[2][0].weight *= 50
        networks[0][2].weight[:] = networks[0][2].weight[:1]  # all units alike, but for the bias
    for measured, layers in ((unit_spread, 3), (weight_ranks, 4)):
        together = measured(stack_parameters(networks))
        alone = [measured(stack_parameters([each]))[:, 0] for each in networks]
        assert together.shape == (layers, 3)
        np.testing.assert_array_equal(together, np.stack(alone, axis=1))
    assert unit_spread(stack_parameters(networks))[:, 1].tolist() == [0, 0, 0]
    assert weight_ranks(stack_parameters(networks)).T.tolist() == [
        [5, 1, 3, 2], [1, 1, 1, 1], [5, 4, 3, 2],
    ]  # fmt: skip
