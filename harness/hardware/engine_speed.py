"""Measures every engine's time per step on this machine, beside eager's and the roofline bound.

`make speed`, or `python -m harness speed`. Writes `speed.json` to the report folder and
prints it as a table. Engines take turns, sample by sample, so that drift
affects all alike; a figure is the median of its samples.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from model.data.mnist import Data, load
from model.data.presentation_order import epoch_order
from model.engines import ENGINES, EngineModule, eager
from model.engines.protocol import Runner
from model.environment import available_cores
from model.experiment import OPTIMIZERS, Experiment

from .. import ownership
from ..files import sealed
from ..paths import LATEST, ROOT, SPEED
from .lease import lease
from .machine import candidate_devices, describe_machine
from .peak_memory import peak_mib
from .roofline import dense_flops, minimum_work, peak, roofline_bound

BATCH_SIZES = (1, 32, 100, 1000, 10000, 60000)
SAMPLES = 7
_SAMPLE_SECONDS = 0.1  # at least, unless a whole epoch takes less


@dataclass
class Contender:
    """An engine, ready for one experiment, and its samples."""

    engine: EngineModule
    runner: Runner
    peak_mib: float | None
    steps: int = 1
    samples: list[float] = field(default_factory=list)  # seconds a step

    def sample(self, orders: torch.Tensor, batch_size: int) -> float:
        """Runs the first `steps` of an epoch; returns seconds per step."""
        orders = orders[:, : self.steps * batch_size]
        started = time.perf_counter()
        self.runner.epoch(orders)
        if orders.is_cuda:
            torch.cuda.synchronize(orders.device)
        return (time.perf_counter() - started) / self.steps


def measure(experiment: Experiment, data: Data, replicates: int) -> list[dict[str, Any]]:
    """Measures all engines that run `experiment`, with `replicates` at once; a row for each."""
    seeds = tuple(range(replicates))
    labels = data.train_labels.cpu().numpy()
    drawn = np.stack([epoch_order(experiment.order, labels, seed, 0) for seed in seeds])
    orders = torch.from_numpy(drawn).to(data.device)
    able = [engine for engine in ENGINES if engine.refuses(experiment, data.device) is None]
    peaks = [peak_mib(engine, experiment, data, seeds, orders) for engine in able]
    contenders = [
        Contender(engine, engine.Engine(experiment, data, seeds), peak)
        for engine, peak in zip(able, peaks, strict=True)
    ]
    most = experiment.steps_per_epoch(orders.shape[1])
    for contender in contenders:
        while contender.steps < most:
            seconds = contender.sample(orders, experiment.batch_size) * contender.steps
            if seconds >= _SAMPLE_SECONDS:
                break
            contender.steps = min(most, 2 * contender.steps)
    for _ in range(SAMPLES):
        for contender in contenders:
            contender.samples.append(contender.sample(orders, experiment.batch_size))

    # On a CPU each replicate has a core, and the bound is that of one core; on a GPU the
    # replicates share the device.
    work = minimum_work(experiment, data, orders[0])
    limit, kind = roofline_bound(work, data.device)
    products = dense_flops(min(experiment.batch_size, len(labels))) / peak(data.device)
    if data.device.type == "cuda":
        limit *= replicates
        products *= replicates
    reference = median(next(c for c in contenders if c.engine is eager).samples)
    return [
        {
            "engine": contender.engine.NAME,
            "device": data.device.type,
            "optimizer": experiment.optimizer,
            "batch_size": experiment.batch_size,
            "replicates": replicates,
            "us_per_step": median(contender.samples) * 1e6,
            "ratio_to_eager": reference / median(contender.samples),
            "roofline_us_per_step": limit * 1e6,
            "bound_by": kind,
            "share_of_roofline": limit / median(contender.samples),
            "share_of_peak": products / median(contender.samples),
            "peak_mib": contender.peak_mib,
        }
        for contender in contenders
    ]


def render(rows: list[dict[str, Any]]) -> str:
    """Formats the rows as a table."""
    headers = (
        "optimizer",
        "batch",
        "replicates",
        "engine",
        "µs a step",
        "x eager",
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
                row["engine"],
                f"{row['us_per_step']:.1f}",
                f"{row['ratio_to_eager']:.2f}",
                f"{row['roofline_us_per_step']:.2f}",
                row["bound_by"],
                f"{row['share_of_roofline']:.0%}",
                f"{row['share_of_peak']:.0%}",
                "–" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
            )
            for row in rows
        ],
        headers=headers,
        disable_numparse=True,
        colalign=("left", "right", "right", "left", *["right"] * 3, "left", *["right"] * 3),
    )


def main(device_name: str = "auto", report: Path = LATEST) -> None:
    """Measures all of it on that device, and writes `speed.json` to the folder `report`."""
    device = candidate_devices(device_name)[0]
    several = 8 if device.type == "cuda" else len(available_cores())
    with suppress(ownership.ForeignFilesError):  # one more file in somebody's folder harms nothing
        ownership.make(report)
    with lease([device], 1):
        data = load("mnist", ROOT / "data", device)
    machine = describe_machine(device)
    rows = []
    for optimizer in OPTIMIZERS:
        for batch_size in BATCH_SIZES:
            experiment = Experiment(
                optimizer=optimizer, learning_rate=1e-3, batch_size=batch_size, epochs=1
            )
            for replicates in dict.fromkeys((1, several)):
                with lease([device], replicates):
                    rows += measure(experiment, data, replicates)
                print(f"{optimizer} {batch_size} x {replicates}", end="\r", file=sys.stderr)
                sealed.write(report / SPEED, {"rows": rows, "machine": machine})
    print(render(rows))
    print(
        f"\nOn {machine['device_name']}; on a CPU each replicate has one core. Medians of {SAMPLES} "
        "samples, engines in turns.\nLimit: bytes over measured bandwidth, or operations over the "
        "measured peak of a matrix product,\nwhichever takes longer (harness/hardware/roofline.py). "
        "Of peak: what the whole matrix\nproducts, zeros and all, would take at that peak."
    )
