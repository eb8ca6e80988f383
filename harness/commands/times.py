"""Measures whether `-n` changes training times: runs exercises 1 and 4 serially and with workers.

`make times`, or `python -m harness times`. The two kinds of run take turns, so that drift affects both
alike, and a row's ratio is that of its medians. Aim: every ratio within 25 % of 1, their median within
10 %. Writes `times.json` to the report folder and prints it as a table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tabulate import tabulate

from .. import run_folders
from ..files import sealed
from ..files.summary import Summary
from ..hardware.machine import candidate_devices, describe_machine
from ..paths import REPORTS, ROOT, TIMES
from ..processes import environment, reason
from .arguments import add_report_dir, at_least

MODULES = ("bench/test_1_minibatch_size.py", "bench/test_4_adam_vs_sgd.py")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=at_least(1),
        default=2,
        metavar="N",
        help="the number of workers, to compare with a serial run (default: 2)",
    )
    parser.add_argument(
        "--rounds",
        type=at_least(1),
        default=3,
        metavar="N",
        help="the number of runs of each kind (default: 3)",
    )
    add_report_dir(parser)


def run(options: argparse.Namespace) -> None:
    measure_times(options.workers, options.rounds, options.report_dir)


def measure_rows(workers: int) -> dict[str, float]:
    """Runs once with `workers` workers (0: serially) and returns the training seconds by row."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        command = [sys.executable, "-m", "pytest", "-q", *MODULES, "-k", "test_training"]
        command += ["-n", str(workers), f"--report-dir={report}"]
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env=environment("PYTEST_XDIST_WORKER"),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if ran.returncode:
            why = reason(ran.stderr, ran.stdout, status=ran.returncode)
            raise ValueError(f"pytest -n {workers} ended with status {ran.returncode}: {why}")
        cases = sealed.read_model(report / "summary.json", Summary).cases
    return {case.id.partition("::")[2]: case.seconds for case in cases}


def measure_times(workers: int, rounds: int, report: Path | None = None) -> None:
    """Runs both kinds alternately, `rounds` times; writes `times.json` to `report` (None: latest)."""
    report = run_folders.for_the_machine(REPORTS, report)
    serial, parallel = [], []
    for _ in range(rounds):
        serial.append(measure_rows(0))
        parallel.append(measure_rows(workers))
    rows, ratios = [], []
    for case in serial[0]:
        alone, shared = (median(run[case] for run in runs) for runs in (serial, parallel))
        ratios.append(shared / alone)
        rows.append((case, alone, shared, shared / alone))
    headers = ("row", "serial (s)", f"-n {workers} (s)", "ratio")
    print(tabulate(rows, headers=headers, floatfmt=".3f"))
    found = {
        "machine": describe_machine(candidate_devices("auto")[0]),
        "workers": workers,
        "rounds": rounds,
        "rows": [dict(zip(("case", "serial", "parallel", "ratio"), row, strict=True)) for row in rows],
        "median": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }
    sealed.write_content(report / TIMES, found)
    print(
        f"\nRatio of -n {workers} to serial: median {median(ratios):.3f}, from {min(ratios):.3f} to "
        f"{max(ratios):.3f}. Times are medians of {rounds} runs of each kind, alternating."
    )
