"""What runs on a node: a look at the node, the proofs of its engines, and the training of a block.

Imports PyTorch only inside functions: Ray starts a process with OMP_NUM_THREADS set to a task's cores,
and OpenMP reads it when PyTorch is imported. A lease limits the threads instead, as without a cluster.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from model.data.mnist import Data

    from ..hardware.lease import Applicant
    from .board import BlockName


@dataclass(frozen=True)
class Job:
    """A row, and how to train it: everything that a node needs besides the data."""

    pickled: bytes
    """The experiment, its exercise's observers, and the study's classes that it names."""
    dataset: int
    """The index of its data set among those that are passed."""
    engine: str
    exclusive: bool
    device: str
    """cpu or cuda."""
    torch: str
    """The version without its build."""
    keep_parameters: bool = False


def look(device: str) -> dict[str, Any]:
    """Returns what must be known of a node before it trains; "lacks" names what it cannot import."""
    _as_without_ray()
    found: dict[str, Any] = {"host": platform.node()}
    try:
        import psutil
        import torch

        from model.environment import code_digest, version

        from ..hardware.machine import candidate_devices, describe_machine
        from ..paths import ROOT

        found |= {
            "machine": describe_machine(candidate_devices(device)[0]) if _has(device) else None,
            "memory": psutil.virtual_memory().total,
            "torch": public(version("torch") or torch.__version__),
            "code": code_digest([ROOT / "model", ROOT / "harness"]),
        }
    except ImportError as error:
        found["lacks"] = str(error)
    return found


def choose(
    jobs: Sequence[Job], cores: int, digests: Sequence[str], *data: Sequence[Any]
) -> list[dict[str, Any]]:
    """Returns the engine that this node takes for each job, after it has proved itself, or "error".

    `cores` is how many of the node's a training may use; `data` are the data sets' arrays as the driver
    has them, and `digests` theirs.
    """
    _as_without_ray()
    from model.engines import EngineError, choose_engine, left_out, prove_engines, unproven

    found: list[dict[str, Any]] = []
    for job in jobs:
        try:
            experiment, _ = _unpickled(job)
            # One lease for the proof and the choice: a proof holds for as many cores as it had.
            with _leased(job, cores) as device:
                arrived = _arrived(experiment.dataset, data[job.dataset], digests[job.dataset], device)
                if job.engine == "auto" and unproven(experiment, device):
                    prove_engines(experiment, arrived)
                engine = choose_engine(job.engine, experiment, device)
                reasons = left_out(experiment, device) if job.engine == "auto" else {}
        except (ImportError, EngineError, _DamagedError) as error:
            found.append({"error": str(error)})
        else:
            found.append({"engine": engine.NAME, "left_out": reasons})
    return found


def train_block(
    job: Job,
    seeds: tuple[int, ...],
    cores: int,
    name: BlockName,
    attempt: int,
    board: Any,
    digest: str,
    arrays: Sequence[Any],
) -> dict[str, Any]:
    """Trains a block of a row's seeds on that many cores, or on a GPU.

    Returns its part of the record, its final parameters, and where it ran; or "error" and where. `name`
    is the block's on the `board`, and `attempt` counts its attempts from 1; `arrays` are the data
    set's, and `digest` theirs.
    """
    _as_without_ray()
    import ray

    from .board import Reporter

    host, reporter = platform.node(), Reporter(board, name)
    here = ray.get_runtime_context().get_node_id()
    begun_seconds = ray.get(board.begin.remote(name, attempt, here, host))
    started = time.monotonic()
    try:
        found = _trained(job, seeds, cores, reporter, digest, arrays)
        return found | {
            "host": host,
            "begun_seconds": begun_seconds,
            "busy_seconds": time.monotonic() - started,
        }
    finally:
        reporter.end()


def _trained(
    job: Job, seeds: tuple[int, ...], cores: int, reporter: Any, digest: str, arrays: Sequence[Any]
) -> dict[str, Any]:
    import torch

    from model.engines import EngineError
    from model.environment import device_name, version
    from model.schedule import ScheduleError

    from ..exercise import Published
    from ..hardware.lease import Applicant
    from ..hardware.lock_file import Holder, LockError
    from ..results.records import to_record
    from ..results.training import train_evenly

    if (theirs := public(version("torch") or "")) != job.torch:  # on a node that joined later
        return {"error": f"it has torch {theirs}; expected {job.torch}, as in this session"}
    applicant = Applicant(Holder(os.getpid(), "a task of a Ray cluster"), reporter.waiting)
    try:
        experiment, observers = _unpickled(job)
        with _leased(job, cores, applicant) as device:
            training, parameters = train_evenly(
                experiment,
                _arrived(experiment.dataset, arrays, digest, device),
                seeds=seeds,
                engine=job.engine,
                observers=observers,
                exclusive=job.exclusive,
                keep_parameters=job.keep_parameters,
                after_epoch=reporter.after_epoch,
            )
            threads = torch.get_num_threads()
    except (ImportError, EngineError, LockError, ScheduleError, _DamagedError) as error:
        return {"error": str(error)}
    except torch.OutOfMemoryError as error:
        return {"error": f"{str(error).splitlines()[0].rstrip('.')}; reduce --replicates"}
    return {
        "record": to_record(training, threads=threads, left_out={}, published=Published()),
        "parameters": [each.cpu().numpy() for each in parameters],
        "device_name": device_name(torch.device(training.device)),
    }


def public(version: str) -> str:
    """Returns a version without its build: 2.13.0 for 2.13.0+cpu."""
    return version.partition("+")[0]


def digest_of(arrays: Sequence[Any]) -> str:
    """Returns a digest of NumPy arrays: their shapes, types and contents."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for each in arrays:
        digest.update(f"{each.shape} {each.dtype}".encode())
        digest.update(each.data)
    return digest.hexdigest()


class _DamagedError(ValueError):
    """Data that arrived with another digest."""


def _as_without_ray() -> None:
    """Undoes what Ray sets for its processes: a number of threads, and a low priority.

    Only some users may raise a priority; for others a node is started with RAY_worker_niceness=0.
    """
    os.environ.pop("OMP_NUM_THREADS", None)
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def _has(device: str) -> bool:
    import torch

    return device == "cpu" or torch.cuda.is_available()


def _leased(
    job: Job, cores: int, applicant: Applicant | None = None
) -> AbstractContextManager[torch.device]:
    from ..hardware.lease import lease
    from ..hardware.machine import candidate_devices

    devices = candidate_devices(job.device)
    return lease(devices, cores, applicant) if job.exclusive else nullcontext(devices[0])


def _unpickled(job: Job) -> tuple[Any, Any]:
    import pickle

    from model import by_name

    experiment, observers, named = pickle.loads(job.pickled)
    by_name.keep(named)
    return experiment, observers


# The data that this process has trained on last, by digest and device.
_data: dict[tuple[str, str], Data] = {}


def _arrived(dataset: Any, arrays: Sequence[Any], digest: str, device: torch.device) -> Data:
    """Returns the data of arrays that have come from the driver, once a process."""
    import torch

    from model.data.mnist import Data

    key = (digest, str(device))
    if key not in _data:
        if digest_of(arrays) != digest:
            raise _DamagedError(f"the data of {dataset} arrived damaged; run again with --resume")
        _data.clear()
        # Copies, since arrays of the object store cannot be written to.
        _data[key] = Data(dataset, *(torch.from_numpy(each.copy()).to(device) for each in arrays))
    return _data[key]
