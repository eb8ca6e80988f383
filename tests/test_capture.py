"""What the cuda-graph engine asks of CUDA, which a made-up CUDA writes down."""

import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from model.engines.cuda_graph import engine
from model.engines.cuda_graph.engine import Capture
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam, AdamW, RMSprop

GPU = torch.device("cuda", 3)


@pytest.fixture
def calls(monkeypatch):
    """What a made-up CUDA was asked to do, in order."""
    calls = []

    @contextmanager
    def block(*name):
        calls.append(("begin", *name))
        yield
        calls.append(("end", *name))

    class Graph:
        def replay(self):
            calls.append("replay")

    class Stream:
        def __init__(self, device):
            self.device = device

        def wait_stream(self, other):
            calls.append(("wait for", other))

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "the current stream")
    monkeypatch.setattr(torch.cuda, "device", lambda device: block("device", device))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: block("stream", stream))
    monkeypatch.setattr(
        torch.cuda, "graph", lambda graph, pool, stream: block("graph", graph, pool, stream)
    )
    monkeypatch.setattr(engine, "_without_tf32", lambda: block("float32"))
    engine._side_stream.cache_clear()
    yield calls
    engine._side_stream.cache_clear()


def replicates(calls, train=lambda steps, size: None):
    def run(steps, size):
        calls.append(("train", steps, size))
        train(steps, size)

    return SimpleNamespace(train=run, restore=lambda: calls.append("restore"))


def test_a_capture_warms_up_captures_and_restores(calls):
    capture = Capture(GPU)
    replay = capture(replicates(calls), 512, 100)
    stream = engine._side_stream(GPU)
    assert stream.device == GPU
    graph = replay.__self__
    assert calls == [
        ("begin", "device", GPU),
        ("begin", "float32"),
        ("wait for", "the current stream"),
        ("begin", "stream", stream),
        ("train", 512, 100),
        ("end", "stream", stream),
        ("begin", "graph", graph, capture._pool, stream),
        ("train", 512, 100),
        ("end", "graph", graph, capture._pool, stream),
        "restore",
        "replay",
        "restore",
        ("end", "float32"),
        ("end", "device", GPU),
    ]
    calls.clear()
    replay()
    assert calls == ["replay"]


def test_captures_share_their_memory_and_all_engines_a_stream(calls):
    for capture in (Capture(GPU), Capture(GPU)):
        capture(replicates(calls), 2, 5)
        capture(replicates(calls), 1, 5)
    pools = [call[3] for call in calls if call[:2] == ("begin", "graph")]
    assert pools[0] is pools[1]
    assert pools[2] is pools[3]
    assert pools[1] is not pools[2]
    assert len({call[2] for call in calls if call[:2] == ("begin", "stream")}) == 1
    assert engine._side_stream(GPU) is not engine._side_stream(torch.device("cuda", 0))


def test_only_the_warning_about_capturable_optimizers_is_suppressed_and_only_while_warming_up(calls):
    def train(steps, size):
        warnings.warn("This instance was constructed with capturable=True, but ...", stacklevel=1)
        warnings.warn("another one", stacklevel=1)

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        Capture(GPU)(replicates(calls, train), 1, 1)
    assert [str(each.message).partition(",")[0] for each in found] == [
        "another one",  # warming up
        "This instance was constructed with capturable=True",  # capturing
        "another one",
    ]


def test_free_memory_includes_what_pytorch_reserved_and_does_not_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: {GPU: (1000, 5000)}[device])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: {GPU: 300}[device])
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: {GPU: 20}[device])
    assert engine.free_bytes(GPU) == 1280


HONOURED = [
    SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    Adam(0.1, betas=(0.5, 0.9), eps=1e-6, weight_decay=0.1),
    AdamW(0.1, betas=(0.5, 0.9), eps=1e-6, weight_decay=0.2),
    RMSprop(0.1, alpha=0.5, eps=1e-6, momentum=0.5, centered=True, weight_decay=0.1),
]


@pytest.mark.parametrize("optimizer", HONOURED, ids=str)
def test_settings_that_it_honours(optimizer):
    experiment = Experiment(optimizer=optimizer, batch_size=1, epochs=1)
    assert engine.refuses(experiment, GPU) is None
    assert engine.refuses(experiment, torch.device("cpu")) == "it runs on a GPU, not on cpu"
    assert engine.unavailable(GPU) is None
    assert [engine.cores(experiment, count, 16) for count in (1, 30)] == [1, 1]


def test_a_setting_that_it_does_not_honour():
    experiment = Experiment(optimizer=SGD(0.1, momentum=0.9, dampening=0.5), batch_size=1, epochs=1)
    assert "dampening" in engine.refuses(experiment, GPU)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_activations_that_it_honours(activation):
    network = MLP((784, 5, 10), (activation,))
    experiment = Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1, network=network)
    refusal = engine.refuses(experiment, GPU)
    assert refusal == {"gelu": "it supports the activations relu, sigmoid and tanh, not gelu"}.get(
        activation
    )


def test_products_are_of_float32_and_the_settings_come_back():
    matmul, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = matmul.fp32_precision, cpu.fp32_precision, torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        cpu.fp32_precision = "ieee"
        with engine._without_tf32():
            assert matmul.fp32_precision == "ieee"
            assert not matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        assert cpu.fp32_precision == "ieee"
    finally:
        torch.set_float32_matmul_precision(before[2])
        matmul.fp32_precision, cpu.fp32_precision = before[:2]
