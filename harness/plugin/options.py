"""The suite's options, checked before anything runs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from model.dataset import DATASETS, MNIST
from model.engines import ENGINES
from model.network import MLP

from .. import run_folders
from ..files.types import TIMINGS
from ..hardware.machine import candidate_devices, check_device
from ..paths import expanded
from ..session_settings import SESSION_STUDY, SETTINGS, Settings

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# Of a replicate of the assignment's, at least: its parameters in float32, at the beginning and now, and
# an order of the examples in int64.
_REPLICATE_BYTES = 2 * MLP().parameter_count * 4 + MNIST.examples * 8


_REPORT_DIR = "minibatch_bench_report_dir"  # in a worker's input


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("minibatch-bench", "training a study's experiments")
    # pytest_configure checks the values, and not argparse, whose errors take several lines and
    # begin with a usage text.
    group.addoption(
        "--scale",
        default=None,
        metavar="NAME",
        help="How long to train: one of the study's scales, as quick or paper of bench/ (default: the "
        "study's first)",
    )
    group.addoption(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda|cuda:N",
        help="Device to train on. auto: CUDA where there is a GPU, else the CPU (default: %(default)s)",
    )
    group.addoption(
        "--engine",
        default="auto",
        metavar="auto|NAME",
        help="Engine that runs the epochs. auto: the first that has proved itself on this machine, by "
        "PyTorch's plain loop (default: %(default)s)",
    )
    group.addoption(
        "--replicates",
        default="1",
        metavar="N",
        help="Train every row under the seeds 0 to N-1 (default: %(default)s)",
    )
    group.addoption(
        "--dataset",
        default="mnist",
        metavar="|".join(DATASETS),
        help="Data set to train on (default: %(default)s)",
    )
    group.addoption(
        "--data-root",
        default=None,
        metavar="DIR",
        help="Folder that holds the data set, or that it is downloaded to (default: data)",
    )
    group.addoption(
        "--timing",
        default="exclusive",
        metavar="exclusive|shared",
        help="exclusive: a training has its cores or GPU to itself; shared: it does not, and every "
        "table and record says so (default: %(default)s)",
    )
    group.addoption(
        "--report-dir",
        default=None,
        metavar="DIR",
        help="Folder to write tables, records and the page to (default: a new one in reports, which "
        "reports/latest leads to)",
    )
    group.addoption(
        "--resume",
        action="store_true",
        help="Take the finished rows of an interrupted run from the report folder (default: "
        "reports/latest), and train the rest",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    study = config.stash[SESSION_STUDY]
    scale = study.study.default_scale if option.scale is None else option.scale
    _one_of("--scale", scale, tuple(study.study.scales))
    _one_of("--dataset", option.dataset, (*DATASETS,))
    _one_of("--timing", option.timing, TIMINGS)
    _check_device(option.device)
    _one_of("--engine", option.engine, ("auto", *(engine.NAME for engine in ENGINES)))
    if not re.fullmatch(r"0*[1-9][0-9]{0,5}", option.replicates):
        raise pytest.UsageError(
            f"--replicates is {option.replicates!r}; expected a whole number from 1 to 999999"
        )
    _check_memory(option.device, int(option.replicates))
    if hasattr(config, "workerinput"):
        report_dir = Path(config.workerinput[_REPORT_DIR])
    else:
        report_dir = _report_dir(config, option.report_dir, resume=option.resume)
    config.stash[SETTINGS] = Settings(
        scale=scale,
        device=option.device,
        engine=option.engine,
        seeds=tuple(range(int(option.replicates))),
        dataset=option.dataset,
        data_root=_resolved(config, "--data-root", option.data_root or study.data_root),
        timing=option.timing,
        report_dir=report_dir,
        resume=option.resume,
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tells a worker of xdist, which is given the same options, the folder that was chosen."""
    node.workerinput[_REPORT_DIR] = str(node.config.stash[SETTINGS].report_dir)


def _check_memory(device: str, replicates: int) -> None:
    """Refuses more replicates than memory holds, however they are trained."""
    needed = replicates * _REPLICATE_BYTES
    if candidate_devices(device)[0].type == "cuda":
        devices = map(torch.cuda.get_device_properties, candidate_devices(device))
        there = max(each.total_memory for each in devices)
    elif not hasattr(os, "sysconf"):  # on Windows
        return
    else:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise pytest.UsageError(
            f"--replicates is '{replicates}', which takes {needed / 2**30:.3g} GiB of memory at least; "
            f"there are {there / 2**30:.3g} GiB"
        )


def _report_dir(config: pytest.Config, given: str | None, *, resume: bool) -> Path:
    """The folder to write to: the one that was given, or one of the run's own, led to by `latest`."""
    reports = config.stash[SESSION_STUDY].reports
    if given is not None:
        folder = config.invocation_params.dir / _expanded("--report-dir", given)
        if Path(os.path.abspath(folder)) != reports / run_folders.LINK:
            return _resolved(config, "--report-dir", given)
    newest = run_folders.latest(reports) if resume else None
    return newest or run_folders.new(_resolved(config, "--report-dir", reports))


def _resolved(config: pytest.Config, option: str, given: str | Path) -> Path:
    """A given folder is relative to where pytest was called. Links are resolved."""
    folder = config.invocation_params.dir / _expanded(option, given)
    try:
        return folder.resolve()
    except (OSError, RuntimeError):  # too long, or a circle of links: whoever opens it says so
        return folder


def _expanded(option: str, given: str | Path) -> Path:
    try:
        return expanded(given)
    except ValueError as error:
        raise pytest.UsageError(f"{option} is {error}") from None


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise pytest.UsageError(f"{option} is {value!r}; expected {' or '.join(allowed)}")


def _check_device(value: str) -> None:
    try:
        check_device(value, "--device")
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
