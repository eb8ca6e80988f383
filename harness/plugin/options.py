"""The suite's options, checked before anything runs."""

from __future__ import annotations

import argparse
import os
import re
from importlib.util import find_spec
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
from ..session_settings import SESSION_STUDY, SETTINGS, Settings, Shard

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# The least memory of a replicate of the assignment's network: its initial and current parameters in
# float32, and an order of the examples in int64.
_REPLICATE_BYTES = 2 * MLP().parameter_count * 4 + MNIST.examples * 8

_REPORT_DIR = "minibatch_bench_report_dir"  # in a worker's input


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("minibatch-bench", "training a study's experiments")
    # pytest_configure checks the values, not argparse, whose errors begin with several lines of usage.
    group.addoption(
        "--scale",
        default=None,
        metavar="NAME",
        help="How long to train: a scale of the study, such as quick or paper in bench/ (default: the "
        "study's first scale)",
    )
    group.addoption(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda|cuda:N",
        help="Device to train on; auto is CUDA if there is a GPU, else the CPU (default: %(default)s)",
    )
    group.addoption(
        "--engine",
        default="auto",
        metavar="auto|NAME",
        help="Engine that runs the epochs; auto is the first one that agrees with PyTorch's plain loop "
        "on this machine (default: %(default)s)",
    )
    group.addoption(
        "--replicates",
        default="1",
        metavar="N",
        help="Number of replicates: every row is trained with each of the seeds 0 to N-1 (default: "
        "%(default)s)",
    )
    group.addoption(
        "--seeds-until-decided",
        default=None,
        metavar="MAX",
        help="If seeds leave a claim open, train the rows that it compares with more seeds, twice as "
        "many each time, until the claim is decided or they have MAX (default: only those of "
        "--replicates)",
    )
    group.addoption(
        "--dataset",
        default="mnist",
        metavar="|".join(DATASETS),
        help="Data set of the rows that do not name one (default: %(default)s)",
    )
    group.addoption(
        "--data-root",
        default=None,
        metavar="DIR",
        help="Folder of the data sets, to which missing ones are downloaded (default: data)",
    )
    group.addoption(
        "--timing",
        default="exclusive",
        metavar="exclusive|shared",
        help="Whether each training has its cores or GPU to itself; if they are shared, every table and "
        "record is marked as such (default: %(default)s)",
    )
    group.addoption(
        "--report-dir",
        default=None,
        metavar="DIR",
        help="Folder for the tables, records and page (default: a new folder in reports, to which "
        "reports/latest links)",
    )
    group.addoption(
        "--resume",
        action="store_true",
        help="Continue an interrupted run: keep the finished rows in the report folder (default: "
        "reports/latest), and train the others",
    )
    group.addoption(
        "--shard",
        default=None,
        metavar="K/N",
        help="Train only the K-th of N parts of the rows. Every machine makes the same parts, which "
        "take about equally long; `python -m harness merge` makes one report of their reports",
    )
    group.addoption(
        "--cluster",
        default=None,
        metavar="auto|HOST:PORT",
        help="Train the rows on the nodes of a Ray cluster: the one that this machine is in, or the one "
        "at that address",
    )
    group.addoption(
        "--cluster-same",
        action="store_true",
        help="Use only nodes with one model of CPU or GPU: the one with the most cores or GPUs",
    )
    group.addoption(
        "--save-weights",
        action="store_true",
        help="Keep each seed's final network in the report folder, as weights/*.safetensors",
    )
    group.addoption(
        "--tensorboard",
        default=None,
        metavar="DIR",
        help="Also write learning curves and hyperparameters there, for TensorBoard: a folder for each "
        "run, row and seed",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    # CodSpeed's plugin, which is also switched on by its variable, replaces pytest-benchmark's fixture.
    if hasattr(option, "codspeed") and (option.codspeed or "CODSPEED_ENV" in os.environ):
        raise pytest.UsageError(
            "--codspeed replaces pytest-benchmark, which times the trainings; leave it out, and "
            "unset CODSPEED_ENV"
        )
    study = config.stash[SESSION_STUDY]
    scale = study.study.default_scale if option.scale is None else option.scale
    _one_of("--scale", scale, tuple(study.study.scales))
    _one_of("--dataset", option.dataset, (*DATASETS,))
    _one_of("--timing", option.timing, TIMINGS)
    if option.cluster_same and option.cluster is None:
        raise pytest.UsageError("--cluster-same needs --cluster, which names the cluster")
    _check_device(option.device, on_cluster=option.cluster is not None)
    _one_of("--engine", option.engine, ("auto", *(engine.NAME for engine in ENGINES)))
    replicates = _count("--replicates", option.replicates, least=1)
    if option.cluster is None:
        _check_memory("--replicates", option.device, replicates)
    most = _seeds_until_decided(option, replicates)
    shard = _shard(config)
    if option.save_weights:
        _needs("--save-weights", "safetensors")
    if hasattr(config, "workerinput"):
        report_dir = Path(config.workerinput[_REPORT_DIR])
    else:
        report_dir = _report_dir(config, option.report_dir, resume=option.resume)
    config.stash[SETTINGS] = Settings(
        scale=scale,
        device=option.device,
        engine=option.engine,
        seeds=tuple(range(replicates)),
        dataset=option.dataset,
        data_root=_resolved(config, "--data-root", option.data_root or study.data_root),
        timing=option.timing,
        report_dir=report_dir,
        resume=option.resume,
        shard=shard,
        save_weights=option.save_weights,
        tensorboard=_tensorboard(config, option.tensorboard),
        cluster=option.cluster,
        cluster_same=option.cluster_same,
        seeds_until_decided=most,
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Passes the chosen folder to an xdist worker, which has the same options."""
    node.workerinput[_REPORT_DIR] = str(node.config.stash[SETTINGS].report_dir)


def _count(option: str, given: str, least: int) -> int:
    """Returns the whole number that was given; raises UsageError if it is none, or too small."""
    if not re.fullmatch(r"0*[0-9]{1,6}", given) or int(given) < least:
        raise pytest.UsageError(f"{option} is {given!r}; expected a whole number from {least} to 999999")
    return int(given)


def _seeds_until_decided(option: argparse.Namespace, replicates: int) -> int | None:
    given = option.seeds_until_decided
    if given is None:
        return None
    for other in ("cluster", "shard"):
        if getattr(option, other) is not None:
            raise pytest.UsageError(
                f"--seeds-until-decided cannot be combined with --{other}, which trains rows "
                "outside the session that decides the claims; leave one out"
            )
    most = _count("--seeds-until-decided", given, least=replicates + 1)
    _check_memory("--seeds-until-decided", option.device, most)
    return most


def _shard(config: pytest.Config) -> Shard | None:
    given = config.option.shard
    if given is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,2})/([1-9][0-9]{0,2})", given)
    if not found or int(found[1]) > int(found[2]):
        raise pytest.UsageError(f"--shard is {given!r}; expected K/N, such as 2/4, with K from 1 to N")
    for option, name in (("--lf", "lf"), ("--sw", "stepwise")):
        if config.getoption(name, False):
            raise pytest.UsageError(
                f"--shard cannot be combined with {option}, which selects rows by what ran on this "
                "machine; leave one out"
            )
    return Shard(int(found[1]), int(found[2]))


def _needs(option: str, package: str) -> None:
    if not find_spec(package):
        raise pytest.UsageError(
            f"{option} needs {package}, which is not installed; `pip install {package}` installs it"
        )


def _tensorboard(config: pytest.Config, given: str | None) -> Path | None:
    if given is None:
        return None
    _needs("--tensorboard", "tensorboard")
    if not given:
        raise pytest.UsageError("--tensorboard is ''; expected a folder")
    folder = _resolved(config, "--tensorboard", given)
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        why = "cannot be written" if nearest.is_dir() else "is not a folder"
        raise pytest.UsageError(f"--tensorboard is {given!r}, but {nearest} {why}; expected a folder")
    return folder


def _check_memory(option: str, device: str, replicates: int) -> None:
    """Raises UsageError for more replicates than fit into memory, however they are trained."""
    needed = replicates * _REPLICATE_BYTES
    if candidate_devices(device)[0].type == "cuda":
        devices = map(torch.cuda.get_device_properties, candidate_devices(device))
        memory = max(each.total_memory for each in devices)
    elif not hasattr(os, "sysconf"):  # on Windows
        return
    else:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise pytest.UsageError(
            f"{option} is '{replicates}', which needs at least {needed / 2**30:.3g} GiB of memory, "
            f"and there are {memory / 2**30:.3g} GiB; expected at most {memory // _REPLICATE_BYTES}"
        )


def _report_dir(config: pytest.Config, given: str | None, *, resume: bool) -> Path:
    """Returns the folder to write to: the given one, the newest run's to resume it, or a new one."""
    reports = config.stash[SESSION_STUDY].reports
    if given is not None:
        folder = config.invocation_params.dir / _expanded("--report-dir", given)
        if Path(os.path.abspath(folder)) != reports / run_folders.LINK:
            return _resolved(config, "--report-dir", given)
    newest = run_folders.latest(reports) if resume else None
    return newest or run_folders.new(_resolved(config, "--report-dir", reports))


def _resolved(config: pytest.Config, option: str, given: str | Path) -> Path:
    """Returns the folder, relative to where pytest was called, with links resolved."""
    folder = config.invocation_params.dir / _expanded(option, given)
    try:
        return folder.resolve()
    except (OSError, RuntimeError):  # too long, or a loop of links: opening it reports the error
        return folder


def _expanded(option: str, given: str | Path) -> Path:
    try:
        return expanded(given)
    except ValueError as error:
        raise pytest.UsageError(f"{option} is {error}") from None


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        *others, last = allowed
        expected = f"{', '.join(others)} or {last}" if others else last
        raise pytest.UsageError(f"{option} is {value!r}; expected {expected}")


def _check_device(value: str, *, on_cluster: bool) -> None:
    if on_cluster and value == "cuda":  # which the nodes have
        return
    if on_cluster and value not in ("auto", "cpu"):
        raise pytest.UsageError(f"--device is {value!r}; expected auto, cpu or cuda with --cluster")
    try:
        check_device(value, "--device")
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
