"""Runs everything that needs a GPU: tests, speeds, sanitizers, times, and the paper's scale.

`make gpu`, or `python -m harness gpu`. Each step is a separate process with its own time limit; the most
informative steps come first. Results go to a new folder, which `reports/gpu/latest` links to: a step's
output to `STEP.txt`, and its status to `steps.json` when it ends. If called again, the command continues
with the steps that were not started or were stopped. `results.tar.gz` contains everything; `paper/` is a
report folder with speeds and times, for `make publish`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from model.data.mnist import Data
from model.dataset import MNIST
from model.engines import cannot_run
from model.engines.cluster import engine as cluster
from model.environment import code_digest, device_name
from model.experiment import Experiment
from model.optimizers import SGD

from .. import atomic_json, run_folders
from ..paths import ROOT
from ..processes import environment
from .arguments import at_least

GPU = ROOT / "reports" / "gpu"
_PAPER = "paper"  # a report folder in the results folder

PASSED, FAILED, SKIPPED, STOPPED, NOT_RUN = "passed", "failed", "skipped", "stopped", "not run"

_GRACE = 20.0  # seconds reserved for ending a step that runs out of time
_LEAST = 30.0  # seconds that must be left to start a step: importing PyTorch alone takes ten


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=at_least(1),
        metavar="N",
        help="time limit in seconds; run the command again to continue with the remaining steps "
        "(default: no limit)",
    )
    parser.add_argument("--again", action="store_true", help="run all steps again, in a new folder")


def run(options: argparse.Namespace) -> int:
    return check_gpu(options.seconds, options.again)


@dataclass(frozen=True)
class Step:
    """A command with a time limit."""

    name: str
    command: tuple[str, ...]
    seconds: float
    cannot: str | None = None
    """Why it cannot run here, if it cannot."""
    resume: tuple[str, ...] = ()
    """Arguments added to the command if it was stopped in an earlier call."""


@dataclass(frozen=True)
class Result:
    """How a step ended."""

    status: str
    seconds: float = 0.0
    why: str = ""


def check_gpu(seconds: float | None = None, again: bool = False) -> int:
    """Runs the remaining steps; returns 0 if all have passed or cannot run here, else 1.

    `seconds` limits the time of this call; `again` starts over. Raises ValueError without a GPU.
    """
    if not torch.cuda.is_available():
        raise ValueError(f"PyTorch {torch.__version__} finds no GPU; `gpu` needs one")
    device = torch.device("cuda", 0)
    of = {
        "device": device_name(device),
        "torch": torch.__version__,
        "code": code_digest([ROOT / folder for folder in ("bench", "harness", "model", "tests")]),
    }
    folder = _folder(of, again=again)
    return run_steps(list(steps(device, folder)), folder, of, seconds=seconds)


def _folder(of: dict[str, str], *, again: bool) -> Path:
    """Returns the last call's folder if it had the same machine and code, else a new one."""
    last = GPU / run_folders.LINK
    if not again and _earlier(last, of):
        return last.resolve()
    folder = run_folders.new(GPU)
    folder.mkdir(parents=True)
    run_folders.lead_to(folder)
    return folder


def steps(device: torch.device, folder: Path) -> Iterable[Step]:
    """Yields the steps, the most informative first."""
    python, report = (sys.executable, "-m"), str(folder / _PAPER)
    # Other test files may import packages that are not installed here.
    tests = [path for path in (ROOT / "tests").glob("test_*.py") if "mark.gpu" in path.read_text()]
    yield Step("tests", (*python, "pytest", "-m", "gpu", "-v", "-rs", *map(str, sorted(tests))), 400)
    yield Step("speed", (*python, "harness", "speed", "cuda", "--report-dir", report), 500)
    sanitizer = shutil.which("compute-sanitizer", path=f"{os.environ.get('PATH')}:/usr/local/cuda/bin")
    cannot: str | None = "compute-sanitizer is not installed"
    if sanitizer:
        cannot = cannot_run(cluster, _ONLINE, device)
    for tool in ("memcheck", "racecheck", "synccheck"):
        code = f"import {__name__} as check; check.few_cluster_steps()"
        command = (sanitizer or "", "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", code)
        yield Step(tool, command, 200, cannot)
    yield Step("times", (*python, "harness", "times", "--report-dir", report), 560)
    paper = ("--scale", "paper", "--replicates", "8", "--device", "cuda", "--report-dir", report)
    yield Step("paper", (*python, "pytest", str(ROOT / "bench"), *paper), 3600, resume=("--resume",))


def run_steps(planned: list[Step], folder: Path, of: dict[str, str], *, seconds: float | None) -> int:
    """Runs the `planned` steps that have no result yet for `of`, which identifies machine and code."""
    deadline = time.monotonic() + (seconds if seconds is not None else 10**9)
    folder.mkdir(parents=True, exist_ok=True)
    results = _earlier(folder, of)
    for step in planned:
        before = results.get(step.name)
        if step.cannot is not None:
            results[step.name] = Result(SKIPPED, why=step.cannot)
        elif before is None or before.status in (SKIPPED, STOPPED):
            left = deadline - time.monotonic() - _GRACE
            if left < _LEAST:
                break
            print(f"{step.name} ... ", end="", flush=True)
            # Written before the step starts, in case this process is killed during it.
            results[step.name] = Result(STOPPED, why="the command was killed")
            _write(folder, of, results)
            resume = before is not None and before.status == STOPPED
            results[step.name] = result = _run(step, folder / f"{step.name}.txt", left, resume)
            print(_format_result(result), flush=True)
        _write(folder, of, results)
        if results[step.name].status == STOPPED:
            break
    text = summary(planned, results, of)
    atomic_json.write_text(folder / "summary.txt", text)
    _pack(folder)
    print(f"\n{text}\nWritten to {folder}/; results.tar.gz there contains everything.")
    done = all(results.get(step.name, _NONE).status in (PASSED, SKIPPED) for step in planned)
    return 0 if done else 1


def summary(planned: list[Step], results: dict[str, Result], of: dict[str, str]) -> str:
    """Returns a line for each step, and one that lists the remaining steps."""
    lines = [f"{of['device']}, PyTorch {of['torch']}, code {of['code']}"]
    left = []
    for step in planned:
        result = results.get(step.name, _NONE)
        lines.append(f"  {step.name:<10} {_format_result(result)}")
        if result.status in (STOPPED, NOT_RUN):
            left.append(step.name)
    remaining = f"Remaining: {', '.join(left)}; run the same command again to continue."
    lines.append(remaining if left else "All done.")
    return "\n".join(lines) + "\n"


def few_cluster_steps() -> None:
    """Trains two replicates for 50 steps with the engine `cluster`, on made-up images."""
    device = torch.device("cuda", 0)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(50, 784, generator=generator)
    images *= torch.rand(50, 784, generator=generator) < 0.2
    labels = torch.randint(10, (50,), generator=generator)
    on_gpu = images.to(device), labels.to(device)
    engine = cluster.Engine(_ONLINE, Data(MNIST, *on_gpu, *on_gpu), (0, 1))
    engine.epoch(torch.arange(50, device=device).repeat(2, 1), _ONLINE.constant_rates(50))
    torch.cuda.synchronize(device)
    if not all(parameter.isfinite().all() for parameter in engine.parameters()):
        sys.exit("its parameters are not finite")


_NONE = Result(NOT_RUN)
_ONLINE = Experiment(optimizer=SGD(0.01), batch_size=1, epochs=1)


def _run(step: Step, log: Path, left: float, resume: bool) -> Result:
    """Runs a step within its own limit and the command's; ends all its processes."""
    command = [*step.command, *(step.resume if resume else ())]
    started = time.monotonic()
    with log.open("a" if resume else "w", encoding="utf-8") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**environment(), "PYTHONUNBUFFERED": "1"},  # keeps the output of a killed step
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            return Result(FAILED, why=str(error))
        try:
            status = process.wait(min(step.seconds, left))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
            _end(process)
            seconds = time.monotonic() - started
            if isinstance(stop, KeyboardInterrupt):
                return Result(STOPPED, seconds, "interrupted")
            if step.seconds <= left and not step.resume:
                return Result(FAILED, seconds, f"over its limit of {step.seconds:.0f} s; see {log.name}")
            return Result(STOPPED, seconds, "time ran out")
    seconds = time.monotonic() - started
    last = _last_line(log)
    if status == 0:  # shows pytest's counts, since a step whose tests were all skipped passes
        return Result(PASSED, seconds, last if re.search(r"\d+ (passed|skipped)", last) else "")
    return Result(FAILED, seconds, f"exit status {status}; see {log.name}: {last}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminates all processes of the step, and kills those that do not end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE / 2)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _earlier(folder: Path, of: dict[str, str]) -> dict[str, Result]:
    """Returns the results of an earlier call; empty if it had another machine or other code."""
    try:
        written = atomic_json.read_json(folder / "steps.json")
        if written["of"] != of:
            return {}
        return {name: Result(**result) for name, result in written["steps"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(folder: Path, of: dict[str, str], results: dict[str, Result]) -> None:
    steps: dict[str, Any] = {name: asdict(result) for name, result in results.items()}
    atomic_json.write_json(folder / "steps.json", {"of": of, "steps": steps})


def _pack(folder: Path) -> None:
    """Packs the folder into one file, for machines that return only a few files."""
    packed = folder / ".results.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for path in (*folder.glob("*.txt"), *folder.glob("*.json"), folder / _PAPER):
            if path.exists():
                tar.add(path, arcname=f"gpu/{path.name}")
    packed.replace(folder / "results.tar.gz")


def _format_result(result: Result) -> str:
    took = f" after {result.seconds:.0f} s" if result.seconds else ""
    return f"{result.status}{took}{': ' if result.why else ''}{result.why}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip("= ")[:200] if lines else "it printed nothing"
