"""`make chaos`: sessions with a fault at a random time, then `--resume`, against an undisturbed session.

    make chaos                     # five times each of 13 faults, about 20 minutes on two cores
    make chaos ARGS="--each 1"

Every session is `pytest bench/ -n 2` of a small suite that really trains. After a fault and --resume,
every training must equal the undisturbed one to the last digit, other files must be unchanged, and no
process may remain. The results are written to docs/chaos.json and docs/failures.md. The exit status is
1 if any of this failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from harness.files.record import TrainingRecord, read_record
from harness.hardware.machine import describe_machine
from harness.paths import ROOT
from tests.processes import Session, end, members

from .faults import DISK_IS_FULL, FAULTS, mend
from .suite import ROWS, make, untouched
from .table import JSON, write_document

_ARGS = ("bench/", "-n", "2", "--engine", "numba", "--device", "cpu", "-p", "no:cacheprovider")
_PATIENCE = 240.0  # seconds for a session to end
_AFTER = 10.0  # seconds for its processes to be gone


@dataclass
class Trial:
    """A fault, and its outcome."""

    fault: str
    after: float
    """Seconds into the session."""
    exit: int | None = None
    """The exit status of the session that it hit, negative for a signal; None if it hung."""
    kept: int = 0
    """The number of finished trainings, which were resumed."""
    resumed: int | None = None
    """The exit status of `--resume`."""
    equal: bool = False
    """Whether every training equals the undisturbed one."""
    untouched: bool = False
    left_running: int = 0
    traceback: bool = False

    @property
    def holds(self) -> bool:
        return (
            self.exit is not None
            and self.resumed == 0
            and self.equal
            and self.untouched
            and not self.left_running
            and not self.traceback
        )


def run(folder: Path, *args: str) -> int | None:
    """Runs a session in `folder`; returns its exit status."""
    session = Session([*_ARGS, *args], folder, folder / "output.txt")
    status = session.wait(_PATIENCE)
    end(session.pid)
    return status


def trainings(folder: Path) -> dict[str, Any]:
    """Returns the trainings by case, without their times."""
    records = map(read_record, (folder / "reports" / "latest" / "runs").glob("*.json"))
    return {
        record.id: record.model_dump(exclude={"seconds", "prepare_seconds", "epoch_seconds"})
        for record in records
        if isinstance(record, TrainingRecord)
    }


def attempt(fault: str, seconds: float, expected: dict[str, Any], folder: Path) -> Trial | None:
    """Causes `fault` in a session at a random time within `seconds`; None if it had already ended."""
    trial = Trial(fault, round(random.uniform(0.2, seconds), 2))
    (folder / "reports").mkdir(parents=True)
    mounted = _mount(folder / "reports")
    make(folder)
    try:
        session = Session(_ARGS, folder, folder / "output.txt")
        if session.wait(trial.after) is not None:
            return None
        FAULTS[fault](session.pid, folder)
        trial.exit = session.wait(_PATIENCE)
        deadline = time.monotonic() + _AFTER
        while members(session.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        trial.left_running = len(members(session.pid))
        end(session.pid)
        output = (folder / "output.txt").read_text(errors="replace")
        trial.traceback = "Traceback" in output or "INTERNALERROR" in output
        mend(folder)
        with suppress(OSError):
            trial.kept = len(trainings(folder))
        trial.resumed = run(folder, "--resume")
        with suppress(OSError):
            trial.equal = trainings(folder) == expected
        trial.untouched = untouched(folder)
        if not trial.holds:
            print(output, (folder / "output.txt").read_text(errors="replace"), sep="\n")
    finally:
        if mounted:
            subprocess.run(["umount", folder / "reports"], check=True)
    return trial


def _mount(folder: Path) -> bool:
    """Mounts a disk of 16 MiB, which can be filled; returns whether that was possible."""
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--each", type=int, default=5, metavar="N", help="trials of each fault (default: 5)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random times (default: 0)")
    options = parser.parse_args()
    random.seed(options.seed)
    torch.set_num_threads(1)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, too
    with tempfile.TemporaryDirectory() as temporary:
        runtime = Path(temporary, "runtime")
        runtime.mkdir(mode=0o700)
        os.environ |= {"XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        undisturbed = Path(temporary, "undisturbed")
        make(undisturbed)
        for _ in range(2):  # the first may have to compile
            started = time.monotonic()
            assert run(undisturbed) == 0, (undisturbed / "output.txt").read_text()
        seconds = time.monotonic() - started
        expected = trainings(undisturbed)
        assert len(expected) == ROWS
        print(f"undisturbed: {seconds:.1f} s", flush=True)
        trials = []
        disk = Path(temporary, "disk")
        disk.mkdir()
        faults = [*FAULTS]
        if _mount(disk):
            subprocess.run(["umount", disk], check=True)
        else:
            faults.remove(DISK_IS_FULL)
            print(f"no disk can be mounted here, so {DISK_IS_FULL!r} is left out", flush=True)
        for fault in faults * options.each:
            trial = None
            while trial is None:
                with tempfile.TemporaryDirectory(dir=temporary) as folder:
                    trial = attempt(fault, seconds, expected, Path(folder, "suite"))
            trials.append(trial)
            print(f"{'ok' if trial.holds else 'FAILED'} {trial}", flush=True)
    found = {
        "machine": describe_machine(torch.device("cpu")),
        "seconds": round(seconds, 1),
        "rows": ROWS,
        "trials": [{**asdict(trial), "holds": trial.holds} for trial in trials],
    }
    JSON.write_text(json.dumps(found, indent=1) + "\n")
    write_document()
    return 0 if all(trial.holds for trial in trials) else 1


if __name__ == "__main__":
    sys.exit(main())
