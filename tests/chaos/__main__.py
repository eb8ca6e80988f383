"""`make chaos`: sessions with a fault at a random time, then `--resume`, beside an undisturbed session.

    make chaos                     # five times each of 13 faults, some 20 minutes on two cores
    make chaos ARGS="--each 1"

Every session is `pytest bench/ -n 2` of a small suite that really trains. After a fault and --resume,
every training must be what it is undisturbed, to the last digit; files of somebody else must be as they
were; and no process may be left. What came of it goes to docs/chaos.json and docs/failures.md. Exit
status 1 where one of it did not hold.
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

from .faults import FAULTS, mend
from .suite import ROWS, make, untouched
from .table import JSON, write_document

_ARGS = ("bench/", "-n", "2", "--engine", "numba", "--device", "cpu", "-p", "no:cacheprovider")
_PATIENCE = 240.0  # seconds for a session to end
_AFTER = 10.0  # seconds for its processes to be gone


@dataclass
class Trial:
    """A fault, and what came of it."""

    fault: str
    after: float
    """Seconds into the session."""
    exit: int | None = None
    """The exit status of the session that it hit, negative for a signal; None where it hung."""
    kept: int = 0
    """Trainings that had finished, and were resumed."""
    resumed: int | None = None
    """The exit status of `--resume`."""
    equal: bool = False
    """Whether every training is what it is undisturbed."""
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
    """The exit status of a session in `folder`."""
    session = Session([*_ARGS, *args], folder, folder / "output.txt")
    status = session.wait(_PATIENCE)
    end(session.pid)
    return status


def trainings(folder: Path) -> dict[str, Any]:
    """What was trained, by case, without its times."""
    records = map(read_record, (folder / "reports" / "latest" / "runs").glob("*.json"))
    return {
        record.id: record.model_dump(exclude={"seconds", "prepare_seconds", "epoch_seconds"})
        for record in records
        if isinstance(record, TrainingRecord)
    }


def attempt(fault: str, seconds: float, expected: dict[str, Any], folder: Path) -> Trial | None:
    """Does `fault` to a session at a random time within so many seconds; None if it ended before."""
    trial = Trial(fault, round(random.uniform(0.2, seconds), 2))
    make(folder)
    if mounted := _mount(folder / "reports"):
        make_again(folder)
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
        said = (folder / "output.txt").read_text(errors="replace")
        trial.traceback = "Traceback" in said or "INTERNALERROR" in said
        mend(folder)
        with suppress(OSError):
            trial.kept = len(trainings(folder))
        trial.resumed = run(folder, "--resume")
        with suppress(OSError):
            trial.equal = trainings(folder) == expected
        trial.untouched = untouched(folder)
        if not trial.holds:
            print(said, (folder / "output.txt").read_text(errors="replace"), sep="\n")
    finally:
        if mounted:
            subprocess.run(["umount", folder / "reports"], check=True)
    return trial


def _mount(folder: Path) -> bool:
    """A disk of its own of 16 MiB, which can be full."""
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def make_again(folder: Path) -> None:
    """The files of somebody else on the new disk."""
    (folder / "reports" / "latest.backup" / "runs").mkdir(parents=True)
    (folder / "reports" / "latest.backup" / "runs" / "a.json").write_text("{}")
    (folder / "reports" / "thesis.txt").write_text("irreplaceable")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--each", type=int, default=5, metavar="N", help="times of each fault")
    parser.add_argument("--seed", type=int, default=0, help="of the random times")
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
        for fault in [*FAULTS] * options.each:
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
