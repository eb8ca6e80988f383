"""Hardware and software versions of a run: what a comparison of two runs has to know."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import torch

from model.environment import available_cores, cpu_model, device_name, version


def candidate_devices(name: str) -> list[torch.device]:
    """The devices that `--device name` allows; a training takes any one of them."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [torch.device(name)]


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Hardware and software versions of a run on `device`."""
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


def git_commit(folder: Path) -> str | None:
    """The checkout's commit, with "-dirty" if tracked files were changed; None without git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _driver() -> str | None:
    try:
        version = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", version)
    return found[1] if found else None
