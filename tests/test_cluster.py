"""The engine `cluster`: its kernel in an emulator on the CPU, what nvcc says of it, and itself on a GPU.

In the emulator it is the engine and its `cluster.cu` as they are, but for who launches the kernel. The
bugs that are planted in the source show what it would find there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import filelock
import numpy as np
import pytest
import torch

from model.data.mnist import Data, load
from model.data.presentation_order import epoch_order
from model.engines import choose_engine, eager
from model.engines.cluster import engine as cluster
from model.experiment import Experiment
from model.train import train

from . import cuda_emulator
from .cuda_emulator import Array, Found, Kernel
from .data import EXAMPLES, made_up, made_up_on
from .test_engines import distance, trained

CUDA = torch.device("cuda")
ONLINE = Experiment(learning_rate=0.03, batch_size=1, epochs=1)
SOURCE = cluster.SOURCE.read_text()
MNIST = Path(__file__).parent.parent / "data"

# It takes about 30 ms a step.
needs_the_emulator = pytest.mark.skipif(not cuda_emulator.AVAILABLE, reason="needs g++ on Linux")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory) -> Path:
    """The emulator compiled, by one of the workers for all."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with filelock.FileLock(folder / "emulator.lock"):
        if not (folder / "emulator.o").exists():
            cuda_emulator.compile_emulator(folder / "emulator.o")
    return folder / "emulator.o"


@pytest.fixture(scope="session")
def kernel(emulator, tmp_path_factory) -> Kernel:
    return Kernel(SOURCE, "train", emulator, tmp_path_factory.mktemp("kernel"))


@pytest.fixture
def emulated(monkeypatch):
    """A function that trains by a kernel in the emulator; see `train_part`."""
    core = ModuleType("cuda.core")
    core.Stream = SimpleNamespace(from_handle=lambda handle: handle)
    core.LaunchConfig = SimpleNamespace
    for module in (ModuleType("cuda"), core):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))

    def train(kernel, experiment=ONLINE, data=None, schedule=0, **how) -> list[torch.Tensor]:
        data = data or made_up()
        core.launch = partial(launch, data, schedule)
        monkeypatch.setattr(cluster, "_kernel", lambda device: kernel)
        return train_part(cluster, experiment, data, **how)

    return train


def launch(data: Data, schedule: int, stream, config, kernel: Kernel, *arguments) -> None:
    """In place of cuda.core's, whose grid is one of clusters. It knows how large the arrays are."""
    replicates, examples = config.grid, int(arguments[3])
    network = (784 * 300, 300, 300 * 100, 100, 100 * 10, 10)
    constant = (data.train_images.nbytes, data.train_labels.nbytes, replicates * examples * 8)
    arrays = [Array(p, size, True) for p, size in zip(arguments[:3], constant, strict=True)]
    arrays += [
        Array(p, replicates * size * 4, False) for p, size in zip(arguments[5:], network, strict=True)
    ]
    kernel.launch(config.grid, config.cluster, config.block, arguments, arrays, schedule)


def train_part(engine, experiment: Experiment, data: Data, seeds=(0,), parts=(12,)) -> list[torch.Tensor]:
    """The parameters after the first of an epoch's steps, handed over in such parts."""
    running = engine.Engine(experiment, data, seeds)
    labels = data.train_labels.numpy()
    orders = [epoch_order(experiment.order, labels, seed, 0)[: sum(parts)] for seed in seeds]
    for part in torch.from_numpy(np.stack(orders)).split(parts, dim=1):
        running.epoch(part)
    return running.parameters()


@needs_the_emulator
@pytest.mark.parametrize("init", ["default", 0, 0.01, 0.1])
@pytest.mark.parametrize("order", ["shuffled", "by_class"])
def test_emulated_it_is_eagers(emulated, kernel, order, init):
    how = replace(ONLINE, order=order, init=init), made_up()
    parameters = emulated(kernel, *how, parts=(50,))
    assert distance(parameters, train_part(eager, *how, parts=(50,))) < 1e-6


@needs_the_emulator
def test_emulated_it_is_eagers_for_longer(emulated, kernel):
    how = replace(ONLINE, learning_rate=0.1), made_up()
    parameters = emulated(kernel, *how, parts=(250,))
    assert distance(parameters, train_part(eager, *how, parts=(250,))) < 1e-6


@needs_the_emulator
@pytest.mark.skipif(not MNIST.exists(), reason="needs MNIST in data/")
def test_emulated_it_is_eagers_on_mnist(emulated, kernel):
    how = replace(ONLINE, learning_rate=0.1), load("mnist", MNIST, torch.device("cpu"))
    parameters = emulated(kernel, *how, parts=(100,))
    assert distance(parameters, train_part(eager, *how, parts=(100,))) < 1e-6


@needs_the_emulator
@pytest.mark.parametrize("parts", [(1,), (2,), (1, 2, 3, 4, 5, 9)], ids=str)
def test_emulated_an_epoch_may_be_cut(emulated, kernel, parts):
    expected = train_part(eager, ONLINE, made_up(), parts=parts)
    assert distance(emulated(kernel, parts=parts), expected) < 1e-6


@needs_the_emulator
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_emulated_what_is_not_finite_stays_seen(emulated, kernel, value):
    """Where eager's parameters are finite there it is, too, and nowhere else."""
    images = made_up().train_images.clone()
    images[epoch_order(ONLINE.order, made_up().train_labels.numpy(), 0, 0)[3], 300] = value
    spoilt = replace(made_up(), train_images=images)
    expected = train_part(eager, ONLINE, spoilt)
    for p, e in zip(emulated(kernel, data=spoilt), expected, strict=True):
        assert not e.isfinite().all()
        assert torch.equal(p.isfinite(), e.isfinite())


@needs_the_emulator
def test_emulated_a_replicate_is_bitwise_the_same_beside_others_and_on_any_schedule(emulated, kernel):
    together = emulated(kernel, seeds=(3, 4, 5))
    for replicate, seed in enumerate((3, 4, 5)):
        alone = emulated(kernel, seeds=(seed,), schedule=1 + replicate)
        for t, a in zip(together, alone, strict=True):
            assert torch.equal(t[replicate], a[0])
    assert not torch.equal(together[0][0], together[0][1])


# A line of the source, what takes its place, and what is then found: by the emulator, which names it so, or
# "wrong" parameters. "^" before a line stands for the lines around it that say which one is meant.
PLANTED = {}


@needs_the_emulator
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(emulated, emulator, tmp_path, bug):
    found, line, instead = PLANTED[bug]
    assert line in SOURCE
    try:
        parameters = emulated(Kernel(SOURCE.replace(line, instead), "train", emulator, tmp_path))
    except Found as finding:
        print(finding)
        assert str(finding).partition(":")[0] == found
    else:
        away = distance(parameters, train_part(eager, ONLINE, made_up()))
        print(away)
        assert found == "wrong"
        assert not away < 1e-5


def test_the_engine_and_its_kernel_have_the_same_sizes():
    said = dict(re.findall(r"constexpr int (\w+) = (\d+);", SOURCE))
    sizes = [int(said[name]) for name in ("PIXELS", "HIDDEN1", "HIDDEN2", "CLASSES", "BLOCKS")]
    assert sizes == [*cluster.NETWORK, cluster.BLOCKS]
    assert int(said["WARPS"]) * int(said["LANES"]) == cluster.THREADS


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


def test_auto_does_not_take_it_yet():
    assert choose_engine("auto", ONLINE, CUDA) is not cluster


needs_the_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or cluster.refuses(ONLINE, CUDA) is not None,
    reason="needs a GPU of compute capability 9.0 or above with cuda.core",
)


@needs_the_gpu
@pytest.mark.parametrize("init", ["default", 0, 0.01])
@pytest.mark.parametrize("order", ["shuffled", "by_class"])
def test_ten_thousand_steps_are_eagers(order, init):
    experiment = replace(ONLINE, epochs=10, order=order, init=init)
    assert 10 * EXAMPLES > 10_000
    fast, reference = (trained(engine, experiment, on=made_up_on(CUDA)) for engine in (cluster, eager))
    assert distance(fast, reference) < 1e-4


@needs_the_gpu
@pytest.mark.parametrize("learning_rate", [1, 1e6])
def test_what_collapses_collapses_as_eagers(learning_rate):
    experiment = replace(ONLINE, learning_rate=learning_rate, epochs=3)
    fast, reference = (
        train(experiment, made_up_on(CUDA), seeds=(0,), engine=engine) for engine in ("cluster", "eager")
    )
    assert fast.outcomes == reference.outcomes != ("learned",)


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


@needs_the_gpu
def test_parameters_are_copies():
    data = made_up_on(CUDA)
    running = cluster.Engine(ONLINE, data, (0,))
    before = running.parameters()
    kept = [p.clone() for p in before]
    running.epoch(torch.arange(EXAMPLES, device=CUDA)[None])
    assert all(torch.equal(b, k) for b, k in zip(before, kept, strict=True))
    assert not torch.equal(running.parameters()[0], kept[0])
