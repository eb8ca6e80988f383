"""The engine `cluster`: its kernel in an emulator on the CPU, compiled by nvcc, and on a GPU.

The emulator runs the unchanged engine and `cluster.cu`, except that it launches the kernel itself. Bugs
planted in the source show what the emulator detects.
"""

from __future__ import annotations

import errno
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

from model.data.download import FILES
from model.data.mnist import Data, load
from model.data.presentation_order import epoch_order
from model.dataset import MNIST
from model.engines import cannot_run, choose_engine, eager
from model.engines.cluster import engine as cluster
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam
from model.schedule import Schedule
from model.train import train

from . import cuda_emulator
from .cuda_emulator import Array, Found, Kernel
from .data import EXAMPLES, made_up, made_up_on
from .test_engines import distance, trained

CUDA = torch.device("cuda")
ONLINE = Experiment(optimizer=SGD(0.03), batch_size=1, epochs=1)
SOURCE = cluster.SOURCE.read_text()
DATA = Path(__file__).parent.parent / "data"

# A step takes the emulator about 20 ms.
needs_the_emulator = pytest.mark.skipif(not cuda_emulator.AVAILABLE, reason="needs g++ on Linux")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory) -> Path:
    """Returns the compiled emulator; one worker compiles it for all."""
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
    """Returns a function that trains with a kernel in the emulator; see `train_part`."""
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
    """Replaces cuda.core's `launch`, whose grid consists of clusters; declares the arrays' sizes."""
    replicates, examples = config.grid, int(arguments[3])
    network = (784 * 300, 300, 300 * 100, 100, 100 * 10, 10)
    constant = (data.train_images.nbytes, data.train_labels.nbytes, replicates * examples * 8)
    arrays = [Array(p, size, True) for p, size in zip(arguments[:3], constant, strict=True)]
    arrays += [
        Array(p, replicates * size * 4, False) for p, size in zip(arguments[5:], network, strict=True)
    ]
    kernel.launch(config.grid, config.cluster, config.block, arguments, arrays, schedule)


def train_part(engine, experiment: Experiment, data: Data, seeds=(0,), parts=(8,)) -> list[torch.Tensor]:
    """Returns the parameters after the first steps of an epoch, passed in `parts`."""
    running = engine.Engine(experiment, data, seeds)
    labels = data.train_labels.numpy()
    orders = [epoch_order(experiment.order, labels, seed, 0)[: sum(parts)] for seed in seeds]
    rates = np.split(next(experiment.rates(sum(parts))), np.cumsum(parts)[:-1])
    for part, of_part in zip(torch.from_numpy(np.stack(orders)).split(parts, dim=1), rates, strict=True):
        running.epoch(part, of_part)
    return running.parameters()


@needs_the_emulator
@pytest.mark.parametrize(
    ("order", "init"),
    [
        ("shuffled", "default"),
        ("by_class", "default"),
        ("shuffled", 0),
        ("by_class", 0.01),
        ("shuffled", 0.1),
    ],
)
def test_emulated_it_is_eagers(emulated, kernel, order, init):
    how = replace(ONLINE, order=order, init=init), made_up()
    parameters = emulated(kernel, *how, parts=(20,))
    assert distance(parameters, train_part(eager, *how, parts=(20,))) < 1e-6


@needs_the_emulator
def test_emulated_it_is_eagers_for_longer(emulated, kernel):
    how = replace(ONLINE, optimizer=SGD(0.1)), made_up()
    parameters = emulated(kernel, *how, parts=(100,))
    assert distance(parameters, train_part(eager, *how, parts=(100,))) < 1e-6


@needs_the_emulator
def test_emulated_it_follows_a_schedule(emulated, kernel):
    """The rate is halved for the first three steps, in the middle of a part."""
    schedule = Schedule(torch.optim.lr_scheduler.ConstantLR, {"factor": 0.5, "total_iters": 3}, "step")
    how = replace(ONLINE, optimizer=SGD(0.1), schedule=schedule), made_up()
    parameters = emulated(kernel, *how, parts=(2, 6))
    assert distance(parameters, train_part(eager, *how, parts=(8,))) < 1e-6
    assert distance(parameters, train_part(eager, replace(how[0], schedule=None), how[1])) > 1e-5


@needs_the_emulator
@pytest.mark.skipif(not (DATA / "MNIST" / "raw" / FILES[0]).exists(), reason="needs MNIST in data/")
def test_emulated_it_is_eagers_on_mnist(emulated, kernel):
    how = replace(ONLINE, optimizer=SGD(0.1)), load(MNIST, DATA, torch.device("cpu"))
    parameters = emulated(kernel, *how, parts=(100,))
    assert distance(parameters, train_part(eager, *how, parts=(100,))) < 1e-6


@needs_the_emulator
@pytest.mark.parametrize("parts", [(1,), (2,), (1, 2, 3, 4, 5, 9)], ids=str)
def test_emulated_an_epoch_may_be_passed_in_parts(emulated, kernel, parts):
    expected = train_part(eager, ONLINE, made_up(), parts=parts)
    assert distance(emulated(kernel, parts=parts), expected) < 1e-6


@needs_the_emulator
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_emulated_values_that_are_not_finite_spread_as_in_eager(emulated, kernel, value):
    """The same parameters are finite as in eager."""
    images = made_up().train_images.clone()
    images[epoch_order(ONLINE.order, made_up().train_labels.numpy(), 0, 0)[3], 300] = value
    spoilt = replace(made_up(), train_images=images)
    expected = train_part(eager, ONLINE, spoilt)
    for p, e in zip(emulated(kernel, data=spoilt), expected, strict=True):
        assert not e.isfinite().all()
        assert torch.equal(p.isfinite(), e.isfinite())


@needs_the_emulator
def test_emulated_a_replicate_does_not_depend_on_others_or_on_the_schedule(emulated, kernel):
    together = emulated(kernel, seeds=(3, 4, 5))
    for replicate, seed in enumerate((3, 4, 5)):
        alone = emulated(kernel, seeds=(seed,), schedule=1 + replicate)
        for t, a in zip(together, alone, strict=True):
            assert torch.equal(t[replicate], a[0])
    assert not torch.equal(together[0][0], together[0][1])


@needs_the_emulator
@pytest.mark.parametrize("schedule", [0, 5])
def test_emulated_async_stores_give_bitwise_the_same(emulated, emulator, kernel, tmp_path, schedule):
    variant = Kernel(SOURCE, "train", emulator, tmp_path, "ASYNC_STORES")
    for a, b in zip(emulated(variant, schedule=schedule), emulated(kernel), strict=True):
        assert torch.equal(a, b)


# Bugs of one line, by how they are detected: by the emulator, or as wrong parameters. Each is a part of
# the source that occurs once, and its replacement.
PLANTED = {
    "race": {
        "no barrier after the clearing": (" = 0;\n    __syncthreads();", " = 0;"),
        "no barrier after phase 1": ("every thread reads below\n        __syncthreads();", ""),
        "no barrier after phase 4": ("__syncthreads();\n\n        // 5", "// 5"),
        "no barrier after phase 5": ("__syncthreads();\n\n        // 6", "// 6"),
        "no barrier after phase 6": ("__syncthreads();\n\n        // 7", "// 7"),
        "no release at the cluster's barrier": ("_barrier(warp * LANES < HIDDEN2)", "_barrier(false)"),
        "a release by too few warps": ("_barrier(warp * LANES < HIDDEN2)", "_barrier(warp == 0)"),
        "no release of the clearing": ("_barrier(true)", "_barrier(false)"),
        "shares not waited for": ("wait_at_cluster_barrier();\n#endif", "#endif"),
        "shares in one buffer": ("&shared.share[t & 1][rank]", "&shared.share[0][rank]"),
        "an image waited for after the barrier": (
            "wait_for_copies<AHEAD - 2>();  // of x(t+1), which every thread reads below\n"
            "        __syncthreads();",
            "__syncthreads(); wait_for_copies<AHEAD - 2>();",
        ),
        "an image not waited for": ("wait_for_copies<AHEAD - 2>", "wait_for_copies<AHEAD - 1>"),
        "an image requested too early": ("(t + AHEAD) & (SLOTS - 1)", "(t - 1) & (SLOTS - 1)"),
        "overlap written by all lanes": ("if (lane == 0) shared.overlap", "shared.overlap"),
        "biases stored by all lanes": ("if (lane == 0) all_bias1", "all_bias1"),
        "the last layer stored by all blocks": (
            "if (rank == 0 && thread < HIDDEN2)",
            "if (thread < HIDDEN2)",
        ),
    },
    "misaligned": {
        "a vector read from between two": (
            "= shared.delta2[lane]",
            "= *reinterpret_cast<const float4*>(floats(shared.delta2) + 4 * lane + 2)",
        ),
        "a copy from between two vectors": (
            "reinterpret_cast<const float4*>(image)",
            "reinterpret_cast<const float4*>(image + 1)",
        ),
        "a copy to between two words": (
            "copy(&shared.label[slot], label)",
            "copy(reinterpret_cast<long long*>(shared.logit + 1), label)",
        ),
    },
    "outside": {
        "the order read past its end": ("order[min(t + AHEAD + 1, count - 1)]", "order[t + AHEAD + 1]"),
        "weights read past the last pixel": ("owner && m * LANES + lane < PIXELS ?", "owner ?"),
        "units read by a warp that owns none": ("owner ? all_bias1[i] : 0", "all_bias1[i]"),
        "an address and a block swapped": (
            '"r"(address), "r"(rank));\n    asm volatile("st.shared',
            '"r"(rank), "r"(address));\n    asm volatile("st.shared',
        ),
        "a store after the last barrier": (
            "wait_for_copies<0>();  // no copy",
            "if (thread == 0) store_in(7 - rank, shared_address(&shared.label[(count + 3) % SLOTS]), 0);"
            "wait_for_copies<0>();  // no copy",
        ),
        "unfinished copies at the end": ("wait_for_copies<0>();  // no copy", "// no copy"),
        "groups of copies not committed": ('asm volatile("cp.async.commit_group;" ::: "memory");', ""),
    },
    "barrier": {
        "a warp that does not arrive": (
            "arrive_at_cluster_barrier(warp",
            "if (warp) arrive_at_cluster_barrier(warp",
        ),
        "half a warp that releases": ("_barrier(warp * LANES < HIDDEN2)", "_barrier(thread < HIDDEN2)"),
    },
    "deadlock": {
        "a thread that leaves early": ("if (count == 0)", "if (count == 0 || threadIdx.x == 255)"),
        "a shuffle that some lanes never reach": (
            "thread < CLASSES * HALF)",
            "thread < CLASSES * HALF - 1)",
        ),
    },
    "compiler": {
        "too few slots": ("SLOTS = 8;", "SLOTS = 4;"),
        "a copy's ends swapped": ("[%0], [%1], %2;", "[%1], [%0], %2;"),
        "a store of an integer": ('"f"(value) :', '"r"(address) :'),
        "a store that may be moved": ('asm volatile("st.shared', 'asm("st.shared'),
        "a vector that its type does not align": (
            "float4 image[SLOTS][CHUNKS * LANES / 4];",
            "float image[SLOTS][CHUNKS * LANES / 4][4];",
        ),
    },
    "wrong": {
        "half of every vector copied": ('"n"(static_cast<int>(sizeof(T)))', '"n"(8)'),
        "a block without shares": ("r < BLOCKS; r++) store_in", "r < BLOCKS - 1; r++) store_in"),
        "a store that stays in its block": ('"r"(there), "f"(value) :', '"r"(address), "f"(value) :'),
        "a warp's sum left out": ("w < WARPS; w++) share", "w < WARPS - 1; w++) share"),
        "no overlap": ("(ahead[i] + step1[i] * overlap)", "ahead[i]"),
        "an update with another image": ("step1, before, next, ahead)", "step1, now, next, ahead)"),
        "delta2 from the new weights": (
            "delta2 += delta3[c] * weight;",
            "delta2 += delta3[c] * (weight - rate * delta3[c] * hidden2);",
        ),
        "the rectifier's derivative": ("hidden1[i] == 0 ? 0 : -rate", "hidden1[i] < 0 ? 0 : -rate"),
        "no last update": (
            "update_and_multiply(weight1, step1, floats(shared.image[(count - 1)",
            "if (false) update_and_multiply(weight1, step1, floats(shared.image[(count - 1)",
        ),
    },
}


# Likewise, with ASYNC_STORES defined.
PLANTED_IN_ASYNC_STORES = {
    "race": {
        "shares in one buffer": ("&shared.share[t & 1][rank]", "&shared.share[0][rank]"),
        "only one thread that waits": (
            "wait_for_shares(received,",
            "if (!thread) wait_for_shares(received,",
        ),
    },
    "barrier": {
        "the wrong parity": ("t / 2 & 1", "t / 2 & 1 ^ 1"),
        "an mbarrier in the wrong block": ('"r"(received_there)', '"r"(received)'),
        "an mbarrier that expects twice": ("if (thread == 0) expect", "if (thread < 2) expect"),
    },
    "deadlock": {
        "an mbarrier that expects once": ("if (thread == 0) expect(received, SHARES);", ""),
        "an mbarrier that expects too much": (
            "BLOCKS * HIDDEN2 * sizeof(float)",
            "BLOCKS * THREADS * 4",
        ),
        "a block without shares": ("r < BLOCKS; r++) send_to", "r < BLOCKS - 1; r++) send_to"),
    },
}


def parameters_of(table: dict, *macros: str) -> list:
    return [
        pytest.param(found, *change, macros, id="-".join((*macros, found, bug)))
        for found, bugs in table.items()
        for bug, change in bugs.items()
    ]


@needs_the_emulator
@pytest.mark.parametrize(
    ("found", "line", "instead", "macros"),
    parameters_of(PLANTED) + parameters_of(PLANTED_IN_ASYNC_STORES, "ASYNC_STORES"),
)
def test_a_planted_bug_is_found(emulated, emulator, tmp_path, found, line, instead, macros):
    assert SOURCE.count(line) == 1
    try:
        kernel = Kernel(SOURCE.replace(line, instead), "train", emulator, tmp_path, *macros)
        parameters = emulated(kernel)
        away = distance(parameters, train_part(eager, ONLINE, made_up()))
        finding = "right" if away < 1e-5 else f"wrong: {away}"
    except Found as exception:
        finding = str(exception)
    assert finding.partition(":")[0] == found, finding
    print(finding)


def test_the_engine_and_its_kernel_have_the_same_sizes():
    constants = dict(re.findall(r"constexpr int (\w+) = (\d+);", SOURCE))
    sizes = [int(constants[name]) for name in ("PIXELS", "HIDDEN1", "HIDDEN2", "CLASSES", "BLOCKS")]
    assert sizes == [*cluster._NETWORK.sizes, cluster.BLOCKS]
    assert int(constants["WARPS"]) * int(constants["LANES"]) == cluster.THREADS


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize(
    ("architecture", "macro", "memory"),
    [
        ("sm_90", "NONE", "with padding"),
        ("sm_90a", "NONE", "with padding"),
        ("sm_90", "ASYNC_STORES", "with ASYNC_STORES"),
    ],
)
def test_nvcc_compiles_it_without_a_spill(tmp_path, architecture, macro, memory):
    """The source's comment gives the right amount of shared memory."""
    options = [
        f"-D{macro}",
        "-std=c++17",
        f"-arch={architecture}",
        "-cubin",
        "-Xptxas",
        "-v",
        "-o",
        tmp_path / "cubin",
    ]
    output = subprocess.run(
        ["nvcc", *options, cluster.SOURCE], check=True, capture_output=True, text=True
    ).stderr
    print(output)
    assert "warning" not in output
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in output
    (shared,) = re.findall(r"(\d+) bytes smem", output)
    assert f" {int(shared):,} {memory}" in SOURCE


def test_refusals_give_the_reason(monkeypatch):
    def refused(why, device=CUDA, **fields):
        with pytest.raises(ValueError, match=f"engine cluster cannot.*{why}"):
            choose_engine("cluster", replace(ONLINE, **fields), device)

    refused("on a GPU, not on cpu", device=torch.device("cpu"))
    refused("batch size 1, not 2", batch_size=2)
    refused("SGD, not Adam", optimizer=Adam(0.1))
    refused("support momentum; the optimizer is SGD with momentum 0.9", optimizer=SGD(0.1, momentum=0.9))
    capability = [(8, 0)]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability[0])
    refused("capability 9.0 or higher; this GPU has 8.0")
    capability[0] = (9, 0)
    monkeypatch.setitem(sys.modules, "cuda.core.utils", None)
    refused(r"cuda.core.*missing.*pip install '.\[cuda\]'")

    def no_nvrtc(name):
        assert name == "nvrtc"
        raise type("DynamicLibNotFoundError", (RuntimeError,), {})

    utils, pathfinder = ModuleType("cuda.core.utils"), ModuleType("cuda.pathfinder")
    utils.FileStreamProgramCache = None
    pathfinder.load_nvidia_dynamic_lib = no_nvrtc
    for module in (ModuleType("cuda"), ModuleType("cuda.core"), utils, pathfinder):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    refused("NVRTC, CUDA's run-time compiler, is missing")
    pathfinder.load_nvidia_dynamic_lib = lambda name: None
    assert choose_engine("cluster", ONLINE, CUDA) is cluster
    wide = MLP((784, 400, 100, 10))
    refused("the network 784-300-100-10 with relu, sigmoid, not 784-400-100-10", network=wide)


@pytest.mark.parametrize("fails", ["nothing", "making the cache", "writing into it"])
def test_without_a_writable_cache_it_is_compiled_uncached(monkeypatch, fails):
    class Cache:
        def __init__(self, folder):
            assert folder == cluster.SOURCE.parent / "__pycache__" / "cluster"
            if fails == "making the cache":
                raise PermissionError

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    class Program:
        def __init__(self, code, kind, options):
            assert code == SOURCE

        def compile(self, target, cache=None):
            if cache and fails == "writing into it":
                raise OSError(errno.EROFS, "Read-only file system")
            return SimpleNamespace(
                get_kernel=lambda name: (name, "uncached" if cache is None else "cached")
            )

    core, utils = ModuleType("cuda.core"), ModuleType("cuda.core.utils")
    core.Device = lambda index: SimpleNamespace(set_current=lambda: None)
    core.Program, core.ProgramOptions = Program, SimpleNamespace
    utils.FileStreamProgramCache = Cache
    for module in (ModuleType("cuda"), core, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert cluster._kernel(CUDA) == ("train", "cached" if fails == "nothing" else "uncached")


needs_the_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or cannot_run(cluster, ONLINE, CUDA) is not None,
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
def test_training_collapses_as_with_eager(learning_rate):
    experiment = replace(ONLINE, optimizer=SGD(learning_rate), epochs=3)
    fast, reference = (
        train(experiment, made_up_on(CUDA), seeds=(0,), engine=engine) for engine in ("cluster", "eager")
    )
    assert fast.outcomes == reference.outcomes != ("learned",)


@pytest.mark.gpu
@needs_the_gpu
def test_a_replicate_is_bitwise_the_same_again_and_with_fifteen_others():
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
    running.epoch(torch.arange(EXAMPLES, device=CUDA)[None], ONLINE.constant_rates(EXAMPLES))
    assert all(torch.equal(b, k) for b, k in zip(before, kept, strict=True))
    assert not torch.equal(running.parameters()[0], kept[0])
