"""What times and last digits depend on besides the experiment: hardware, versions, code."""

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
    """Returns the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def device_name(device: torch.device) -> str:
    """Returns the model name of the GPU or CPU."""
    if device.type != "cuda":
        return cpu_model()
    import torch  # here, as leasing cores does not need it

    return torch.cuda.get_device_name(device)


def cpu_model() -> str:
    """Returns the processor's model name."""
    try:
        names = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = None
    return names[1].strip() if names else platform.processor() or platform.machine()


def version(package: str) -> str | None:
    """Returns the installed version of a distribution; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# Environment variables that affect which code libraries run, or its speed: by prefix, and by name.
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
    """Returns the environment variables that affect what Numba, OpenMP, MKL or CUDA run, or how fast."""
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


def code_digest(sources: list[Path]) -> str:
    """Returns the first 12 digits of a SHA-256 over the names and contents of source files.

    `sources` are files, and folders that are searched recursively. Only regular files count. Hidden ones
    are ignored (an editor's lock, for example, is a dangling link that exists while a file is being
    edited), and so are virtual environments.
    """
    digest = hashlib.sha256()
    for source in sources:
        for path in _files(source) if source.is_dir() else [source]:
            if path.suffix in (".py", ".cu") and not path.name.startswith(".") and path.is_file():
                name = path.relative_to(source).as_posix() if path != source else path.name
                digest.update(os.fsencode(f"{name}\0") + _bytes(path))
    return digest.hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    """Returns the sorted paths in a folder, without those in hidden folders and virtual environments."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            each
            for each in folders
            if not each.startswith(".") and not Path(parent, each, "pyvenv.cfg").exists()
        ]
        found += (Path(parent, each) for each in (*folders, *files))
    return sorted(found)


def _bytes(path: Path) -> bytes:
    """Returns the file's content; nothing if it cannot be read, as Python cannot import it either."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
