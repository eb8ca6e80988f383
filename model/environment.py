"""What a time or a last digit depends on besides the experiment: hardware, versions, code."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import tracemalloc
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def available_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def device_name(device: torch.device) -> str:
    """The model name of the GPU or CPU."""
    if device.type != "cuda":
        return cpu_model()
    import torch  # here, as whoever only leases cores does without it

    return torch.cuda.get_device_name(device)


def cpu_model() -> str:
    """The processor's model name."""
    try:
        names = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = None
    return names[1].strip() if names else platform.processor() or platform.machine()


def version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# Environment variables that alter the code that libraries run, or its speed: by prefix, and by name.
_ALTERING = (
    "NUMBA_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "DNNL_",
    "ONEDNN_",
    "CUBLAS",
    "CUDNN_",
    "PYTORCH_",
)
_ALTERING_TOO = (
    "ATEN_CPU_CAPABILITY",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "LD_PRELOAD",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
_NOT_ALTERING = ("NUMBA_CACHE_DIR", "NUMBA_DEBUG_CACHE")


def library_settings() -> dict[str, str]:
    """Returns the environment variables that alter what Numba, OpenMP, MKL or CUDA run, or how fast."""
    return {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(_ALTERING) or name in _ALTERING_TOO) and name not in _NOT_ALTERING
    }


def is_traced() -> bool:
    """Returns whether a debugger, profiler or coverage tool slows this process's Python code down."""
    tools = getattr(sys, "monitoring", None)  # from Python 3.12 on
    return bool(
        sys.gettrace()
        or sys.getprofile()
        or tracemalloc.is_tracing()
        or (tools and any(tools.get_tool(number) for number in range(6)))
    )


def code_digest(folders: list[Path]) -> str:
    """The first 12 digits of a SHA-256 over the names and contents of all source files in `folders`."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cu")):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
