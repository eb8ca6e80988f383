"""The cuda-graph engine's plan, counted on paper, and how it builds its optimizers."""

import numpy as np
import pytest
import torch

from model.engines.cuda_graph import memory
from model.engines.cuda_graph.memory import group_sizes, state_bytes, working_bytes
from model.engines.cuda_graph.rates import graphs, schedule
from model.engines.cuda_graph.replicates import Activations, Examples, Replicates, inputs, padded_width
from model.engines.error import EngineError
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam, AdamW, RMSprop, Torch
from model.schedule import Schedule
from tests.data import NETWORK, made_up

CPU = torch.device("cpu")
MNIST = 60_000
# 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10 weights and biases.
PARAMETERS = 235_200 + 300 + 30_000 + 100 + 1_000 + 10


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [
        # Parameters, gradients, and three copies in training; then the optimizer's state.
        (SGD(0.1), 5),
        (SGD(0.1, momentum=0.9), 6),
        (Adam(0.1), 7),
        (RMSprop(0.1), 6),
        (RMSprop(0.1, momentum=0.5, centered=True), 8),
        (Torch(torch.optim.Adagrad, 0.1), 5),  # whose state is unknown
    ],
    ids=str,
)
def test_the_bytes_of_a_replicates_state(optimizer, copies):
    orders = 2 * 8 * MNIST
    assert state_bytes(NETWORK, optimizer, MNIST) == 4 * copies * PARAMETERS + orders


@pytest.mark.parametrize(
    ("batch_size", "graph"),
    [
        (1, 512),  # the examples of the longest graph
        (100, 512 * 100),
        (1000, 8 * 1000),
        (10_000, 10_000),
        (MNIST, MNIST),
    ],
)
def test_the_bytes_of_a_steps_working_memory(batch_size, graph):
    # Inputs of 784, 300 and 100 with a column of ones, in multiples of four; two tensors of each hidden
    # layer, three of the output layer. An example: three whole numbers and ten targets.
    floats = (788 + 304 + 104) + 2 * (300 + 100) + 3 * 10
    assert working_bytes(NETWORK, MNIST, batch_size) == 4 * floats * batch_size + (24 + 40) * graph


def test_the_working_memory_of_another_network():
    network = MLP((3, 4, 2), ("relu",))
    floats = (4 + 8) + 2 * 4 + 3 * 2
    assert working_bytes(network, 5, 2) == 4 * floats * 2 + (24 + 8) * 2


def test_the_reserve_is_named_in_the_refusal():
    mib = 2**20
    line = (
        r"needs 523 MiB of GPU memory to train one replicate at a time \(2 for each of 3, 6 for the one "
        r"that trains, 512 in reserve\), but only 522 MiB are free; use fewer replicates$"
    )
    with pytest.raises(EngineError, match=line):
        group_sizes(3, 2 * mib - 1, 5 * mib + 1, 523 * mib - 3)
    assert group_sizes(3, 2 * mib, 5 * mib, 523 * mib) == [1, 1, 1]
    assert memory._RESERVE == 512 * mib


@pytest.mark.parametrize(("units", "width"), [(2, 4), (3, 4), (4, 8), (7, 8), (300, 304), (784, 788)])
def test_inputs_are_aligned_and_have_a_column_of_ones(units, width):
    assert padded_width(units) == width
    made = inputs(2, 3, units=units, device=CPU)
    assert made.shape == (2, 3, width)
    assert made.dtype == torch.float32
    assert made.sum(dim=2).tolist() == [[1] * 3] * 2
    assert made[..., units].tolist() == [[1] * 3] * 2


@pytest.mark.parametrize(
    ("examples", "replays"),
    [
        (7, [1] * 7),
        (8, [8]),
        (63, [8] * 7 + [1] * 7),
        (64, [64]),
        (511, [64] * 7 + [8] * 7 + [1] * 7),
        (512, [512]),
        (1125, [512, 512, 64, 8, 8, 8, 8, 1, 1, 1, 1, 1]),
    ],
)
def test_an_epoch_replays_the_longest_graphs_first(examples, replays):
    assert schedule(examples, 1) == [(steps, 1) for steps in replays]
    assert schedule(3 * examples + 2, 3) == [*((steps, 3) for steps in replays), (1, 2)]
    assert graphs(3 * examples + 2, 3) == [
        *((steps, 3) for steps in (512, 64, 8, 1) if steps <= examples), (1, 2),
    ]  # fmt: skip


def made(optimizer, scheduled):
    schedule = Schedule(torch.optim.lr_scheduler.StepLR, {"step_size": 1}) if scheduled else None
    experiment = Experiment(optimizer=optimizer, batch_size=32, epochs=1, schedule=schedule)
    examples, activations = Examples(NETWORK, made_up()), Activations(NETWORK, 1, 32, CPU)
    return Replicates(experiment, examples, activations, (0,))


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize(
    ("optimizer", "fused", "capturable"),
    [
        (SGD(0.1), None, None),
        (Adam(0.1), True, True),
        (AdamW(0.1), True, True),
        (RMSprop(0.1), None, True),
    ],
    ids=str,
)
def test_optimizers_are_built_so_that_they_can_be_captured(optimizer, fused, capturable, scheduled):
    (group,) = made(optimizer, scheduled)._optimizer.param_groups
    if scheduled and isinstance(optimizer, SGD):
        fused = True  # else it would read the rate back
    assert group.get("fused") == fused
    assert group.get("capturable") == capturable
    assert torch.is_tensor(group["lr"]) == scheduled


def test_restoring_goes_back_to_the_beginning():
    replicates = made(SGD(0.1), scheduled=True)
    replicates.begin(torch.arange(1025)[None], np.linspace(1, 0.5, 33))
    replicates.train(2, 32)
    assert (int(replicates._position), int(replicates._step_number)) == (64, 2)
    replicates.restore()
    assert (int(replicates._position), int(replicates._step_number)) == (0, 0)


def test_rates_are_kept_for_each_step_of_a_schedule_only():
    assert made(SGD(0.1), scheduled=True)._rates.shape == (33,)
    assert made(SGD(0.1), scheduled=False)._rates.shape == (0,)
