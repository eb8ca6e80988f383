"""Engines' speeds compared with peers and the roofline, and times under `-n` with serial times."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.commands import speed, times
from harness.engine_speeds import roofline
from harness.engine_speeds.roofline import dense_flops
from harness.files import sealed
from harness.files.speeds import SpeedRow, TimesFile
from harness.report.figures import per_step as engine_speed_figure
from model.engines import eager
from model.experiment import Experiment
from model.optimizers import SGD, Adam, Torch

from . import reports
from .data import EXAMPLES, NETWORK, made_up


def counted(batch_size: int) -> int:
    """Returns the operations of the matrix products in one step of eager, as PyTorch counts them."""
    case = Experiment(optimizer=SGD(0.1), batch_size=batch_size, epochs=1)
    with FlopCounterMode(display=False) as counter:
        order, rates = torch.arange(batch_size)[None], case.constant_rates(batch_size)
        eager.Engine(case, made_up(), (0,)).epoch(order, rates)
    return counter.get_total_flops()


@pytest.fixture(autouse=True)
def without_peers(monkeypatch):
    """Removes the peers, which take a minute to compile."""
    monkeypatch.setattr(speed.peers, "ready", lambda *_: [])


def test_matrix_products_are_counted_as_pytorch_counts_them():
    for batch_size in (1, 100, 1000):
        assert dense_flops(NETWORK, batch_size) == counted(batch_size)


def test_the_share_of_the_peak_counts_only_the_examples_of_a_step(monkeypatch):
    """A batch larger than the training set has only its examples."""
    monkeypatch.setattr(speed, "ENGINES", (eager,))
    monkeypatch.setattr(speed, "measured_peak", lambda device: 1e9)
    monkeypatch.setattr(speed, "roofline_bound", lambda work, device: (1.0, "operations"))
    case = Experiment(optimizer=SGD(0.1), batch_size=60000, epochs=1)
    (row,) = speed.measure_engines(case, made_up(), 1, {})
    assert row["share_of_peak"] * row["us_per_step"] == pytest.approx(counted(EXAMPLES) / 1e9 * 1e6)
    assert "share of" in speed.format_speeds([row])


def test_the_peak_is_measured_on_one_core(monkeypatch):
    """A replicate's bound is that of one core, divided by its number of cores."""
    seen = []
    monkeypatch.setattr(
        roofline, "_median_seconds", lambda run, device: seen.append(torch.get_num_threads()) or 1.0
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        roofline.peak.__wrapped__(torch.device("cpu"))
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def taking(monkeypatch):
    """`taking(seconds)` sets the time of each contender's samples by name; the bound is 1 s."""
    monkeypatch.setattr(speed, "measured_peak", lambda device: 1e9)
    monkeypatch.setattr(speed, "roofline_bound", lambda work, device: (1.0, "operations"))

    def set_seconds(seconds):
        monkeypatch.setattr(
            speed.Contender, "sample", lambda self, orders, batch_size: seconds[self.engine.NAME]
        )

    return set_seconds


def stand_in(name):
    return SimpleNamespace(NAME=name, Engine=eager.Engine, refuses=able, unavailable=able)


def able(*_):
    """Returns no reason why it cannot run."""


def test_an_engine_that_takes_half_of_eagers_time_is_twice_as_fast(monkeypatch, taking):
    other = stand_in("other")
    taking({"other": 2.0, "eager": 4.0})
    monkeypatch.setattr(speed, "ENGINES", (other, eager))
    case = Experiment(optimizer=SGD(0.1), batch_size=100, epochs=1)
    rows = speed.measure_engines(case, made_up(), 1, {})
    assert {row["engine"]: row["ratio_to_eager"] for row in rows} == {"other": 2, "eager": 1}
    assert {row["engine"]: row["us_per_step"] for row in rows} == {"other": 2e6, "eager": 4e6}
    assert {row["engine"]: row["share_of_roofline"] for row in rows} == {"other": 0.5, "eager": 0.25}


def test_an_optimizer_whose_work_is_unknown_has_no_bound(monkeypatch):
    monkeypatch.setattr(speed, "ENGINES", (eager,))
    monkeypatch.setattr(speed, "measured_peak", lambda device: 1e9)
    case = Experiment(optimizer=Torch(torch.optim.NAdam, 0.1), batch_size=1000, epochs=1)
    (row,) = speed.measure_engines(case, made_up(), 1, {})
    row = SpeedRow.model_validate(row)
    assert (row.optimizer, row.bound_by) == ("NAdam", None)
    assert row.roofline_us_per_step is row.share_of_roofline is None
    assert "–" in speed.format_speeds([row.model_dump()])
    assert [each["engine"] for each in engine_speed_figure._rows([row])] == ["eager"]


def test_the_bound_counts_an_optimizers_reads_writes_and_operations():
    """At batch size 1 most pixels are 0, and their weights do not change except by momentum."""

    def work(optimizer):
        case = Experiment(optimizer=optimizer, batch_size=1, epochs=1)
        return roofline.minimum_work(case, made_up(), torch.arange(EXAMPLES))

    weights = 784 * 300 + 300 * 100 + 100 * 10
    plain, decaying, momentum, adam = map(
        work, (SGD(1), SGD(1, weight_decay=0.1), SGD(1, momentum=0.9), Adam(1))
    )
    assert plain.bytes_held < decaying.bytes_held == 4 * weights
    assert momentum.bytes_held == 2 * 4 * weights
    assert adam.bytes_held == 3 * 4 * weights
    assert adam.bytes_moved - momentum.bytes_moved == 2 * 4 * weights
    assert adam.operations - momentum.operations == (12 - 4) * weights


def test_speeds_are_compared_with_the_fastest_peer(monkeypatch, taking):
    """Eager and two others are peers; other engines are not. With replicates, eager is the only peer."""
    engine, slow, fast = map(stand_in, ("engine", "slow", "fast"))
    peers = [speed.Peer(each.NAME, eager.HONOURS, each.Engine) for each in (slow, fast)]
    taking({"engine": 1.0, "slow": 8.0, "eager": 6.0, "fast": 3.0})
    monkeypatch.setattr(speed, "ENGINES", (engine, eager))
    monkeypatch.setattr(
        speed.peers,
        "ready",
        lambda experiment, data, orders: [(peer, peer.Engine(experiment, data, (0,))) for peer in peers],
    )
    case = Experiment(optimizer=SGD(0.1), batch_size=100, epochs=1)
    rows = speed.measure_engines(case, made_up(), 1, {})
    assert {row["best_peer"] for row in rows} == {"fast"}
    ratios = {"engine": 3, "eager": 0.5, "slow": 0.375, "fast": 1}
    assert {row["engine"]: row["ratio_to_best_peer"] for row in rows} == ratios
    rows = speed.measure_engines(case, made_up(), 2, {})
    assert {row["engine"]: row["ratio_to_best_peer"] for row in rows} == {"engine": 6, "eager": 1}


def test_a_row_that_takes_longer_with_workers_has_a_ratio_above_1(tmp_path, monkeypatch):
    """The ratio is that of the medians of its times."""
    runs = {0: [{"a": 1.0, "b": 4.0}, {"a": 2.0, "b": 4.0}], 2: 2 * [{"a": 3.0, "b": 3.0}]}
    monkeypatch.setattr(times, "measure_rows", lambda workers: runs[workers].pop(0))
    times.measure_times(workers=2, rounds=2, report=tmp_path)
    found = sealed.read_model(tmp_path / "times.json", TimesFile).model_dump()
    assert found["rows"] == [
        {"case": "a", "serial": 1.5, "parallel": 3.0, "ratio": 2.0},
        {"case": "b", "serial": 4.0, "parallel": 3.0, "ratio": 0.75},
    ]
    assert (found["median"], found["lowest"], found["highest"]) == (1.375, 0.75, 2.0)


@pytest.mark.parametrize("workers", [0, 2])
def test_times_are_read_from_the_runs_own_report(monkeypatch, workers):
    """Not from reports/latest, which may belong to another run."""

    def run(command, **options):
        assert command[command.index("-n") + 1] == str(workers)
        (option,) = (each for each in command if each.startswith("--report-dir="))
        report = Path(option.partition("=")[2])
        reports.write(report, slower=1.5 + workers)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(times.subprocess, "run", run)
    seconds = times.measure_rows(workers)
    assert len(seconds) == 8
    assert seconds["test_training[adam-lr0.001]"] == reports.EPOCHS * (1.5 + workers)
