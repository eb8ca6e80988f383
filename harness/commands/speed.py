"""Measures every engine's time per step on this machine, beside its peers' and the roofline bound.

`make speed`, or `python -m harness speed`. Writes `speed.json` to the report folder and prints it as a
table. Engines and peers (eager, and those of `peers`) take turns, sample by sample, so that drift
affects all alike; a figure is the median of its samples. On a CPU on one core, and on all, in a process
for each, as JAX counts the cores but once.
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
from ..hardware.lease import lease
from ..hardware.machine import candidate_devices, check_device, describe_machine
from ..paths import REPORTS, ROOT, SPEED, SPEED_SO_FAR
from .arguments import add_report_dir

BATCH_SIZES = (1, 32, 100, 1000, 10000, 60000)
SAMPLES = 7
_SAMPLE_SECONDS = 0.1  # at least, unless a whole epoch takes less


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", nargs="?", default="auto", help="as pytest's --device (default: auto)")
    add_report_dir(parser)


def run(options: argparse.Namespace) -> None:
    measure_speeds(options.device, options.report_dir)


@dataclass
class Contender:
    """An engine or a peer, ready for one experiment, and its samples."""

    engine: EngineModule | Peer
    runner: Runner
    peak_mib: float | None
    steps: int = 1
    samples: list[float] = field(default_factory=list)  # seconds a step

    def sample(self, orders: torch.Tensor, experiment: Experiment) -> float:
        """Runs the first `steps` of an epoch; returns seconds per step."""
        orders = orders[:, : self.steps * experiment.batch_size]
        rates = experiment.constant_rates(orders.shape[1])
        started = time.perf_counter()
        self.runner.epoch(orders, rates)
        if orders.is_cuda:
            torch.cuda.synchronize(orders.device)
        return (time.perf_counter() - started) / self.steps


def peaks(experiment: Experiment, data: Data, replicates: int) -> dict[str, float | None]:
    """The peak memory of all engines that run `experiment`, by name; see `peak_mib`."""
    orders = _orders(experiment, data, replicates)
    return {
        engine.NAME: peak_mib(engine, experiment, data, tuple(range(replicates)), orders)
        for engine in _able(experiment, data)
    }


def measure_engines(
    experiment: Experiment, data: Data, replicates: int, peak: dict[str, float | None]
) -> list[dict[str, Any]]:
    """Measures all engines that run `experiment`, with `replicates` at once; a row for each.

    One replicate on a CPU is measured in the peers, too. `peak` is the engines' peak memory.
    """
    seeds = tuple(range(replicates))
    orders = _orders(experiment, data, replicates)
    contenders = [
        Contender(engine, engine.Engine(experiment, data, seeds), peak.get(engine.NAME))
        for engine in _able(experiment, data)
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

    # On a CPU the bound is that of a replicate's cores; on a GPU the replicates share the device.
    work = minimum_work(experiment, data, orders[0])
    limit, kind = (None, None) if work is None else roofline_bound(work, data.device)
    products = dense_flops(
        experiment.network, min(experiment.batch_size, orders.shape[1])
    ) / measured_peak(data.device)
    cores = None if data.device.type == "cuda" else torch.get_num_threads()
    sharing = replicates if cores is None else 1 / max(1, cores // replicates)
    limit, products = None if limit is None else limit * sharing, products * sharing
    reference = median(next(c for c in contenders if c.engine is eager).samples)
    # A peer's samples are compared with the others', an engine's with all of them.
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


def _able(experiment: Experiment, data: Data) -> list[EngineModule]:
    return [engine for engine in ENGINES if cannot_run(engine, experiment, data.device) is None]


def _orders(experiment: Experiment, data: Data, replicates: int) -> torch.Tensor:
    """The first epoch's, (replicates, examples)."""
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
        "µs a step",
        "x eager",
        "x best peer",
        "limit (µs)",
        "set by",
        "of limit",
        "of peak",
        "memory (MiB)",
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
    """Measures all of it on that device; `speed.json` goes to `report` (None: the latest run's)."""
    check_device(device_name)
    device = candidate_devices(device_name)[0]
    every = len(available_cores())
    # The numbers of replicates to measure, by how many cores they have together.
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
                raise ValueError(f"the process that measures on {cores} cores ended: {error}") from None
            except DataError as error:
                raise ValueError(str(error)) from None
            except KeyboardInterrupt:  # which may be of this process alone, and is not to wait
                for child in active_children():
                    child.kill()
                raise
    (report / SPEED_SO_FAR).replace(report / SPEED)
    print(format_speeds(rows))
    print(
        f"\nOn {name_of(device)}. Medians of {SAMPLES} samples, engines and peers in turns.\nLimit: "
        "bytes over measured bandwidth, or operations over the measured peak of a matrix product,\n"
        "whichever takes longer (harness/engine_speeds/roofline.py). Of peak: what the whole matrix\n"
        "products, zeros and all, would take at that peak."
    )


def _measure_all(
    device: torch.device, cores: int, replicates: tuple[int, ...], path: Path, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Adds to `rows` those of all optimizers and batch sizes, and writes them to `path` as they come."""
    with lease([device], cores):
        data = load(MNIST, ROOT / "data", device)
        machine = {**describe_machine(device), "jax": version("jax")}
        cases = [
            (Experiment(optimizer=optimizer, batch_size=batch_size, epochs=1), count)
            for optimizer in (SGD(1e-3), Adam(1e-3))
            for batch_size in BATCH_SIZES
            for count in replicates
        ]
        # All of them before the first peer, which leaves its own things in memory.
        peak = [peaks(experiment, data, count) for experiment, count in cases]
    for (experiment, count), of_engines in zip(cases, peak, strict=True):
        with lease([device], cores):
            rows = rows + measure_engines(experiment, data, count, of_engines)
        print(
            f"{experiment.optimizer.label} {experiment.batch_size} x {count}, {cores}",
            end="\r",
            file=sys.stderr,
        )
        sealed.write_content(path, {"rows": rows, "machine": machine})
    return rows
