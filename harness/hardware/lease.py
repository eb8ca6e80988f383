"""Leases: exclusive use of a GPU, or of CPU cores, during a training.

A lease locks a file (see `lock_file`) for each GPU or core. All processes of this user on this machine
share these files, whichever session and checkout they belong to. The operating system releases the locks
of a process when it dies.

Deadlock is impossible. A process that holds a lease waits for no other lock, so every lease ends. Of the
processes that wait, only the one that holds the turnstile lock collects resource locks, so no two can
each hold what the other one wants. It releases the turnstile as soon as it has its resources.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import Timeout

from model.environment import available_cores
from model.phases import phase

from .lock_file import Holder, holders, lock, lock_folder

if TYPE_CHECKING:
    import torch

_Resource = TypeVar("_Resource")

_POLL_SECONDS = 0.01  # between two attempts to lock a resource
_PATIENCE_SECONDS = 10  # of waiting, before it is reported


def _this_process() -> Holder:
    return Holder(os.getpid(), shlex.join(sys.argv))


def _print(line: str, by_others: bool) -> None:
    if by_others:
        print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Applicant:
    """The session that asks for a lease."""

    session: Holder = field(default_factory=_this_process)
    tell: Callable[[str, bool], None] = _print
    """Called after 10 s of waiting with a line that names the resource and its holders, and whether
    these are another session; called with "" and False when the wait ends."""


@contextmanager
def lease(
    candidates: list[torch.device], cores: int, applicant: Applicant | None = None
) -> Iterator[torch.device]:
    """Holds one of the devices `candidates` and yields it: a GPU, or the CPU with `cores` of its cores.

    Raises LockError if locks cannot be held.
    """
    if candidates[0].type == "cuda":
        with lease_gpu(candidates, applicant) as device:
            yield device
    else:
        with lease_cores(cores, applicant):
            yield candidates[0]


@contextmanager
def lease_cores(count: int, applicant: Applicant | None = None) -> Iterator[None]:
    """Holds any `count` of the cores that this process may use, and pins it to them.

    PyTorch's thread count is set to `count`; afterwards, both are restored. On a system that cannot pin
    (macOS), only the lease and the thread count keep trainings apart.
    """
    cores = available_cores()
    with hold_cores(count, applicant) as held:
        # If PyTorch is imported only later, its thread count is the number of pinned cores.
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
def hold_cores(count: int, applicant: Applicant | None = None) -> Iterator[list[int]]:
    """Holds any `count` of the cores that this process may use, and yields their numbers.

    Nothing is pinned: the holder's child processes pin themselves.
    """
    cores = available_cores()
    names = {f"core-{core}": core for core in cores}
    count = min(count, len(cores))
    what = f"{count} of {len(cores)} cores" if len(cores) > 1 else "the core"
    with _locked(names, count, what, applicant) as held:
        yield held


@contextmanager
def lease_gpu(devices: list[torch.device], applicant: Applicant | None = None) -> Iterator[torch.device]:
    """Holds any one of the GPUs `devices` and yields it."""
    import torch

    names = {f"gpu-{torch.cuda.get_device_properties(device).uuid}": device for device in devices}
    with _locked(names, 1, "a GPU", applicant) as (device,):
        yield device


def _pin(cores: list[int]) -> None:
    """Pins all threads of this process to `cores`; new threads inherit it."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # the thread has ended
            os.sched_setaffinity(int(thread), cores)


@contextmanager
def _locked(
    resources: Mapping[str, _Resource], count: int, what: str, applicant: Applicant | None
) -> Iterator[list[_Resource]]:
    """Locks any `count` of `resources`, which maps lock names to values; yields the values.

    `what` is the user's name for them.
    """
    folder, applicant = lock_folder(), applicant or Applicant()
    with ExitStack() as locks:
        held: list[_Resource] = []
        with (
            phase("waiting"),
            _reported(what, [*resources], folder, applicant),
            lock(folder / "turnstile.lock", applicant.session),
        ):
            while len(held) < count:
                for name, resource in resources.items():
                    if len(held) < count and resource not in held:
                        try:
                            path = folder / f"{name}.lock"
                            locks.enter_context(lock(path, applicant.session, wait=False))
                        except Timeout:
                            continue
                        held.append(resource)
                if len(held) < count:
                    time.sleep(_POLL_SECONDS)
        yield held


@contextmanager
def _reported(what: str, names: list[str], folder: Path, applicant: Applicant) -> Iterator[None]:
    """Tells the applicant what it waits for if the block takes long."""
    told = threading.Event()

    def tell() -> None:
        told.set()
        found = holders(folder, names)
        others = [str(holder) for holder in found if holder != applicant.session]
        ours = ["other rows of this session"] if len(others) < len(found) else []
        by = "; ".join(others + ours) or "an unknown process"
        applicant.tell(f"waiting for {what}, held by {by}", bool(others or not ours))

    timer = threading.Timer(_PATIENCE_SECONDS, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if told.is_set():
        timer.join()
        applicant.tell("", False)
