"""Hardware and software versions of a run, which a comparison of two runs needs."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from model.environment import available_cores, cpu_model, device_name, version

from .. import processes
from ..session_settings import CLUSTER_MACHINE, KEPT_RUN, SETTINGS


def check_device(given: str, what: str = "the device") -> None:
    """Raises ValueError, with one line that begins with `what`, unless `given` names a device here."""
    if given in ("auto", "cpu"):
        return
    if not re.fullmatch(r"cuda(:(0|[1-9][0-9]{0,2}))?", given):
        raise ValueError(f"{what} is {given!r}; expected auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count()
    if count == 0:
        raise ValueError(
            f"{what} is {given!r}, but PyTorch {torch.__version__} sees no GPU here; "
            "expected auto or cpu"
        )
    if ":" in given and int(given.partition(":")[2]) >= count:
        highest = f" to cuda:{count - 1}" if count > 1 else ""
        raise ValueError(f"{what} is {given!r}; expected cuda:0{highest}")


def candidate_devices(name: str) -> list[torch.device]:
    """Returns the devices that `--device name` allows; a training takes any one of them."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [torch.device(name)]


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Returns hardware and software versions of a run on `device`."""
    on_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "device_name": device_name(device),
        "cpu": cpu_model(),
        "cores": len(available_cores()),
        "gpus": torch.cuda.device_count() if on_gpu else 0,
        "driver": _driver() if on_gpu else None,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in ("torch", "torchvision", "numpy", "numba")},
    }


def machine_of(config: pytest.Config) -> dict[str, Any]:
    """Returns the machine of the session's trainings: this one, a cluster's nodes, or a kept run's."""
    if KEPT_RUN in config.stash:
        return {**config.stash[KEPT_RUN].machine}
    if CLUSTER_MACHINE in config.stash:
        return config.stash[CLUSTER_MACHINE]
    return describe_machine(candidate_devices(config.stash[SETTINGS].device)[0])


def git_commit(folder: Path) -> str | None:
    """Returns the checkout's commit, with "-dirty" if tracked files were changed; None without git."""
    command = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        return processes.git(folder, *command, timeout=10) or None
    except ValueError:
        return None


def _driver() -> str | None:
    try:
        version = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", version)
    return found[1] if found else None
