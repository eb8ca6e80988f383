"""Every fast engine compared with eager: parameters, outcomes and independence of replicates.

The images are made up, with MNIST's share of zeros, so that nothing is downloaded.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import LinearLR

from model.data.mnist import Data
from model.data.presentation_order import epoch_order
from model.dataset import Dataset
from model.engines import ENGINES, cannot_run, choose_engine, eager, left_out
from model.engines.numba_loop import compilation, evaluation
from model.engines.numba_loop import engine as numba_loop
from model.engines.numba_loop.layout import GROUP
from model.engines.proof import distance
from model.evaluate import _tally
from model.experiment import ORDERS, Experiment
from model.network import MLP
from model.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from model.schedule import Schedule
from model.train import train

from .data import EXAMPLES, NAMED, first, made_up, spoilt
from .processes import forks

CPU = torch.device("cpu")
ONLINE = Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1)
FAST = [engine for engine in ENGINES if engine is not eager and cannot_run(engine, ONLINE, CPU) is None]

ROOT = Path(__file__).parent.parent

each_engine = pytest.mark.parametrize("engine", FAST, ids=lambda engine: engine.NAME)


# Engines accept any order, but sorted by class it gives a very different network.
STREAMS = [(size, order) for size in (1, 2, 32, 100) for order in ORDERS]


def of_steps(least: int, **fields) -> Experiment:
    """Returns an experiment of at least `least` steps, in whole epochs."""
    steps = math.ceil(EXAMPLES / fields["batch_size"])
    return Experiment(epochs=math.ceil(least / steps), **fields)


def trained(engine, experiment: Experiment, seeds=(0,), on: Data | None = None) -> list[torch.Tensor]:
    on = on or made_up()
    running = engine.Engine(experiment, on, seeds)
    labels = on.train_labels.cpu().numpy()
    rates = experiment.rates(len(labels))
    for epoch in range(experiment.epochs):
        orders = [epoch_order(experiment.order, labels, seed, epoch) for seed in seeds]
        stacked = torch.from_numpy(np.stack(orders)).to(on.device)
        running.epoch(stacked, next(rates))
    return running.parameters()


@pytest.fixture(autouse=True)
def one_thread():
    """Uses one thread, as eager's threads wait for each other at every operation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def reference(experiment: Experiment, seeds=(0,)) -> list[torch.Tensor]:
    return trained(eager, experiment, seeds)


@pytest.mark.parametrize(("batch_size", "order"), STREAMS)
@each_engine
def test_sgd_is_eagers(engine, batch_size, order):
    experiment = of_steps(300, optimizer=SGD(0.03), batch_size=batch_size, order=order)
    assert distance(trained(engine, experiment), reference(experiment)) < 1e-5


@pytest.mark.parametrize(("batch_size", "order"), STREAMS)
@each_engine
def test_adam_is_eagers(engine, batch_size, order):
    """They agree except for a few units of the first layer, in which Adam amplifies rounding.

    If a unit is hardly ever active, its step m / (sqrt(v) + eps) is as large for a gradient
    that is a rounding error. Eager itself ends up to 1e-4 from a float64 run here, and up to
    1e-1 on MNIST (1,000 steps, batch size 32, rate 0.001) because of a handful of units.
    """
    experiment = of_steps(300, optimizer=Adam(1e-4), batch_size=batch_size, order=order)
    parameters = trained(engine, experiment)
    assert distance(parameters, reference(experiment), share=0.95) < 1e-5
    assert distance(parameters, reference(experiment)) < 1e-2


@pytest.mark.parametrize("optimizer", [SGD(0.03), Adam(1e-4)], ids=["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [GROUP // 4 - 1, GROUP // 4, GROUP - 1, GROUP, GROUP + 1])
def test_groups_of_examples_are_eagers(optimizer, batch_size):
    """From a quarter of a group on, its examples share tiles of the weights."""
    experiment = of_steps(100, batch_size=batch_size, optimizer=optimizer)
    parameters = trained(numba_loop, experiment)
    assert distance(parameters, reference(experiment), share=0.95) < 1e-5
    assert distance(parameters, reference(experiment)) < 1e-2


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("batch_size", "wave"), [(60, 16), (60, 59), (EXAMPLES, 256)])
def test_batches_of_several_waves_are_eagers(monkeypatch, optimizer, batch_size, wave):
    monkeypatch.setattr(numba_loop, "WAVE", wave)
    value = Adam(1e-4) if optimizer == "adam" else SGD(0.03)
    experiment = of_steps(20 if batch_size == EXAMPLES else 300, batch_size=batch_size, optimizer=value)
    parameters = trained(numba_loop, experiment)
    assert distance(parameters, reference(experiment), share=0.95) < 1e-5
    assert distance(parameters, reference(experiment)) < (1e-2 if optimizer == "adam" else 1e-5)


# Every setting, each in several combinations.
OTHERS = [
    SGD(0.003, momentum=0.9, dampening=0.3, weight_decay=0.001),
    SGD(0.003, momentum=0.9, nesterov=True),
    SGD(0.03, weight_decay=0.01),
    Adam(1e-4, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.001),
    AdamW(1e-4, weight_decay=0.1),
    RMSprop(1e-4, alpha=0.9, momentum=0.5, weight_decay=0.001),
    RMSprop(1e-4, centered=True, eps=1e-6),
    Adagrad(0.001, lr_decay=0.01, initial_accumulator_value=0.1),
    Adagrad(0.001, weight_decay=0.001),
]
each_other = pytest.mark.parametrize("optimizer", OTHERS, ids=lambda optimizer: optimizer.label)


@each_other
def test_other_optimizers_are_eagers(optimizer):
    """The 1,000 steps include pixels that are never lit, and pixels not lit in every batch."""
    experiment = of_steps(1000, optimizer=optimizer, batch_size=8)
    parameters = trained(numba_loop, experiment)
    for share, allowed in optimizer.tolerance.items():
        assert distance(parameters, reference(experiment), share) < allowed


@pytest.mark.parametrize(
    "optimizer", [SGD(0.03), Adam(1e-4), *OTHERS], ids=lambda optimizer: optimizer.label
)
def test_rates_that_fall_in_every_step_are_eagers(optimizer):
    """Each factor follows the rate of its step: that of the weights' decay, too."""
    falling = Schedule(LinearLR, {"start_factor": 1, "end_factor": 0.1, "total_iters": 90}, "step")
    experiment = of_steps(100, optimizer=optimizer, batch_size=16, schedule=falling)
    parameters = trained(numba_loop, experiment)
    assert distance(parameters, reference(experiment), share=0.95) < 1e-5


@each_other
def test_other_optimizers_are_eagers_in_waves_on_several_cores(monkeypatch, optimizer):
    monkeypatch.setattr(numba_loop, "WAVE", 16)
    monkeypatch.setattr(numba_loop, "EXAMPLES_PER_THREAD", 1)
    experiment = of_steps(30, optimizer=optimizer, batch_size=60)
    expected, alone = reference(experiment), trained(numba_loop, experiment)
    torch.set_num_threads(3)
    parameters = trained(numba_loop, experiment)
    assert all(torch.equal(p, a) for p, a in zip(parameters, alone, strict=True))
    assert distance(parameters, expected, share=0.95) < 1e-5


# A layer with a list of all units, one with a list of active units, and a last hidden layer that fills a
# cache line; and a network with one hidden layer.
NETWORKS = [
    MLP((784, 30, 20, 16, 7), ("tanh", "relu", "sigmoid")),
    MLP((784, 12, 12), ("relu",)),
]


def of_classes(count: int) -> Data:
    """Returns some of the examples, with `count` classes."""
    few = first(205)
    labels, test_labels = few.train_labels % count, few.test_labels % count
    dataset = Dataset("strokes", classes=count, digest="of its own")
    return Data(dataset, few.train_images, labels, few.test_images, test_labels)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_other_networks_are_eagers(monkeypatch, network):
    """Both kinds of step, waves and several cores are covered; evaluations agree too."""
    monkeypatch.setattr(numba_loop, "WAVE", 32)
    monkeypatch.setattr(numba_loop, "EXAMPLES_PER_THREAD", 1)
    data = of_classes(network.classes)
    for optimizer, batch_size in ((SGD(0.03), 1), (SGD(0.03), 20), (SGD(0.03, momentum=0.5), 50)):
        experiment = Experiment(
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=2,
            dataset=data.dataset,
            network=network,
        )
        torch.set_num_threads(1)
        expected, alone = (trained(each, experiment, on=data) for each in (eager, numba_loop))
        torch.set_num_threads(3)
        parameters = trained(numba_loop, experiment, on=data)
        assert all(torch.equal(p, a) for p, a in zip(parameters, alone, strict=True))
        assert distance(parameters, expected) < 1e-5
    images, labels = data.test_images, data.test_labels
    stacked = [each[0] for each in parameters]
    loss, *counts = evaluation.tally(network, stacked, images, labels)
    expected_loss, *expected_counts = _tally(network, stacked, images, labels)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert [each.tolist() for each in counts] == [each.tolist() for each in expected_counts]


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(
    ("optimizer", "moves", "fades"),
    [
        (SGD(0.1), False, False),
        (SGD(0.1, weight_decay=0.1), True, True),
        (SGD(0.1, momentum=0.9), True, False),
        (RMSprop(0.001), False, False),
        (RMSprop(0.001, momentum=0.9), True, False),
        (Adagrad(0.01), False, False),
        (Adagrad(0.01, weight_decay=0.1), True, True),
        (Adam(0.001), True, False),
        (AdamW(0.001), True, True),
    ],
    ids=lambda value: value.label if isinstance(value, Optimizer) else "",
)
def test_weights_without_a_gradient_move_only_with_some_optimizers(optimizer, moves, fades, batch_size):
    """One pixel is lit only in the first batch, another never."""
    few = first(3 * batch_size)
    images = few.train_images.clone()
    images[:, [5, 300]] = 0
    images[0, 300] = 1
    data = Data(few.dataset, images, few.train_labels, few.test_images, few.test_labels)
    experiment = Experiment(optimizer=optimizer, batch_size=batch_size, epochs=1)
    running = numba_loop.Engine(experiment, data, (0,))
    weights = [running.parameters()[0][0]]
    for batch in torch.arange(len(images)).split(batch_size):
        running.epoch(batch[None], np.array([optimizer.learning_rate]))
        weights.append(running.parameters()[0][0])
    start, once, _, end = weights
    assert not torch.equal(once[300], start[300])
    assert torch.equal(end[300], once[300]) == (not moves)
    assert torch.equal(end[5], start[5]) == (not fades)


@pytest.mark.parametrize("init", [0, 0.01, 0.1, 1])
@each_engine
def test_constant_initialisations_are_eagers(engine, init):
    experiment = Experiment(optimizer=SGD(0.03), batch_size=32, epochs=10, init=init)
    assert distance(trained(engine, experiment), reference(experiment)) < 1e-5


@pytest.mark.parametrize(
    ("experiment", "outcome"),
    [
        (Experiment(optimizer=SGD(0.1), batch_size=32, epochs=10), "learned"),
        (Experiment(optimizer=SGD(0.1), batch_size=32, epochs=2, init=0), "constant"),
        (Experiment(optimizer=SGD(1e37), batch_size=1, epochs=1), "diverged"),
        (Experiment(optimizer=SGD(1e37), batch_size=32, epochs=1), "diverged"),
        (Experiment(optimizer=SGD(0.1), batch_size=32, epochs=1, init=1e37), "diverged"),
        (Experiment(optimizer=Adam(1e37), batch_size=32, epochs=1), "diverged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@each_engine
def test_outcomes_are_eagers(engine, experiment, outcome):
    assert train(experiment, made_up(), engine="eager").outcomes == (outcome,)
    assert train(experiment, made_up(), engine=engine.NAME).outcomes == (outcome,)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 32])
@each_engine
def test_values_that_are_not_finite_spread_as_in_eager(engine, optimizer, batch_size, value):
    """One such pixel makes all layers not finite by the end of the epoch."""
    experiment = Experiment(optimizer=NAMED[optimizer](0.01), batch_size=batch_size, epochs=1)
    data = spoilt(value)
    for each in (eager, engine):
        assert [p.isfinite().all().item() for p in trained(each, experiment, on=data)] == [False] * 6


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@each_engine
def test_a_replicate_does_not_depend_on_others(engine, optimizer):
    torch.set_num_threads(2)
    experiment = Experiment(optimizer=NAMED[optimizer](0.01), batch_size=32, epochs=2)
    together = trained(engine, experiment, seeds=(3, 4, 5))
    again = trained(engine, experiment, seeds=(3, 4, 5))
    alone = trained(engine, experiment, seeds=(4,))
    for t, a, o in zip(together, again, alone, strict=True):
        assert torch.equal(t, a)
        assert torch.equal(t[1], o[0])
        assert not torch.equal(t[0], t[1])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 32, 100, EXAMPLES])
def test_results_are_bitwise_the_same_on_any_number_of_cores(monkeypatch, optimizer, batch_size):
    """Shorter last batches and waves, and threads without examples, are covered."""
    monkeypatch.setattr(numba_loop, "WAVE", 64)
    monkeypatch.setattr(numba_loop, "EXAMPLES_PER_THREAD", 1)
    experiment = Experiment(optimizer=NAMED[optimizer](0.01), batch_size=batch_size, epochs=1)
    few = first(min(EXAMPLES, 65 + 8 * batch_size))
    torch.set_num_threads(1)
    alone = trained(numba_loop, experiment, on=few)
    for threads in (2, 3, 5):
        torch.set_num_threads(threads)
        for t, a in zip(trained(numba_loop, experiment, on=few), alone, strict=True):
            assert torch.equal(t, a)


@pytest.mark.parametrize(
    ("fields", "replicates", "available", "busy"),
    [
        ({"batch_size": 1}, 1, 8, 1),
        ({"batch_size": 1}, 3, 8, 3),
        ({"batch_size": 1}, 9, 8, 8),
        ({"batch_size": 63}, 1, 8, 1),
        ({"batch_size": 64}, 1, 8, 2),
        ({"batch_size": 64}, 3, 8, 6),
        ({"batch_size": 64}, 9, 8, 8),
        ({"batch_size": 1000}, 1, 8, 8),
    ],
)
def test_the_number_of_cores_kept_busy(fields, replicates, available, busy):
    experiment = Experiment(optimizer=SGD(0.1), epochs=1, **fields)
    assert numba_loop.cores(experiment, replicates, available) == busy


def test_it_is_compiled_once_for_every_experiment():
    """Compiling again would be timed as training, as once happened for an integer learning rate."""
    for rate, init in ((1, 0), (0.5, 0.5)):
        for optimizer in (SGD(rate), Adam(rate), *OTHERS):
            experiment = Experiment(optimizer=optimizer, batch_size=32, epochs=1, init=init)
            trained(numba_loop, experiment, on=first(64))
    assert len(compilation.kernels(MLP()).train_steps.signatures) == 1


@each_engine
def test_parameters_are_copies(engine):
    running = engine.Engine(ONLINE, made_up(), (0,))
    before = running.parameters()
    kept = [p.clone() for p in before]
    running.epoch(torch.arange(EXAMPLES)[None], ONLINE.constant_rates(EXAMPLES))
    assert all(torch.equal(b, k) for b, k in zip(before, kept, strict=True))
    assert not torch.equal(running.parameters()[0], kept[0])


def of_network(network: MLP) -> Experiment:
    return Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1, network=network)


def test_a_refusal_gives_the_reason():
    with pytest.raises(ValueError, match=r"engine numba cannot.*on a CPU, not on cuda"):
        choose_engine("numba", ONLINE, torch.device("cuda"))
    assert numba_loop.unavailable(torch.device("cuda")) is None
    for network, message in (
        (MLP((784, 10), ()), "it needs at least one hidden layer; the network is 784-10"),
        (MLP((784, 5, 10), ("gelu",)), "it supports the activations relu, sigmoid and tanh, not gelu"),
        (
            MLP((784, 5, 10), ("identity",)),
            "it supports the activations relu, sigmoid and tanh, not identity",
        ),
        (
            MLP((784, 65536, 10), ("relu",)),
            "it supports at most 65,535 inputs or units in a layer; "
            "the network is 784-65536-10 with relu",
        ),
    ):
        assert numba_loop.refuses(of_network(network), CPU) == message
        assert compilation.refuses_size(network) is not None
    without_eps = Experiment(optimizer=Adam(0.1, eps=0), batch_size=1, epochs=1)
    message = "it needs an eps of at least 1.2e-38; the optimizer is Adam with eps 0"
    assert numba_loop.refuses(without_eps, CPU) == message


def missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)


def switched_off(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)


class Broken(ModuleType):
    def __getattr__(self, name):
        raise OSError("libllvmlite.so: cannot\nopen shared object file")


def broken(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", Broken("numba"))


def without_llvmlite(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)


@pytest.fixture
def unasked():
    """Forgets, before and after, whether Numba can run."""
    compilation.numba_unavailable.cache_clear()
    yield
    compilation.numba_unavailable.cache_clear()


@pytest.mark.skipif(compilation.numba_unavailable() is not None, reason="Numba cannot run here")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (missing, r"Numba is missing \(.*\); install it with pip install numba"),
        (switched_off, r"Numba's compiler is off; unset NUMBA_DISABLE_JIT"),
        (broken, r"Numba cannot be imported \(OSError: libllvmlite.so: cannot open .*\)"),
        (without_llvmlite, r"Numba cannot be imported \(import of llvmlite halted.*\)"),
    ],
)
def test_without_numba_its_engine_is_left_out_with_the_reason(unasked, monkeypatch, spoil, reason):
    spoil(monkeypatch)
    monkeypatch.delitem(sys.modules, compilation.module_name(MLP()), raising=False)
    with pytest.raises(ValueError, match=f"^engine numba cannot run here: {reason}$"):
        choose_engine("numba", ONLINE, CPU)
    assert choose_engine("auto", ONLINE, CPU) is eager
    assert re.fullmatch(reason, left_out(ONLINE, CPU)["numba"])


def test_numba_is_not_imported_before_it_is_needed():
    code = "import sys, model.train; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


SMALL = """
import numba
from model.engines.numba_loop.compilation import compile_first

@numba.njit(cache=True)
def total(count):
    found = 0
    for number in range(count):
        found += number
    return found

compile_first(total, "sum", lambda: total(0))
"""


def compile_small(folder: Path, output: Path) -> None:
    with output.open("w") as file:
        sys.stderr = file
        sys.path.insert(0, str(folder))
        import small

        print(small.total(10), file=file)


def test_processes_can_compile_at_the_same_time(tmp_path):
    """With an empty cache, one compiles a small function; the other waits and loads it."""
    (tmp_path / "small.py").write_text(SMALL)
    outputs = [tmp_path / f"{number}.txt" for number in range(2)]
    processes = [forks().Process(target=compile_small, args=(tmp_path, output)) for output in outputs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    announcement = "compiling the numba engine's sum (once per machine, about 20 s)\n"
    assert sorted(output.read_text() for output in outputs) == ["45\n", f"{announcement}45\n"]
