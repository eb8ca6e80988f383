"""What the cluster engine asks of CUDA, which a made-up CUDA writes down."""

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from model.engines.cluster import engine as cluster
from model.experiment import Experiment
from model.network import stack_parameters
from model.optimizers import SGD
from tests.data import build_network, made_up

ONLINE = Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1)
GPU = torch.device("cuda", 3)


@pytest.fixture
def core(monkeypatch):
    """A made-up `cuda.core`, whose `calls` has what it was asked to do, in order."""
    core = ModuleType("cuda.core")
    core.calls = []

    @contextmanager
    def device(of):
        core.calls.append(("begin", of))
        yield
        core.calls.append(("end", of))

    core.Stream = SimpleNamespace(from_handle=lambda handle: f"stream {handle}")
    core.LaunchConfig = lambda **config: config
    core.launch = lambda *given: core.calls.append(("launch", *given))
    for module in (ModuleType("cuda"), core):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=17))
    return core


@pytest.fixture
def engine(core, monkeypatch):
    """An engine that trains two replicates on a made-up device, and has launched nothing yet."""
    monkeypatch.setattr(cluster, "_kernel", lambda device: f"the kernel for {device}")
    engine = cluster.Engine(ONLINE, made_up(), (4, 5))
    core.first, core.calls[:] = [*core.calls], []
    return engine


def orders(examples):
    return torch.arange(2 * examples).reshape(2, examples)


def test_a_launch_passes_the_data_the_rate_and_the_parameters(core, engine):
    given, data = orders(6), made_up()
    engine.epoch(given, np.full(6, 0.25))
    begin, launch, end = core.calls
    assert (begin, end) == (("begin", torch.device("cpu")), ("end", torch.device("cpu")))
    name, stream, config, kernel, images, labels, order, examples, rate, *parameters = launch
    assert (name, stream, kernel) == ("launch", "stream 17", "the kernel for cpu")
    assert config == {"grid": 2, "cluster": 8, "block": 256}
    assert (images, labels) == (data.train_images.data_ptr(), data.train_labels.data_ptr())
    assert order == given.data_ptr()
    assert (examples, rate) == (6, 0.25)
    assert (type(examples), type(rate)) == (np.int32, np.float32)
    assert parameters == [each.data_ptr() for each in engine._parameters]


@pytest.mark.parametrize(
    ("rates", "runs"),
    [
        ([0.5] * 5, [(5, 0.5)]),
        ([0.5, 0.5, 0.25, 0.25, 0.25], [(2, 0.5), (3, 0.25)]),
        ([0.5, 0.25, 0.5, 0.5, 0.5], [(1, 0.5), (1, 0.25), (3, 0.5)]),
        ([1, 2, 3, 4, 5], [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]),
        ([0.0, 0.0, 0.0, 0.0, 0.5], [(4, 0.0), (1, 0.5)]),
    ],
)
def test_examples_of_one_rate_are_one_launch(engine, monkeypatch, rates, runs):
    launched = []
    monkeypatch.setattr(engine, "_launch", lambda some, rate: launched.append((some.tolist(), rate)))
    engine.epoch(orders(5), np.array(rates, dtype=float))
    assert [(len(some[0]), rate) for some, rate in launched] == runs
    joined = torch.cat([torch.tensor(some) for some, _ in launched], dim=1)
    assert joined.tolist() == orders(5).tolist()


def test_the_kernel_is_loaded_by_a_launch_without_examples(core, engine):
    _, launch, _ = core.first
    assert launch[-8:-6] == (0, 0.0)
    assert launch[2]["grid"] == 2


def test_parameters_are_those_of_the_seeds_and_copies(engine):
    expected = stack_parameters([build_network("default", seed) for seed in (4, 5)])
    for found, own, of_seeds in zip(engine.parameters(), engine._parameters, expected, strict=True):
        assert torch.equal(found, of_seeds)
        found.zero_()
        assert torch.equal(own, of_seeds)


@pytest.mark.parametrize(("stores", "macro"), [(False, None), (True, "ASYNC_STORES")])
def test_the_kernel_is_compiled_for_the_gpus_architecture(core, monkeypatch, stores, macro):
    current, compiled = [], []

    class Program:
        def __init__(self, code, kind, options):
            compiled.append((code, kind, options))

        def compile(self, target, cache):
            compiled.append((target, cache))
            return SimpleNamespace(get_kernel=lambda name: f"kernel {name}")

    @contextmanager
    def cache(folder):
        yield f"cache in {folder.name}"

    utils = ModuleType("cuda.core.utils")
    utils.FileStreamProgramCache = cache
    monkeypatch.setitem(sys.modules, utils.__name__, utils)
    core.Program, core.ProgramOptions = Program, lambda **options: options
    core.Device = lambda index: SimpleNamespace(
        set_current=lambda: current.append((index, core.calls[-1]))
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: {GPU: (10, 3)}[device])
    monkeypatch.setattr(cluster, "ASYNC_STORES", stores)
    assert cluster._kernel(GPU) == "kernel train"
    (code, kind, options), target = compiled
    assert (code, kind) == (cluster.SOURCE.read_text(), "c++")
    assert options == {
        "name": "cluster.cu", "arch": "sm_103", "std": "c++17", "define_macro": macro,
    }  # fmt: skip
    assert target == ("cubin", "cache in cluster")
    assert current == [(3, ("begin", GPU))], "PyTorch's context is the current one"


@pytest.mark.parametrize(
    ("capability", "refused"),
    [((8, 9), True), ((9, 0), False), ((9, 1), False), ((10, 0), False), ((12, 0), False)],
)
def test_it_needs_thread_block_clusters(monkeypatch, capability, refused):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    line = f"it needs compute capability 9.0 or higher; this GPU has {capability[0]}.{capability[1]}"
    assert cluster.refuses(ONLINE, GPU) == (line if refused else None)


def test_a_broken_library_is_a_reason(monkeypatch):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise OSError("libcuda.so.1: cannot open\nshared object file")

    for name in ("cuda", "cuda.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuda.core.utils", Broken("cuda.core.utils"))
    assert cluster.unavailable(torch.device("cpu")) is None
    assert cluster.unavailable(GPU) == (
        "cuda.core cannot be imported (OSError: libcuda.so.1: cannot open shared object file)"
    )


def test_it_uses_one_core():
    assert [cluster.cores(ONLINE, replicates, 16) for replicates in (1, 30)] == [1, 1]


def test_the_way_that_was_not_measured_is_off():
    assert cluster.ASYNC_STORES is False
