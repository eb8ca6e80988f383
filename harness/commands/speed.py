"""Measures every engine's time per step on this machine, and compares it with peers and the roofline.

`make speed`, or `python -m harness speed`. Writes `speed.json` to the report folder and prints it as a
table. Engines and peers (eager, and those of `peers`) take turns, sample by sample, so that drift
affects all alike; a figure is the median of its samples. A CPU is measured on one core and on all cores,
in separate processes because JAX counts the cores only once.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from model.data.download import DataError
from model.data.mnist import Data, load
from model.data.presentation_order import epoch_order
from model.dataset import MNIST
from model.engines import ENGINES, EngineModule, cannot_run, eager, why_unavailable
from model.engines.protocol import Runner
from model.environment import available_cores, version
from model.environment import device_name as name_of
from model.experiment import Experiment
from model.optimizers import SGD, Adam

from .. import run_folders
from ..engine_speeds import peers
from ..engine_speeds.peak_memory import peak_mib
from ..engine_speeds.peers import Peer
from ..engine_speeds.roofline import dense_flops, minimum_work, roofline_bound
from ..engine_speeds.roofline import peak as measured_peak
from ..files import sealed
from ..files.session_phases import PhasesFile
from ..hardware.lease import lease
from ..hardware.machine import candidate_devices, check_device, describe_machine
from ..paths import PHASES, REPORTS, ROOT, SPEED, SPEED_SO_FAR
from ..report.phase_table import format_phases
from .arguments import add_report_dir

BATCH_SIZES = (1, 32, 100, 1000, 10000, 60000)
SAMPLES = 7
_SAMPLE_SECONDS = 0.1  # at least, unless a whole epoch takes less


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "device", nargs="?", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)"
    )
    add_report_dir(parser)


def run(options: argparse.Namespace) -> None:
    measure_speeds(options.device, options.report_dir)


@dataclass
class Contender:
    """An engine or a peer that is ready for an experiment, and its samples."""

    engine: EngineModule | Peer
    runner: Runner
    peak_mib: float | None
    steps: int = 1
    samples: list[float] = field(default_factory=list)  # seconds per step

    def sample(self, orders: torch.Tensor, experiment: Experiment) -> float:
        """Runs the first `steps` of an epoch and returns the seconds per step."""
        orders = orders[:, : self.steps * experiment.batch_size]
        rates = experiment.constant_rates(orders.shape[1])
        started = time.perf_counter()
        self.runner.epoch(orders, rates)
        if orders.is_cuda:
            torch.cuda.synchronize(orders.device)
        return (time.perf_counter() - started) / self.steps


def peaks(experiment: Experiment, data: Data, replicates: int) -> dict[str, float | None]:
    """Returns the peak memory of all engines that run `experiment`, by name; see `peak_mib`."""
    orders = _orders(experiment, data, replicates)
    return {
        engine.NAME: peak_mib(engine, experiment, data, tuple(range(replicates)), orders)
        for engine in _runnable(experiment, data)
    }


def measure_engines(
    experiment: Experiment, data: Data, replicates: int, peak: dict[str, float | None]
) -> list[dict[str, Any]]:
    """Measures all engines that run `experiment`, with `replicates` at once; returns a row for each.

    With one replicate on a CPU, peers are measured too. `peak` is the engines' peak memory.
    """
    seeds = tuple(range(replicates))
    orders = _orders(experiment, data, replicates)
    contenders = [
        Contender(engine, engine.Engine(experiment, data, seeds), peak.get(engine.NAME))
        for engine in _runnable(experiment, data)
    ]
    if data.device.type == "cpu" and replicates == 1:
        contenders += [Contender(*each, None) for each in peers.ready(experiment, data, orders)]
    most = experiment.steps_per_epoch(orders.shape[1])
    for contender in contenders:
        while contender.steps < most:
            contender.sample(orders, experiment)  # JAX compiles for every number of steps
            seconds = contender.sample(orders, experiment) * contender.steps
            if seconds >= _SAMPLE_SECONDS:
                break
            contender.steps = min(most, 2 * contender.steps)
    for _ in range(SAMPLES):
        for contender in contenders:
            contender.samples.append(contender.sample(orders, experiment))

    # On a CPU the bound is for a replicate's cores; on a GPU the replicates share the device.
    work = minimum_work(experiment, data, orders[0])
    limit, kind = (None, None) if work is None else roofline_bound(work, data.device)
    products = dense_flops(
        experiment.network, min(experiment.batch_size, orders.shape[1])
    ) / measured_peak(data.device)
    cores = None if data.device.type == "cuda" else torch.get_num_threads()
    sharing = replicates if cores is None else 1 / max(1, cores // replicates)
    limit, products = None if limit is None else limit * sharing, products * sharing
    reference = median(next(c for c in contenders if c.engine is eager).samples)
    # Eager counts as a peer.
    best_peer = min(
        (c for c in contenders if c.engine is eager or isinstance(c.engine, Peer)),
        key=lambda contender: median(contender.samples),
    )
    return [
        {
            "engine": contender.engine.NAME,
            "device": data.device.type,
            "optimizer": experiment.optimizer.label,
            "batch_size": experiment.batch_size,
            "replicates": replicates,
            "cores": cores,
            "us_per_step": median(contender.samples) * 1e6,
            "ratio_to_eager": reference / median(contender.samples),
            "best_peer": best_peer.engine.NAME,
            "ratio_to_best_peer": median(best_peer.samples) / median(contender.samples),
            "roofline_us_per_step": None if limit is None else limit * 1e6,
            "bound_by": kind,
            "share_of_roofline": None if limit is None else limit / median(contender.samples),
            "share_of_peak": products / median(contender.samples),
            "peak_mib": contender.peak_mib,
        }
        for contender in contenders
    ]


def _runnable(experiment: Experiment, data: Data) -> list[EngineModule]:
    return [engine for engine in ENGINES if cannot_run(engine, experiment, data.device) is None]


def _orders(experiment: Experiment, data: Data, replicates: int) -> torch.Tensor:
    """Returns the first epoch's orders, of shape (replicates, examples)."""
    labels = data.train_labels.cpu().numpy()
    drawn = [epoch_order(experiment.order, labels, seed, 0) for seed in range(replicates)]
    return torch.from_numpy(np.stack(drawn)).to(data.device)


def format_speeds(rows: list[dict[str, Any]]) -> str:
    """Formats the rows as a table."""
    headers = (
        "optimizer",
        "batch",
        "replicates",
        "cores",
        "engine",
        "µs/step",
        "speed-up\nover eager",
        "speed-up over\nbest peer",
        "roofline\n(µs)",
        "bound by",
        "share of\nroofline",
        "share of\npeak",
        "memory\n(MiB)",
    )
    return tabulate(
        [
            (
                row["optimizer"],
                row["batch_size"],
                row["replicates"],
                _known(row["cores"], "d"),
                row["engine"],
                f"{row['us_per_step']:.1f}",
                f"{row['ratio_to_eager']:.2f}",
                f"{row['ratio_to_best_peer']:.2f}",
                _known(row["roofline_us_per_step"], ".2f"),
                row["bound_by"] or "–",
                _known(row["share_of_roofline"], ".0%"),
                f"{row['share_of_peak']:.0%}",
                _known(row["peak_mib"], ".0f"),
            )
            for row in rows
        ],
        headers=headers,
        disable_numparse=True,
        colalign=("left", *["right"] * 3, "left", *["right"] * 4, "left", *["right"] * 3),
    )


def _known(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def measure_speeds(device_name: str = "auto", report: Path | None = None) -> None:
    """Measures all speeds on that device; `speed.json` goes to `report` (None: the latest run's)."""
    check_device(device_name)
    device = candidate_devices(device_name)[0]
    every = len(available_cores())
    # The numbers of replicates to measure, by the number of cores that they share.
    ways = {1: (1, 8)} if device.type == "cuda" else {1: (1,), every: tuple(dict.fromkeys((1, every)))}
    report = run_folders.for_the_machine(REPORTS, report)
    for name, reason in why_unavailable(device).items():
        print(f"engine {name} is left out: {reason}", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for cores, replicates in ways.items():
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            so_far = report / SPEED_SO_FAR
            measuring = process.submit(_measure_all, device, cores, replicates, so_far, rows)
            try:
                rows = measuring.result()
            except BrokenProcessPool as error:
                raise ValueError(f"the process measuring on {cores} cores has died: {error}") from None
            except DataError as error:
                raise ValueError(str(error)) from None
            except KeyboardInterrupt:  # may reach this process only; do not wait for the child
                for child in active_children():
                    child.kill()
                raise
    (report / SPEED_SO_FAR).replace(report / SPEED)
    print(format_speeds(rows))
    print(
        f"\nOn {name_of(device)}. Medians of {SAMPLES} samples; engines and peers take turns. Roofline: "
        "the larger of bytes over the\nmeasured bandwidth and operations over the measured peak of a "
        "matrix product (harness/engine_speeds/roofline.py).\nShare of peak: the time that the full "
        "matrix products, zeros included, would take at that peak, over the measured time."
    )
    if (report / PHASES).exists():
        phases = sealed.read_model(report / PHASES, PhasesFile)
        print(f"\nThe session that wrote {report.name} took {format_phases(phases, 'simple')}")


def _measure_all(
    device: torch.device, cores: int, replicates: tuple[int, ...], path: Path, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Adds rows for all optimizers and batch sizes, writing them to `path` as they are measured."""
    with lease([device], cores):
        data = load(MNIST, ROOT / "data", device)
        machine = {**describe_machine(device), "jax": version("jax")}
        cases = [
            (Experiment(optimizer=optimizer, batch_size=batch_size, epochs=1), count)
            for optimizer in (SGD(1e-3), Adam(1e-3))
            for batch_size in BATCH_SIZES
            for count in replicates
        ]
        # Measured before the first peer runs, since peers leave data in memory.
        memory = [peaks(experiment, data, count) for experiment, count in cases]
    for (experiment, count), peak in zip(cases, memory, strict=True):
        with lease([device], cores):
            rows = rows + measure_engines(experiment, data, count, peak)
        print(
            f"{experiment.optimizer.label} {experiment.batch_size} x {count}, {cores}",
            end="\r",
            file=sys.stderr,
        )
        sealed.write_content(path, {"rows": rows, "machine": machine})
    return rows
