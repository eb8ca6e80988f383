"""Roofline bounds and forecasts, held against arithmetic on paper.

The network has 4 inputs, 3 hidden units and 2 classes: 18 weights. Every parameter is 1, so no ReLU is
off. Of a batch of two examples, pixel 1 is lit in the first, and pixel 3 in both.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.commands import speed
from harness.engine_speeds import forecast, roofline
from harness.engine_speeds.roofline import Work, dense_flops, minimum_work, roofline_bound
from harness.files import sealed
from model.data.mnist import Data
from model.dataset import Dataset
from model.engines import eager
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, Torch
from tests import reports
from tests.data import made_up

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SMALL = MLP((4, 3, 2), ("relu",))
IMAGES = torch.tensor([[0, 1.0, 0, 0.5], [0, 0, 0, 0.25]])
DATA = Data(
    Dataset("small", inputs=4, classes=2, examples=2, digest="0" * 64),
    IMAGES,
    torch.zeros(2).long(),
    IMAGES,
    torch.zeros(2),
)
WEIGHTS, TOUCHED = 18, 2 * 3 + 3 * 2
# The multiplications and additions of 3 pixels with 3 units, forward and backward; and of 6 units with
# 2 classes, forward, backward to the weights and backward to the units.
PRODUCTS = 2 * (2 * 3 * 3 + 3 * 6 * 2)
PIXELS = 3 * (4 + 2)  # bytes of a value and its index


def work_of(optimizer, *, batch_size=2, init=1.0, order=(0, 1)):
    experiment = Experiment(
        optimizer=optimizer,
        batch_size=batch_size,
        epochs=1,
        init=init,
        network=SMALL,
        dataset=DATA.dataset,
    )
    return minimum_work(experiment, DATA, torch.tensor(order))


@pytest.mark.parametrize(
    ("optimizer", "updated", "kept", "operations"),
    [
        (SGD(1), TOUCHED, 0, 2),
        (SGD(1, weight_decay=0.1), WEIGHTS, 0, 4),
        (SGD(1, momentum=0.9), WEIGHTS, 1, 4),
        (SGD(1, momentum=0.9, nesterov=True), WEIGHTS, 1, 6),
        (Adam(1), WEIGHTS, 2, 12),
        (Adam(1, weight_decay=0.1), WEIGHTS, 2, 14),
        (AdamW(1), WEIGHTS, 2, 14),
        (RMSprop(1), WEIGHTS, 1, 8),
        (RMSprop(1, momentum=0.9), WEIGHTS, 2, 10),
        (RMSprop(1, momentum=0.9, centered=True, weight_decay=0.1), WEIGHTS, 3, 16),
        (Adagrad(1), TOUCHED, 1, 7),
        (Adagrad(1, weight_decay=0.1), WEIGHTS, 1, 9),
    ],
    ids=str,
)
def test_the_least_work_of_a_step(optimizer, updated, kept, operations):
    """`updated` weights are read and written, each with `kept` numbers, in so many operations."""
    found = work_of(optimizer)
    held = updated * (1 + kept)
    assert found.operations == PRODUCTS + operations * updated
    # Read forward: the weights that count; read and written by the update: what is held.
    assert found.bytes_moved == 4 * (TOUCHED + held + held) + PIXELS
    assert found.bytes_held == 4 * held


def test_units_that_are_off_need_no_work():
    """From 0, no hidden unit is on: only the first layer's product forward and to its weights."""
    found = work_of(SGD(1), init=0.0)
    assert found.operations == 2 * 2 * 3 * 3 + 2 * (2 * 3)
    assert found.bytes_moved == 4 * 3 * (2 * 3) + PIXELS
    assert found.bytes_held == 4 * 2 * 3


def test_every_hidden_layer_counts():
    """With two hidden layers of 3 units, all on: 3 pixels, then 6 and 6 outputs in two examples."""
    network = MLP((4, 3, 3, 2), ("relu", "relu"))
    experiment = Experiment(
        optimizer=SGD(1), batch_size=2, epochs=1, init=1.0, network=network, dataset=DATA.dataset
    )
    found = minimum_work(experiment, DATA, torch.tensor([0, 1]))
    touched = 2 * 3 + 3 * 3 + 3 * 2
    assert found.operations == 2 * (2 * 3 * 3 + 3 * 6 * 3 + 3 * 6 * 2) + 2 * touched
    assert found.bytes_moved == 4 * 3 * touched + PIXELS


def test_the_work_is_the_mean_of_the_first_batches():
    """At batch size 1: of 2 pixels and of 1, with 3 and 3 hidden units."""
    found = work_of(SGD(1), batch_size=1)
    products = 2 * (2 * 1.5 * 3 + 3 * 3 * 2)
    touched = 1.5 * 3 + 3 * 2
    assert found.operations == pytest.approx(products + 2 * touched)
    assert found.bytes_moved == pytest.approx(4 * 3 * touched + 1.5 * 6)
    first = work_of(SGD(1), batch_size=1, order=(1,))
    assert first.bytes_moved == 4 * 3 * (1 * 3 + 3 * 2) + 6


def test_a_thousand_examples_are_counted():
    """The thousandth has two pixels, like all after it; the others have one."""
    found = work_of(SGD(1), batch_size=1, order=(*[1] * 999, 0, 0, 0))
    assert found.bytes_moved == pytest.approx(4 * 3 * (1.001 * 3 + 3 * 2) + 1.001 * 6)
    # Of whole batches: 142 batches of 7 are 994 examples.
    found = work_of(SGD(1), batch_size=7, order=(*[1] * 994, *[0] * 100))
    assert found.bytes_moved == 4 * 3 * (1 * 3 + 3 * 2) + 7 * 6


def test_units_are_off_as_in_the_network_of_seed_0():
    linear = next(iter(SMALL.build("default", 0).children()))
    on = int((linear(IMAGES) > 0).sum())  # in both examples together
    assert on < 6
    found = work_of(SGD(1, weight_decay=0.1), init="default")
    assert found.operations == 2 * (2 * 3 * 3 + 3 * on * 2) + 4 * WEIGHTS


def test_unknown_work_has_no_bound():
    assert work_of(Torch("torch.optim.NAdam", 0.1)) is None


def test_products_of_all_pixels():
    """Forward and to the weights 4 by 3; forward, to the weights and to the units 3 by 2."""
    assert dense_flops(SMALL, 5) == 2 * 5 * (2 * 12 + 3 * 6)
    assert dense_flops(MLP((4, 3, 3, 2), ("relu", "relu")), 1) == 2 * (2 * 12 + 3 * (9 + 6))


@pytest.mark.parametrize(
    ("bandwidth", "peak", "bound"),
    [
        (100.0, 1000.0, (8.0, "bytes")),
        (1000.0, 100.0, (5.0, "operations")),
        (160.0, 100.0, (5.0, "operations")),
    ],
)
def test_the_bound_is_the_longer_of_two_times(monkeypatch, bandwidth, peak, bound):
    asked = []
    monkeypatch.setattr(roofline, "bandwidth", lambda size, device: asked.append(size) or bandwidth)
    monkeypatch.setattr(roofline, "peak", lambda device: peak)
    work = Work(operations=500.0, bytes_moved=800.0, bytes_held=70_000.0)
    assert roofline_bound(work, CPU) == bound
    assert asked == [2**17]  # the working set, not what is moved


@pytest.mark.parametrize(
    ("size", "rounded"),
    [(48.0, 2**16), (2**16 - 1, 2**16), (2**16, 2**16), (2**16 + 1, 2**17), (2**20, 2**20)],
)
def test_few_sizes_of_buffers_are_measured(size, rounded):
    assert roofline._rounded(size) == rounded


@pytest.fixture
def timed(monkeypatch):
    """Makes every run take a quarter of a second, and returns the runs."""
    runs = []
    monkeypatch.setattr(roofline, "_median_seconds", lambda run, device: runs.append(run) or 0.25)
    return runs


@pytest.mark.parametrize(("size", "passes"), [(2**16, 256), (2**24, 1), (2**25, 1)])
def test_a_pass_over_a_buffer_reads_and_writes_it(monkeypatch, timed, size, passes):
    done = []
    monkeypatch.setattr(
        roofline, "_compiled", lambda: lambda buffer, count: done.append((buffer, count))
    )
    assert roofline.bandwidth.__wrapped__(size, CPU) == 2 * size * passes / 0.25
    timed[0]()
    ((buffer, count),) = done
    assert (buffer.nbytes, count) == (size, passes)


def test_a_gpus_bandwidth_is_of_a_buffer_of_a_gibibyte(monkeypatch, timed):
    made, added = [], []
    buffer = SimpleNamespace(add_=added.append)
    monkeypatch.setattr(roofline.torch, "zeros", lambda count, device: made.append(count) or buffer)
    assert roofline.bandwidth.__wrapped__(2**16, GPU) == 2 * 2**30 * 20 / 0.25
    timed[0]()
    assert (made, added) == ([2**28], [1] * 20)


def test_the_peak_counts_a_multiplication_and_an_addition_for_each_product(timed):
    assert roofline.peak.__wrapped__(CPU) == 2 * 1024**3 / 0.25
    assert timed[0]().shape == (1024, 1024)


def test_the_warm_up_does_not_count(monkeypatch):
    clock = iter(np.cumsum([0, 100, 0, 1, 0, 2, 0, 9, 0, 3, 0, 8, 0, 7, 0, 4]).tolist())
    monkeypatch.setattr(roofline.time, "perf_counter", lambda: next(clock))
    assert roofline._median_seconds(lambda: None, CPU) == 4  # of 1, 2, 3, 4, 7, 8 and 9


@pytest.mark.parametrize(
    ("cores", "replicates", "times"),
    [(4, 1, 1 / 4), (4, 2, 1 / 2), (4, 3, 1), (4, 4, 1), (1, 1, 1), (5, 2, 1 / 2)],
)
def test_replicates_divide_the_cores(monkeypatch, cores, replicates, times):
    """The bound of one core holds for a replicate on one core; on two, it is half of that."""
    monkeypatch.setattr(eager, "Engine", lambda *_: None)
    engine = SimpleNamespace(NAME="other", Engine=lambda *_: None)
    monkeypatch.setattr(speed, "_runnable", lambda *_: [engine, eager])
    monkeypatch.setattr(speed.peers, "ready", lambda *_: [])
    monkeypatch.setattr(speed, "measured_peak", lambda device: 1e9)
    monkeypatch.setattr(speed, "roofline_bound", lambda work, device: (8.0, "bytes"))
    monkeypatch.setattr(speed, "minimum_work", lambda *_: Work(1, 1, 1))
    taking = iter([16, 64] * 3 + [128, 256] * 4)
    monkeypatch.setattr(speed.Contender, "sample", lambda self, *_: float(next(taking)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    case = Experiment(optimizer=SGD(0.1), batch_size=2000, epochs=1)
    row, by_eager = speed.measure_engines(case, made_up(), replicates, {})
    bound = 8e6 * times
    assert (row["roofline_us_per_step"], row["bound_by"], row["cores"]) == (bound, "bytes", cores)
    assert (row["us_per_step"], row["share_of_roofline"]) == (128e6, bound / 128e6)
    assert (row["ratio_to_eager"], row["ratio_to_best_peer"]) == (2, 2)
    assert (by_eager["ratio_to_eager"], by_eager["best_peer"]) == (1, "eager")
    products = dense_flops(case.network, len(made_up().train_images)) / 1e9
    assert row["share_of_peak"] == pytest.approx(products * times / 128)


def row(us, *, replicates=1, cores=1, size=100, optimizer="SGD", engine="numba"):
    like = reports.speed()["rows"][0]
    return like | {
        "us_per_step": us,
        "replicates": replicates,
        "cores": cores,
        "batch_size": size,
        "optimizer": optimizer,
        "engine": engine,
    }


ROWS = [
    row(50.0),
    row(20.0, cores=4),
    row(60.0, cores=4, replicates=4),
    row(7.0, cores=4, engine="eager"),
    row(9.0, cores=4, optimizer="Adam"),
    row(11.0, cores=4, size=1000),
]


@pytest.fixture
def forecast_of(tmp_path, monkeypatch):
    """`forecast_of(rows, experiments, seeds)`, on the machine that was measured."""
    monkeypatch.setattr(forecast, "device_name", lambda device: reports.MACHINE["device_name"])
    monkeypatch.setattr(
        forecast.engines,
        "choose_engine",
        lambda name, *_: SimpleNamespace(NAME="numba" if name == "auto" else name),
    )
    monkeypatch.setattr(forecast.engines, "unproven", lambda *_: True)

    def predicted(rows, experiments, seeds=1, engine="numba"):
        content = {"rows": rows, "machine": reports.MACHINE}
        sealed.write_content(tmp_path / "speed.json", content)
        settings = SimpleNamespace(
            device="cpu", engine=engine, seeds=tuple(range(seeds)), report_dir=tmp_path
        )
        return forecast.training_seconds(experiments, settings)

    return predicted


def case(optimizer=None, size=100, epochs=3, **settings):
    return Experiment(optimizer=optimizer or SGD(0.1), batch_size=size, epochs=epochs, **settings)


@pytest.mark.parametrize(
    ("seeds", "microseconds"),
    [(1, 20), (2, 2 * 20), (3, 3 * 20), (4, 60), (6, 1.5 * 60), (8, 2 * 60)],
)
@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1]], ids=["as measured", "reversed"])
def test_a_forecast_is_from_the_rows_on_all_cores(forecast_of, rows, seeds, microseconds):
    """Three epochs of 600 steps, in the largest measured number of replicates that is not too many."""
    assert forecast_of(rows, [case()], seeds) == pytest.approx(1800 * microseconds * 1e-6)


def test_a_forecast_is_the_sum_of_the_rows_own_optimizers_sizes_and_epochs(forecast_of):
    cases = [case(), case(Adam(0.1), epochs=2), case(size=1000, epochs=1)]
    assert forecast_of(ROWS, cases) == pytest.approx((1800 * 20 + 1200 * 9 + 60 * 11) * 1e-6)
    assert forecast_of(ROWS, [case()], engine="eager") == pytest.approx(1800 * 7e-6)


@pytest.mark.parametrize(
    "unmeasured",
    [
        case(size=32),
        case(SGD(0.1, momentum=0.9)),
        case(network=MLP((784, 30, 10), ("relu",))),
    ],
    ids=str,
)
def test_what_was_not_measured_is_not_forecast(forecast_of, unmeasured):
    assert forecast_of(ROWS, [case(), unmeasured]) is None


def test_no_forecast_before_an_engine_is_chosen_or_from_another_machine(forecast_of, monkeypatch):
    assert forecast_of(ROWS, [case()], engine="auto") is None
    monkeypatch.setattr(forecast.engines, "unproven", lambda *_: False)
    assert forecast_of(ROWS, [case()], engine="auto") == pytest.approx(1800 * 20e-6)
    monkeypatch.setattr(forecast, "device_name", lambda device: "another machine")
    assert forecast_of(ROWS, [case()]) is None
