"""How fast every engine takes a step here, beside eager and beside what the hardware allows.

`make speed`, or `python -m harness.speed [DEVICE]`. Writes `reports/latest/speed.json` and
prints it as a table. Engines take turns, sample by sample, so that a drift of the machine
hits all alike; a figure is the median of its samples.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from model.data.mnist import Data, load
from model.data.presentation_order import epoch_order
from model.engines import ENGINES, eager
from model.experiment import OPTIMIZERS, Experiment

from . import jsonfile
from .lease import available_cores, lease_cores, lease_gpu
from .limits import dense_operations, peak, seconds_of, work_of
from .machine import describe
from .options import devices
from .report_dir import SPEED

BATCH_SIZES = (1, 32, 100, 1000, 10000, 60000)
SAMPLES = 7
_SAMPLE_SECONDS = 0.1  # at least, as far as one epoch has steps for it
_ROOT = Path(__file__).parent.parent


@dataclass
class Contender:
    """An engine made ready for one experiment, and its samples."""

    engine: ModuleType
    runner: Any
    peak_mib: float | None
    steps: int = 1
    samples: list[float] = field(default_factory=list)  # seconds a step

    def sample(self, orders: torch.Tensor, batch_size: int) -> float:
        """Seconds a step, over the first `steps` of an epoch."""
        orders = orders[:, : self.steps * batch_size]
        started = time.perf_counter()
        self.runner.epoch(orders)
        if orders.is_cuda:
            torch.cuda.synchronize(orders.device)
        return (time.perf_counter() - started) / self.steps


def measure(experiment: Experiment, data: Data, replicates: int) -> list[dict[str, Any]]:
    """The rows of all engines that run `experiment`, for so many replicates at once."""
    seeds = tuple(range(replicates))
    labels = data.train_labels.cpu().numpy()
    drawn = np.stack([epoch_order(experiment.order, labels, seed, 0) for seed in seeds])
    orders = torch.from_numpy(drawn).to(data.device)
    able = [engine for engine in ENGINES if engine.refuses(experiment, data.device) is None]
    peaks = [_peak_mib(engine, experiment, data, seeds, orders) for engine in able]
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

    # On a CPU replicates have a core each, and so each the whole limit of one core; on a GPU
    # they share what there is.
    work = work_of(experiment, data, orders[0])
    limit, kind = seconds_of(work, data.device)
    products = dense_operations(min(experiment.batch_size, len(labels))) / peak(data.device)
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
            "limit_us_per_step": limit * 1e6,
            "limited_by": kind,
            "of_limit": limit / median(contender.samples),
            "of_peak": products / median(contender.samples),
            "peak_mib": contender.peak_mib,
        }
        for contender in contenders
    ]


def _peak_mib(
    engine: ModuleType,
    experiment: Experiment,
    data: Data,
    seeds: tuple[int, ...],
    orders: torch.Tensor,
) -> float | None:
    """The most memory while the engine is made and takes a step, in MiB; None where unknown.

    Resident memory beyond that of a process that has only imported PyTorch; on a GPU, what
    PyTorch's allocator handed out. The data set is part of either.
    """
    gc.collect()
    on_gpu = data.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(data.device)
    elif not _reset_peak():
        return None
    engine.Engine(experiment, data, seeds).epoch(orders[:, : experiment.batch_size])
    if on_gpu:
        return torch.cuda.max_memory_allocated(data.device) / 2**20
    return (_status("VmHWM") - _IMPORTED) / 2**20


def _reset_peak() -> bool:
    """Sets the process's peak memory to what it holds now; whether that could be done (Linux)."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier cases freed is not this one's
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int:
    """A size in bytes from what Linux says of this process; 0 where it is not Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


_IMPORTED = _status("VmRSS")


@contextmanager
def _leased(device: torch.device, cores: int) -> Iterator[None]:
    with lease_gpu([device]) if device.type == "cuda" else lease_cores(cores):
        yield


def render(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
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
                f"{row['limit_us_per_step']:.2f}",
                row["limited_by"],
                f"{row['of_limit']:.0%}",
                f"{row['of_peak']:.0%}",
                "–" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
            )
            for row in rows
        ],
        headers=headers,
        disable_numparse=True,
        colalign=("left", "right", "right", "left", *["right"] * 3, "left", *["right"] * 3),
    )


def main(device_name: str = "auto") -> None:
    device = devices(device_name)[0]
    several = 8 if device.type == "cuda" else len(available_cores())
    report = _ROOT / "reports" / "latest"
    report.mkdir(parents=True, exist_ok=True)
    with _leased(device, 1):
        data = load("mnist", _ROOT / "data", device)
    machine = describe(device)
    rows = []
    for optimizer in OPTIMIZERS:
        for batch_size in BATCH_SIZES:
            experiment = Experiment(
                optimizer=optimizer, learning_rate=1e-3, batch_size=batch_size, epochs=1
            )
            for replicates in dict.fromkeys((1, several)):
                with _leased(device, replicates):
                    rows += measure(experiment, data, replicates)
                print(f"{optimizer} {batch_size} x {replicates}", end="\r", file=sys.stderr)
                jsonfile.write(report / SPEED, {"rows": rows, "machine": machine})
    print(render(rows))
    print(
        f"\nOn {machine['device_name']}; on a CPU each replicate has one core. Medians of "
        f"{SAMPLES} samples, engines in turns.\nLimit: bytes over measured bandwidth, or operations "
        "over the measured peak of a matrix product,\nwhichever takes longer; see harness/limits.py. "
        "Of peak: what the whole matrix products, zeros\nand all, would take at that peak."
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
