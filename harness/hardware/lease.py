"""Leases: exclusive use of a GPU, or of CPU cores, for the time of a training.

A lease is a lock on a file, one per GPU and one per core, that all processes of this user on this
machine share, whichever session and checkout they belong to. The operating system releases the
locks of a process when it dies.

Deadlock is impossible. A process that holds a lease waits for no other lock, so every lease ends. Of
the processes that wait, only the one that holds the turnstile lock collects resource locks, so no two
can each hold what the other one wants. It releases the turnstile as soon as it has its resources.
"""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout

from model.environment import available_cores

if TYPE_CHECKING:
    import torch

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

_Resource = TypeVar("_Resource")

_POLL_SECONDS = 0.01  # between two attempts to lock a resource


def lease_folder() -> Path:
    """The folder of this user's lock files: outside any checkout, since all checkouts share it."""
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
    """Holds any `count` of the cores that this process may use, and pins it to them.

    PyTorch's threads are set to as many, and everything is as before afterwards. Where the
    system cannot pin (macOS), the lease and the thread count alone keep trainings apart.
    """
    cores = available_cores()
    with hold_cores(count) as held:
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
def hold_cores(count: int) -> Iterator[list[int]]:
    """Holds any `count` of the cores that this process may use, and yields their numbers.

    Nothing is pinned: processes that the holder has started pin themselves.
    """
    cores = available_cores()
    with _locked({f"core-{core}": core for core in cores}, min(count, len(cores))) as held:
        yield held


@contextmanager
def lease_gpu(devices: list[torch.device]) -> Iterator[torch.device]:
    """Holds any one of the GPUs `devices` and yields it."""
    import torch

    names = {f"gpu-{torch.cuda.get_device_properties(device).uuid}": device for device in devices}
    with _locked(names, 1) as (device,):
        yield device


def _pin(cores: list[int]) -> None:
    """Pins all threads of this process to `cores`; new threads inherit that."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # the thread has ended
            os.sched_setaffinity(int(thread), cores)


@contextmanager
def _fifo_lock(path: Path) -> Iterator[None]:
    """Holds a lock on a file; waiters get it first come, first served.

    `FileLock` looks every now and then whether a lock is free. A worker that has just ended
    a training and begins the next would always be faster than those that have waited for
    minutes; the system's own queue is fair.
    """
    if fcntl is None:
        with FileLock(path):
            yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed or the process dies
        yield


@contextmanager
def _locked(resources: Mapping[str, _Resource], count: int) -> Iterator[list[_Resource]]:
    """Locks any `count` of `resources`, which map lock names to values; yields the values."""
    folder = lease_folder()
    with ExitStack() as locks:
        held: list[_Resource] = []
        with _fifo_lock(folder / "turnstile.lock"):
            while len(held) < count:
                for name, resource in resources.items():
                    if len(held) < count and resource not in held:
                        try:
                            locks.enter_context(FileLock(folder / f"{name}.lock", timeout=0))
                        except Timeout:
                            continue
                        held.append(resource)
                if len(held) < count:
                    time.sleep(_POLL_SECONDS)
        yield held
