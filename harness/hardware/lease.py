"""Leases: a training has the GPU, or the CPU cores, that it uses to itself.

A lease is a lock on a file, one per GPU and one per core, that every process of this user
on this machine looks at, whichever session and checkout it belongs to. The operating system
releases the locks of a process that dies, however it dies.

Deadlock is impossible: a process that holds a lease waits for no other lock (a training
needs nothing but its lease), so every lease ends; and of the processes that wait, one at a
time collects its locks, behind the turnstile lock, so that no two can each hold what the
other one wants. The order is fixed too: turnstile first, resources second, and the
turnstile is left as soon as the resources are held.
"""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import torch

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_POLL = 0.01  # seconds between two looks at what is free


def lease_folder() -> Path:
    """Where this user's lock files are: outside any checkout, since checkouts share the machine."""
    folder = Path(tempfile.gettempdir(), f"minibatch-bench-leases-{getpass.getuser()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def lease(candidates: list[torch.device], cores: int) -> Iterator[torch.device]:
    """Holds one of the devices `candidates` and yields it: a GPU, or `cores` cores of the CPU."""
    if candidates[0].type == "cuda":
        with lease_gpu(candidates) as device:
            yield device
    else:
        with lease_cores(cores):
            yield candidates[0]


@contextmanager
def lease_cores(count: int) -> Iterator[None]:
    """Holds any `count` of the cores that this process may run on, pinned to them.

    PyTorch's threads are set to as many, and everything is as before afterwards. Where the
    system cannot pin (macOS), the lease and the thread count alone keep trainings apart.
    """
    cores = available_cores()
    with _held({f"core-{core}": core for core in cores}, min(count, len(cores))) as held:
        # A process that has not imported PyTorch has no threads of it; those of one that imports
        # it now are as many as the cores that it is pinned to.
        torch = sys.modules.get("torch")
        threads = torch and torch.get_num_threads()
        _pin(held)
        if torch:
            torch.set_num_threads(len(held))
        try:
            yield
        finally:
            _pin(cores)
            if torch:
                torch.set_num_threads(threads)


@contextmanager
def lease_gpu(devices: list[torch.device]) -> Iterator[torch.device]:
    """Holds any one of the GPUs `devices` and yields it."""
    import torch

    names = {f"gpu-{torch.cuda.get_device_properties(device).uuid}": device for device in devices}
    with _held(names, 1) as (device,):
        yield device


def available_cores() -> list[int]:
    """The cores that this process may run on, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _pin(cores: list[int]) -> None:
    """Moves all threads of this process to `cores`; new ones inherit it."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(thread), cores)


@contextmanager
def _queue(path: Path) -> Iterator[None]:
    """Holds the lock of a file; who waits for it longer comes first.

    `FileLock` looks every now and then whether a lock is free. A worker that has just ended
    a training and begins the next would always be faster than those that have waited for
    minutes; the system's own queue is fair.
    """
    if fcntl is None:
        with FileLock(path):
            yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given up when the file is closed, or the process dies
        yield


@contextmanager
def _held(resources: dict[str, object], count: int) -> Iterator[list]:
    """Holds the locks of any `count` of `resources` and yields these resources' values."""
    folder = lease_folder()
    with ExitStack() as locks:
        held = []
        with _queue(folder / "turnstile.lock"):
            while len(held) < count:
                for name, resource in resources.items():
                    if len(held) < count and resource not in held:
                        try:
                            locks.enter_context(FileLock(folder / f"{name}.lock", timeout=0))
                        except Timeout:
                            continue
                        held.append(resource)
                if len(held) < count:
                    time.sleep(_POLL)
        yield held
