"""The engine `cluster`: a model of its kernel on the CPU, what nvcc says of it, and itself on a GPU.

The model is `cluster.cu` in NumPy, phase by phase and under the same names; an array's leading axes
are the warps and lanes (or threads) that hold it. Its blocks run in a random interleaving, as far as the
cluster's barrier lets each go, and memory that a block may not read yet holds NaN.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from model.data.mnist import Data
from model.data.presentation_order import epoch_order
from model.engines import choose_engine, eager
from model.engines.cluster import engine as cluster
from model.experiment import Experiment
from model.network import PARAMETERS, build_network, stack_parameters
from model.train import train

from .data import EXAMPLES, made_up, made_up_on
from .test_engines import distance, trained

CUDA = torch.device("cuda")
ONLINE = Experiment(learning_rate=0.03, batch_size=1, epochs=1)


def constants(source: str) -> dict[str, int]:
    """The `constexpr int`s of a CUDA source."""
    known: dict[str, int] = {}
    for name, value in re.findall(r"constexpr int (\w+) = (.+?);", source):
        known[name] = eval(value, {}, known)
    return known


SOURCE = cluster.SOURCE.read_text()
C = type("Constants", (), constants(SOURCE))
PADDED = C.CHUNKS * C.LANES
FLOAT = np.float32


class Block:
    """A thread block: its threads' registers, its shared memory, and its way through the kernel."""

    def __init__(
        self, rank: int, data: Data, order: np.ndarray, rate: float, parameters: list, buffers: int
    ):
        self.rank, self.order, self.rate, self.parameters = rank, order, FLOAT(rate), parameters
        self.images, self.labels = data.train_images.numpy(), data.train_labels.numpy()
        self.arrivals = 0  # at the cluster's barrier
        self.sent: list[tuple[int, int]] = []  # copies under way: (slot, example)

        self.image = np.zeros((C.SLOTS, PADDED), FLOAT)
        self.label = np.zeros(C.SLOTS, np.int64)
        self.share = np.full((buffers, C.BLOCKS, C.HIDDEN2), np.nan, FLOAT)
        self.hidden2 = np.zeros(C.HALF * C.TERMS, FLOAT)
        self.weight3 = np.zeros((C.CLASSES, C.HALF * C.TERMS), FLOAT)
        self.delta2 = np.zeros(C.LANES * C.FOUR, FLOAT)

        # The registers, with zeros where there is no unit, pixel or sum.
        self.units = np.arange(C.WARPS * C.UNITS) + rank * C.WARPS * C.UNITS
        self.owned = self.units < C.HIDDEN1
        weight1, bias1, weight2, bias2, weight3, bias3 = parameters
        mine = self.units[self.owned]
        self.weight1 = np.zeros((C.WARPS * C.UNITS, PADDED), FLOAT)
        self.weight1[self.owned, : C.PIXELS] = weight1[:, mine].T
        self.weight1 = self.weight1.reshape(C.WARPS, C.UNITS, C.CHUNKS, C.LANES)
        self.weight2 = np.zeros((C.WARPS * C.UNITS, C.LANES * C.FOUR), FLOAT)
        self.weight2[self.owned, : C.HIDDEN2] = weight2[mine]
        self.weight2 = self.weight2.reshape(C.WARPS, C.UNITS, C.LANES, C.FOUR)
        self.bias1 = np.zeros(C.WARPS * C.UNITS, FLOAT)
        self.bias1[self.owned] = bias1[mine]
        self.bias1 = self.bias1.reshape(C.WARPS, C.UNITS)
        self.bias2, self.bias3 = bias2.copy(), bias3.copy()
        self.weight3[:, : C.HIDDEN2] = weight3.T

    def send_for(self, t: int) -> None:
        """Past its end the order goes on with its last example."""
        slot = t % C.SLOTS
        self.image[slot, : C.PIXELS] = np.nan
        self.label[slot] = -1
        self.sent.append((slot, self.order[min(t, len(self.order) - 1)]))

    def wait_for_copies(self, pending: int) -> None:
        while len(self.sent) > pending:
            slot, example = self.sent.pop(0)
            self.image[slot, : C.PIXELS] = self.images[example]
            self.label[slot] = self.labels[example]

    def update_and_multiply(self, step1: np.ndarray, before: int, after: int) -> np.ndarray:
        """weight1 += step1 x(before); returns weight1 x(after), by (warp, unit)."""
        old, new = (self.image[t % C.SLOTS].reshape(C.CHUNKS, C.LANES) for t in (before, after))
        self.weight1 += step1[:, :, None, None] * old
        return (self.weight1 * new).sum((2, 3))

    def run(self, blocks: list[Block]):
        """Yields wherever another block may come first: how many arrivals of all it waits for."""
        for t in range(C.AHEAD):
            self.send_for(t)
        self.wait_for_copies(0)
        self.arrivals += 1
        yield self.arrivals

        step1 = np.zeros((C.WARPS, C.UNITS), FLOAT)
        overlap = FLOAT(0)
        ahead = self.update_and_multiply(step1, -1, 0)

        for t in range(len(self.order)):
            now, after = self.image[t % C.SLOTS], self.image[(t + 1) % C.SLOTS]

            # 1
            total = self.bias1 + (ahead + step1 * overlap)
            hidden1 = np.where(total <= 0, FLOAT(0), total)
            partial = (hidden1[:, :, None, None] * self.weight2).sum(1).reshape(C.WARPS, -1)
            self.wait_for_copies(C.AHEAD - 2)

            # 2
            for block in blocks:
                block.share[t % len(block.share), self.rank] = partial.sum(0)[: C.HIDDEN2]
                yield 0
            self.arrivals += 1

            # 3
            self.send_for(t + C.AHEAD)
            ahead = self.update_and_multiply(step1, t - 1, t + 1)
            products = np.zeros(4 * C.THREADS, FLOAT)
            products[: C.PIXELS] = (now * after)[: C.PIXELS]
            overlaps = products.reshape(4, C.WARPS, C.LANES).sum(0).sum(1)
            yield self.arrivals

            # 4
            share = self.share[t % len(self.share)]
            hidden2 = 1 / (1 + np.exp(-(self.bias2 + share.sum(0))))
            share[:] = np.nan
            self.hidden2[: C.HIDDEN2] = hidden2

            # 5
            logit = (self.weight3 * self.hidden2).reshape(C.CLASSES, C.TERMS, C.HALF).sum(1).sum(1)

            # 6
            exponentials = logit + self.bias3
            exponentials = np.exp(exponentials - np.fmax.reduce(exponentials))
            label = np.arange(C.CLASSES) == self.label[t % C.SLOTS]
            delta3 = exponentials * (1 / exponentials.sum()) - label.astype(FLOAT)
            delta2 = (delta3[:, None] * self.weight3[:, : C.HIDDEN2]).sum(0) * (1 - hidden2) * hidden2
            self.weight3[:, : C.HIDDEN2] -= self.rate * delta3[:, None] * hidden2
            self.bias3 -= self.rate * delta3
            self.bias2 -= self.rate * delta2
            self.delta2[: C.HIDDEN2] = delta2

            # 7
            four = self.delta2.reshape(C.LANES, C.FOUR)
            overlap = overlaps.sum()
            delta1 = (self.weight2 * four).sum((2, 3))
            self.weight2 -= self.rate * hidden1[:, :, None, None] * four
            step1 = np.where(hidden1 == 0, FLOAT(0), -self.rate * delta1)
            self.bias1 += step1

        self.update_and_multiply(step1, len(self.order) - 1, len(self.order))
        self.store()

    def store(self) -> None:
        weight1, bias1, weight2, bias2, weight3, bias3 = self.parameters
        mine = self.units[self.owned]
        weight1[:, mine] = self.weight1.reshape(C.WARPS * C.UNITS, -1)[self.owned, : C.PIXELS].T
        weight2[mine] = self.weight2.reshape(C.WARPS * C.UNITS, -1)[self.owned, : C.HIDDEN2]
        bias1[mine] = self.bias1.reshape(-1)[self.owned]
        if self.rank == 0:
            bias2[:], bias3[:] = self.bias2, self.bias3
            weight3[:] = self.weight3[:, : C.HIDDEN2].T


def modelled(
    experiment: Experiment, data: Data, parts=(EXAMPLES,), buffers: int = 2
) -> list[torch.Tensor]:
    """The parameters after one epoch of the model, cut into launches of so many examples each."""
    parameters = [p[0].numpy() for p in stack_parameters([build_network(experiment.init, 0)])]
    choice = np.random.default_rng(0)
    for order in np.split(order_of(experiment, data), np.cumsum(parts)[:-1]):
        blocks = [
            Block(rank, data, order, experiment.learning_rate, parameters, buffers)
            for rank in range(C.BLOCKS)
        ]
        running = {block.rank: (block.run(blocks), 0) for block in blocks}
        while running:
            arrived = min(block.arrivals for block in blocks)
            able = [rank for rank, (_, needed) in running.items() if needed <= arrived]
            rank = able[choice.integers(len(able))]
            way, _ = running[rank]
            try:
                running[rank] = (way, next(way))
            except StopIteration:
                del running[rank]
    return [torch.from_numpy(p)[None] for p in parameters]


def order_of(experiment: Experiment, data: Data) -> np.ndarray:
    return epoch_order(experiment.order, data.train_labels.cpu().numpy(), 0, 0)


def by_eager(experiment: Experiment, data: Data) -> list[torch.Tensor]:
    engine = eager.Engine(experiment, data, (0,))
    engine.epoch(torch.from_numpy(order_of(experiment, data))[None])
    return engine.parameters()


@pytest.mark.parametrize("init", ["default", 0, 0.01, 0.1])
@pytest.mark.parametrize("order", ["shuffled", "by_class"])
def test_the_models_arithmetic_is_eagers(order, init):
    experiment = replace(ONLINE, order=order, init=init)
    assert distance(modelled(experiment, made_up()), by_eager(experiment, made_up())) < 1e-5


def test_an_epoch_may_be_cut():
    parts = (1, 2, 3, 4, EXAMPLES - 10)
    assert distance(modelled(ONLINE, made_up(), parts), by_eager(ONLINE, made_up())) < 1e-5


@pytest.mark.filterwarnings("ignore:invalid value")
def test_one_buffer_would_be_overtaken():
    """So the interleaving that the model runs in does find what the second buffer is for."""
    assert np.isnan(distance(modelled(ONLINE, made_up(), buffers=1), by_eager(ONLINE, made_up())))


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_what_is_not_finite_stays_seen():
    images = made_up().train_images.clone()
    images[7, 300] = float("nan")
    spoilt = replace(made_up(), train_images=images)
    assert [p.isfinite().all().item() for p in modelled(ONLINE, spoilt)] == [False] * len(PARAMETERS)


def test_the_engine_and_its_kernel_have_the_same_sizes():
    assert (C.PIXELS, C.HIDDEN1, C.HIDDEN2, C.CLASSES) == cluster.NETWORK
    assert (C.BLOCKS, C.THREADS) == (cluster.BLOCKS, cluster.THREADS)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("architecture", ["sm_90", "sm_90a"])
def test_nvcc_compiles_it_without_a_spill(tmp_path, architecture):
    """And with as much shared memory as its comment says."""
    options = [
        "-std=c++17",
        f"-arch={architecture}",
        "-cubin",
        "-Xptxas",
        "-v",
        "-o",
        tmp_path / "cubin",
    ]
    said = subprocess.run(
        ["nvcc", *options, cluster.SOURCE], check=True, capture_output=True, text=True
    ).stderr
    print(said)
    assert "warning" not in said
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in said
    (shared,) = re.findall(r"(\d+) bytes smem", said)
    assert f"// {int(shared):,} with padding" in SOURCE


def test_refusals_say_why(monkeypatch):
    def refused(why, device=CUDA, **fields):
        with pytest.raises(ValueError, match=f"engine cluster cannot.*{why}"):
            choose_engine("cluster", replace(ONLINE, **fields), device)

    refused("on CUDA, not on cpu", device=torch.device("cpu"))
    refused("batches of 1", batch_size=2)
    refused("SGD, not adam", optimizer="adam")
    monkeypatch.setitem(sys.modules, "cuda.core.utils", None)
    refused(r"cuda.core.*missing.*pip install '.\[cuda\]'")

    utils = ModuleType("cuda.core.utils")
    utils.FileStreamProgramCache = None
    for module in (ModuleType("cuda"), ModuleType("cuda.core"), utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    refused("capability 9.0, this GPU has 8.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_engine("cluster", ONLINE, CUDA) is cluster
    monkeypatch.setattr(cluster, "SIZES", (784, 300, 100, 26))
    refused("a network of")


needs_the_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or cluster.refuses(ONLINE, CUDA) is not None,
    reason="needs a GPU of compute capability 9.0 or above with cuda.core",
)


@pytest.mark.gpu
@needs_the_gpu
@pytest.mark.parametrize("init", ["default", 0, 0.01])
@pytest.mark.parametrize("order", ["shuffled", "by_class"])
def test_ten_thousand_steps_are_eagers(order, init):
    experiment = replace(ONLINE, epochs=10, order=order, init=init)
    assert 10 * EXAMPLES > 10_000
    fast, reference = (trained(engine, experiment, on=made_up_on(CUDA)) for engine in (cluster, eager))
    assert distance(fast, reference) < 1e-4


@pytest.mark.gpu
@needs_the_gpu
@pytest.mark.parametrize("learning_rate", [1, 1e6])
def test_what_collapses_collapses_as_eagers(learning_rate):
    experiment = replace(ONLINE, learning_rate=learning_rate, epochs=3)
    fast, reference = (
        train(experiment, made_up_on(CUDA), seeds=(0,), engine=engine) for engine in ("cluster", "eager")
    )
    assert fast.outcomes == reference.outcomes != ("learned",)


@pytest.mark.gpu
@needs_the_gpu
def test_a_replicate_is_bitwise_the_same_again_and_beside_fifteen():
    data = made_up_on(CUDA)
    alone = trained(cluster, ONLINE, (4,), on=data)
    again = trained(cluster, ONLINE, (4,), on=data)
    together = trained(cluster, ONLINE, tuple(range(16)), on=data)
    for a, b, t in zip(alone, again, together, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a[0], t[4])
        assert not torch.equal(t[0], t[4])


@pytest.mark.gpu
@needs_the_gpu
def test_parameters_are_copies():
    data = made_up_on(CUDA)
    running = cluster.Engine(ONLINE, data, (0,))
    before = running.parameters()
    kept = [p.clone() for p in before]
    running.epoch(torch.arange(EXAMPLES, device=CUDA)[None])
    assert all(torch.equal(b, k) for b, k in zip(before, kept, strict=True))
    assert not torch.equal(running.parameters()[0], kept[0])
