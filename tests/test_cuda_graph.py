"""The cuda-graph engine compared with eager: on a CPU without capturing, on a GPU completely."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.data.mnist import Data
from model.data.presentation_order import epoch_order
from model.engines import EngineError, choose_engine, eager, proof
from model.engines.cuda_graph import engine as cuda_graph
from model.engines.cuda_graph.memory import group_sizes, state_bytes, working_bytes
from model.engines.cuda_graph.rates import graphs, schedule
from model.engines.cuda_graph.replicates import Activations, Examples, Replicates
from model.experiment import Experiment
from model.network import MLP, stack_parameters
from model.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from model.schedule import Schedule
from model.train import train

from .data import EXAMPLES, NAMED, NETWORK, build_network, first, made_up, made_up_on, spoilt
from .test_engines import distance, of_steps, reference, trained

CPU = torch.device("cpu")
GPU = torch.device("cuda")
MNIST = 60000
MIB = 2**20

each_optimizer = pytest.mark.parametrize("optimizer", [SGD(1e-4), Adam(1e-4)], ids=["sgd", "adam"])


@pytest.fixture
def uncaptured(monkeypatch):
    """Lets the engine run on a CPU: a replay is the call that would be captured."""

    class Uncaptured:
        def __init__(self, device):
            pass

        def __call__(self, replicates, steps, size):
            run = partial(replicates.train, steps, size)
            run()
            replicates.restore()
            return run

    monkeypatch.setattr(cuda_graph, "Capture", Uncaptured)
    monkeypatch.setattr(cuda_graph, "free_bytes", lambda device: 2**40)
    monkeypatch.setattr(cuda_graph, "refuses", lambda experiment, device: None)


@pytest.fixture
def two_at_a_time(monkeypatch):
    """Gives the GPU enough memory for two of three replicates, at batch size 32 with Adam."""
    state, working = state_bytes(NETWORK, Adam(1), EXAMPLES), working_bytes(NETWORK, EXAMPLES, 32)
    free = next(f for f in range(0, 2**40, MIB) if fits(3, state, working, f) == [2, 1])
    monkeypatch.setattr(cuda_graph, "free_bytes", lambda device: free)


def fits(*arguments) -> list[int] | None:
    try:
        return group_sizes(*arguments)
    except EngineError:
        return None


def experiment(**changed) -> Experiment:
    return Experiment(**{"optimizer": SGD(1e-4), "batch_size": 32, "epochs": 3, **changed})


def orders_of(seeds, data: Data | None = None) -> torch.Tensor:
    labels = (data or made_up()).train_labels.cpu().numpy()
    return torch.from_numpy(np.stack([epoch_order("shuffled", labels, seed, 0) for seed in seeds]))


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def one(parameters: list[torch.Tensor], replicate: int) -> list[torch.Tensor]:
    return [p[replicate : replicate + 1] for p in parameters]


# The choice


def test_it_is_used_on_gpus_for_every_batch_size(monkeypatch):
    monkeypatch.setattr(proof, "kept_answer", lambda *_: proof.ProofResult(None))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))  # not the cluster's
    with pytest.raises(EngineError, match=r"engine cuda-graph cannot.*runs on a GPU, not on cpu"):
        choose_engine("cuda-graph", experiment(), CPU)
    assert choose_engine("auto", experiment(), CPU) is not cuda_graph
    for batch_size in (1, 32, MNIST):
        for optimizer in (SGD(0.1), Adam(0.1)):
            case = experiment(optimizer=optimizer, batch_size=batch_size)
            assert choose_engine("auto", case, GPU) is cuda_graph


# The plan


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100, 1000, 10000, 59999, 60000])
def test_graphs_cover_an_epoch_and_its_parts(batch_size):
    captured = graphs(MNIST, batch_size)
    whole = schedule(MNIST, batch_size)
    assert sum(steps * size for steps, size in whole) == MNIST
    assert len(whole) <= 129
    assert all(size == batch_size for _, size in whole[:-1])
    steps = math.ceil(MNIST / batch_size)
    for cut in {1, 3, steps // 2, steps - 1} & set(range(1, steps)):
        parts = schedule(cut * batch_size, batch_size), schedule(MNIST - cut * batch_size, batch_size)
        assert {*parts[0], *parts[1]} <= set(captured)
        assert sum(s * size for part in parts for s, size in part) == MNIST
    assert set(whole) <= set(captured)
    assert all(s * size <= MNIST for s, size in captured), "none reads beyond the orders"


@pytest.mark.parametrize(
    ("replicates", "at_once", "groups"),
    [(1, 1, [1]), (8, 8, [8]), (8, 100, [8]), (8, 3, [3, 3, 2]), (8, 7, [4, 4]), (3, 1, [1, 1, 1])],
)
def test_groups_are_as_large_as_fit_in_memory(replicates, at_once, groups):
    state, working = 10 * MIB, 300 * MIB
    free = 512 * MIB + replicates * state + at_once * working
    assert group_sizes(replicates, state, working, free) == groups
    one_byte_less = fits(replicates, state, working, free - 1) or [0]
    assert max(one_byte_less) < at_once


def test_missing_memory_is_reported_with_the_figures():
    with pytest.raises(
        EngineError, match=r"needs 892 MiB .*10 for each of 8, 300 for the one.*only 891 MiB are free"
    ):
        group_sizes(8, 10 * MIB, 300 * MIB, 892 * MIB - 1)


def test_an_engine_that_does_not_fit_is_not_made(uncaptured, monkeypatch):
    monkeypatch.setattr(cuda_graph, "free_bytes", lambda device: 600 * MIB)
    with pytest.raises(EngineError, match="but only 600 MiB are free"):
        train(experiment(batch_size=MNIST), made_up(), seeds=tuple(range(30)), engine="cuda-graph")


class Watch(TorchDispatchMode):
    """Records the operations in the block, and the most bytes that they held allocated at once."""

    def __init__(self):
        super().__init__()
        self.operations: set[str] = set()
        self.most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = {storage._cdata for storage in storages((args, kwargs))}
        result = operation(*args, **(kwargs or {}))
        self.operations.add(operation.overloadpacket.__name__)
        for storage in storages(result):
            if storage._cdata not in given:
                self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._alive = {key: entry for key, entry in self._alive.items() if not entry[0].expired()}
        self.most = max(self.most, sum(size for _, size in self._alive.values()))
        return result


def storages(tree) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


@each_optimizer
def test_the_plan_covers_a_replicates_state(optimizer):
    replicates = stepping(experiment(optimizer=optimizer), seeds=(0, 1))
    moments = [m for state in replicates._optimizer.state.values() for m in state.values()]
    own = [*replicates._layers, *(layer.grad for layer in replicates._layers), *moments]
    # Held by `train`: three copies of the parameters, and the orders that it passes.
    held = [*3 * replicates.parameters(), orders_of((0, 1))]
    kept = sum(tensor.nbytes for tensor in [*own, replicates._orders, *held])
    assert kept == pytest.approx(2 * state_bytes(NETWORK, optimizer, EXAMPLES), rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 32, 100, EXAMPLES])
@each_optimizer
def test_the_plan_covers_a_steps_working_memory(optimizer, batch_size):
    replicates = stepping(experiment(optimizer=optimizer, batch_size=batch_size), seeds=(0, 1))
    most = 0
    for graph in graphs(EXAMPLES, batch_size):
        replicates.restore()
        with Watch() as watch:
            replicates.train(*graph)
        most = max(most, watch.most)
    activations = Activations(NETWORK, 2, batch_size, CPU)
    most += sum(buffer.nbytes for buffer in activations.hidden)
    planned = 2 * working_bytes(NETWORK, EXAMPLES, batch_size)
    assert 0.5 * planned < most <= planned


# The step


@each_optimizer
def test_a_step_reads_nothing_back(optimizer):
    """Operations that make the host wait for the device cannot be captured."""
    replicates = stepping(experiment(optimizer=optimizer), seeds=(0, 1))
    with Watch() as watch:
        replicates.begin(orders_of((0, 1)), np.zeros(0))
        replicates.train(8, 32)
    assert "bmm" in watch.operations
    assert not watch.operations & {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "_to_copy"}


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.03), ("adam", 1e-4)])
def test_it_is_eagers(uncaptured, optimizer, rate, batch_size):
    """The tolerances are those of `test_engines`, for the same reasons."""
    case = of_steps(300, optimizer=NAMED[optimizer](rate), batch_size=batch_size)
    parameters = trained(cuda_graph, case)
    assert distance(parameters, reference(case), share=0.95) < 1e-5
    assert distance(parameters, reference(case)) < {"sgd": 1e-5, "adam": 1e-2}[optimizer]


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(3e-3, momentum=0.9, weight_decay=0.01),
        SGD(3e-3, momentum=0.9, nesterov=True),
        Adam(1e-4, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.01),
        AdamW(1e-4, weight_decay=0.1),
        RMSprop(1e-4, momentum=0.5, centered=True, weight_decay=0.01),
    ],
    ids=str,
)
def test_settings_of_optimizers_are_honoured(uncaptured, monkeypatch, optimizer):
    rmsprop = sys.modules["torch.optim.rmsprop"]  # whose name torch.optim deletes
    monkeypatch.setattr(rmsprop, "_get_capturable_supported_devices", lambda *_, **__: ["cpu"])
    case = of_steps(100, optimizer=optimizer, batch_size=32)
    assert distance(trained(cuda_graph, case), reference(case), share=0.95) < 1e-5


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.03),
        SGD(3e-3, momentum=0.9, nesterov=True, weight_decay=0.01),
        Adam(1e-4),
        AdamW(1e-4),
        RMSprop(1e-4, momentum=0.5),
    ],
    ids=str,
)
def test_a_schedule_is_followed_step_by_step(uncaptured, monkeypatch, optimizer):
    rmsprop = sys.modules["torch.optim.rmsprop"]
    monkeypatch.setattr(rmsprop, "_get_capturable_supported_devices", lambda *_, **__: ["cpu"])
    halving = Schedule(torch.optim.lr_scheduler.StepLR, {"step_size": 7, "gamma": 0.5}, every="step")
    case = of_steps(60, optimizer=optimizer, batch_size=32, schedule=halving)
    found = trained(cuda_graph, case)
    assert distance(found, reference(case), share=0.95) < 1e-5
    assert distance(found, reference(replace(case, schedule=None))) > 1e-4


@pytest.mark.parametrize(
    "network",
    [
        MLP((784, 10), ()),
        MLP((784, 33, 10), ("tanh",)),
        MLP((784, 40, 30, 20, 10), ("sigmoid", "relu", "tanh")),
    ],
    ids=str,
)
def test_other_networks_are_eagers(uncaptured, network):
    case = of_steps(100, optimizer=SGD(0.03), batch_size=32, network=network)
    assert distance(trained(cuda_graph, case), reference(case)) < 1e-5


@pytest.mark.parametrize("batch_size", [600, 1000, EXAMPLES, 60000])
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.1), ("adam", 1e-3)])
def test_large_batches_are_eagers(uncaptured, optimizer, rate, batch_size):
    case = Experiment(optimizer=NAMED[optimizer](rate), batch_size=batch_size, epochs=20)
    assert distance(trained(cuda_graph, case), reference(case)) < 1e-5


@each_optimizer
def test_replicates_do_not_depend_on_each_other(uncaptured, optimizer):
    """They agree up to rounding: a product's order of summation may depend on their number."""
    case = experiment(optimizer=optimizer.with_rate(1e-3))
    together = trained(cuda_graph, case, seeds=(3, 4, 5))
    for replicate, seed in enumerate((3, 4, 5)):
        assert distance(one(together, replicate), reference(case, (seed,))) < 1e-5
        assert distance(one(together, replicate), trained(cuda_graph, case, (seed,))) < 1e-5
    assert distance(one(together, 0), one(together, 1)) > 0.1


def test_groups_in_turn_give_the_same(uncaptured, two_at_a_time):
    case = experiment(optimizer=Adam(1e-4))
    grouped = trained(cuda_graph, case, seeds=(3, 4, 5))
    for replicate, seed in enumerate((3, 4, 5)):
        assert distance(one(grouped, replicate), reference(case, (seed,))) < 1e-5


@pytest.mark.parametrize("batch_size", [1, 100])
@each_optimizer
def test_parts_of_an_epoch_make_the_epoch(uncaptured, optimizer, batch_size):
    assert same(*in_parts_and_whole(first(20 * batch_size + 1), optimizer, batch_size))


def in_parts_and_whole(data: Data, optimizer: Optimizer, batch_size: int):
    orders = orders_of((0, 1), data).to(data.device)
    case = experiment(optimizer=optimizer, batch_size=batch_size)
    parts, whole = (cuda_graph.Engine(case, data, (0, 1)) for _ in range(2))
    for some in orders.split([3 * batch_size, 5 * batch_size, orders.shape[1] - 8 * batch_size], dim=1):
        parts.epoch(some, case.constant_rates(some.shape[1]))
    whole.epoch(orders, case.constant_rates(orders.shape[1]))
    return parts.parameters(), whole.parameters()


@each_optimizer
def test_warming_up_leaves_no_trace(optimizer):
    case = experiment(optimizer=optimizer.with_rate(1e37), init=1)  # training leaves nothing finite
    warm, fresh = (
        Replicates(case, Examples(NETWORK, made_up()), Activations(NETWORK, 1, 32, CPU), (0,))
        for _ in range(2)
    )
    warm.train(2, 32)
    assert not all(p.isfinite().all() for p in warm.parameters())
    warm.restore()
    assert same(warm.parameters(), stack_parameters([build_network(1, 0)]))
    for replicates in (warm, fresh):
        replicates.begin(orders_of((0,)), np.zeros(0))
        replicates.train(1, 1)
    assert same(warm.parameters(), fresh.parameters())
    assert not same(warm.parameters(), stack_parameters([build_network(1, 0)]))


def stepping(case: Experiment, seeds) -> Replicates:
    """Returns replicates on the CPU after a step, which creates the optimizer's state."""
    activations = Activations(case.network, len(seeds), case.batch_size, CPU)
    replicates = Replicates(case, Examples(case.network, made_up()), activations, seeds)
    replicates.train(1, 1)
    return replicates


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@each_optimizer
def test_values_that_are_not_finite_spread_as_in_eager(uncaptured, optimizer, value):
    parameters = trained(cuda_graph, experiment(optimizer=optimizer, epochs=1), on=spoilt(value))
    assert [p.isfinite().all().item() for p in parameters] == [False] * 6


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"optimizer": SGD(0.1), "epochs": 10}, "learned"),
        ({"optimizer": SGD(0.1), "epochs": 2, "init": 0}, "constant"),
        ({"optimizer": SGD(1e37), "epochs": 1}, "diverged"),
        ({"optimizer": Adam(1e37), "epochs": 1}, "diverged"),
    ],
)
def test_outcomes_are_eagers(uncaptured, changed, outcome):
    assert train(experiment(**changed), made_up(), engine="eager").outcomes == (outcome,)
    training = train(experiment(**changed), made_up(), engine="cuda-graph")
    assert (training.engine, training.outcomes) == ("cuda-graph", (outcome,))


def test_parameters_are_copies(uncaptured):
    running = cuda_graph.Engine(experiment(), made_up(), (0,))
    before = running.parameters()
    kept = [p.clone() for p in before]
    running.epoch(orders_of((0,)), experiment().constant_rates(EXAMPLES))
    assert same(before, kept)
    assert not same(running.parameters(), kept)


CUDA_MATMUL, CPU_MATMUL = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
# Where a precision is set that both inherit, and one that only the first inherits.
EVERYTHING, EVERYTHING_ON_CUDA = torch.backends, torch.backends.cudnn


def precisions() -> list:
    """Returns the precisions of matrix products by PyTorch's newer settings and its older ones."""
    found = [CUDA_MATMUL.fp32_precision, CPU_MATMUL.fp32_precision]
    for older in (lambda: CUDA_MATMUL.allow_tf32, torch.get_float32_matmul_precision):
        try:
            found.append(older())
        except RuntimeError:
            found.append("they disagree")
    return found


@pytest.mark.parametrize(
    "inherited",
    [{}, {EVERYTHING: "tf32"}, {EVERYTHING_ON_CUDA: "tf32"}],
    ids=["nothing-inherited", "from-everything", "from-everything-on-cuda"],
)
@pytest.mark.parametrize("own", ["none", "ieee", "tf32", "high", "medium"])
def test_precisions_are_left_as_they_were(own, inherited):
    """They stay right if an inherited setting is changed later."""
    try:
        for settings, precision in inherited.items():
            settings.fp32_precision = precision
        if own in ("high", "medium"):
            torch.set_float32_matmul_precision(own)
        else:
            CUDA_MATMUL.fp32_precision = own
        before = precisions()
        with cuda_graph._without_tf32():
            assert CUDA_MATMUL.fp32_precision == "ieee"
            assert not CUDA_MATMUL.allow_tf32
        assert precisions() == before
        for settings in (EVERYTHING, EVERYTHING_ON_CUDA):
            settings.fp32_precision = "none"
        assert CUDA_MATMUL.fp32_precision == ("tf32" if own in ("high", "medium") else own)
    finally:
        torch.set_float32_matmul_precision("highest")
        for settings in (EVERYTHING, EVERYTHING_ON_CUDA, CUDA_MATMUL, CPU_MATMUL):
            settings.fp32_precision = "none"


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("batch_size", [1, 32, 100, 1000, 60000])
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.03), ("adam", 1e-4)])
def test_on_a_gpu_a_thousand_steps_are_eagers(optimizer, rate, batch_size):
    """Nearly all entries agree to 1e-5, as on a CPU.

    The others differ by more: rounding makes a unit of the first layer cross zero in only one of the
    two. On a CPU, eager's SGD ends up to 2e-5 from a float64 run here, at batch size 100; for Adam see
    `test_engines`.
    """
    size = min(batch_size, EXAMPLES)
    case = of_steps(1000, optimizer=NAMED[optimizer](rate), batch_size=size)
    parameters, expected = (trained(engine, case, on=made_up_on(GPU)) for engine in (cuda_graph, eager))
    assert distance(parameters, expected, share=0.95) < 1e-5
    assert distance(parameters, expected) < {"sgd": 1e-4, "adam": 1e-2}[optimizer]


@pytest.mark.gpu
@each_optimizer
def test_on_a_gpu_replicates_do_not_depend_on_each_other(optimizer):
    """They agree up to rounding: cuBLAS's choice of algorithm may depend on their number."""
    case = experiment(optimizer=optimizer.with_rate(1e-3))
    together = trained(cuda_graph, case, seeds=(3, 4, 5), on=made_up_on(GPU))
    for replicate, seed in enumerate((3, 4, 5)):
        alone = trained(cuda_graph, case, seeds=(seed,), on=made_up_on(GPU))
        assert distance(one(together, replicate), alone, share=0.95) < 1e-5
        assert distance(one(together, replicate), alone) < (
            1e-2 if isinstance(optimizer, Adam) else 1e-4
        )
    assert distance(one(together, 0), one(together, 1)) > 0.1


@pytest.mark.gpu
def test_on_a_gpu_groups_in_turn_give_the_same(two_at_a_time):
    case = experiment(optimizer=Adam(1e-4))
    grouped = trained(cuda_graph, case, seeds=(3, 4, 5), on=made_up_on(GPU))
    for replicate, seed in enumerate((3, 4, 5)):
        alone = trained(eager, case, seeds=(seed,), on=made_up_on(GPU))
        assert distance(one(grouped, replicate), alone, share=0.95) < 1e-5


@pytest.mark.gpu
@each_optimizer
def test_on_a_gpu_results_are_reproduced_bitwise(optimizer):
    case = experiment(optimizer=optimizer)
    first, again = (trained(cuda_graph, case, seeds=(0, 1), on=made_up_on(GPU)) for _ in range(2))
    assert same(first, again)


@pytest.mark.gpu
@pytest.mark.parametrize("batch_size", [1, 100])
@each_optimizer
def test_on_a_gpu_parts_of_an_epoch_make_the_epoch(optimizer, batch_size):
    parts, whole = in_parts_and_whole(made_up_on(GPU), optimizer, batch_size)
    assert same(parts, whole)


@pytest.mark.gpu
@each_optimizer
def test_on_a_gpu_capturing_leaves_no_trace(optimizer):
    """Neither the parameters nor the moments, which affect the first step, are changed."""
    case = experiment(optimizer=optimizer.with_rate(1e-3), batch_size=EXAMPLES, epochs=1)
    made = cuda_graph.Engine(case, made_up_on(GPU), (0,))
    assert same([p.cpu() for p in made.parameters()], stack_parameters([build_network("default", 0)]))
    made.epoch(orders_of((0,)).to(GPU), case.constant_rates(EXAMPLES))
    assert distance(made.parameters(), trained(eager, case, on=made_up_on(GPU)), share=0.95) < 1e-6


@pytest.mark.gpu
def test_on_a_gpu_tf32_is_not_used_and_its_setting_is_kept(monkeypatch):
    case = experiment(optimizer=SGD(0.1), batch_size=1000)
    expected = trained(cuda_graph, case, on=made_up_on(GPU))
    monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32")
    assert same(trained(cuda_graph, case, on=made_up_on(GPU)), expected)
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


@pytest.mark.gpu
@each_optimizer
def test_on_a_gpu_an_epoch_never_waits(optimizer):
    case = experiment(optimizer=optimizer.with_rate(1e-4))
    running = cuda_graph.Engine(case, made_up_on(GPU), (0, 1))
    orders = orders_of((0, 1)).to(GPU)
    torch.cuda.set_sync_debug_mode("error")
    try:
        running.epoch(orders, case.constant_rates(EXAMPLES))
        running.parameters()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("batch_size", [1, 100, EXAMPLES])
def test_on_a_gpu_memory_stays_in_the_plan(batch_size):
    torch.cuda.empty_cache()
    made_up_on(GPU)
    free, _ = torch.cuda.mem_get_info()
    case = experiment(optimizer=Adam(1e-4), batch_size=batch_size)
    running = cuda_graph.Engine(case, made_up_on(GPU), (0, 1))
    running.epoch(orders_of((0, 1)).to(GPU), case.constant_rates(EXAMPLES))
    torch.cuda.synchronize()
    used = free - torch.cuda.mem_get_info()[0]
    examples = Examples(NETWORK, made_up_on(GPU))
    each = state_bytes(NETWORK, Adam(1), EXAMPLES) + working_bytes(NETWORK, EXAMPLES, batch_size)
    planned = 2 * each + 512 * MIB
    assert used <= planned + examples.images.nbytes + examples.targets.nbytes
