"""Rows trained once more, in a new process: what one process was unlucky with, the next may not be."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..settings import Settings
from .baselines import BaselineError, Cases, read

# As this session's may hold its gates, which a training has none of.
_NOT_INHERITED = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS")


class RetrainingError(RuntimeError):
    """The rows could not be trained again; the message says why, in one line."""


def retrain(cases: Collection[str], settings: Settings, root: Path) -> Cases:
    """Trains the rows with these node ids under `settings`, one after the other, in one new process."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "saved.json")
        command = [
            sys.executable,
            "-m",
            "pytest",
            *cases,
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "addopts=",
        ]
        command += [f"--rootdir={root}", f"--benchmark-json={saved}", f"--report-dir={folder}/report"]
        command += [f"--scale={settings.scale}", f"--device={settings.device}"]
        command += [f"--engine={settings.engine}", f"--replicates={len(settings.seeds)}"]
        command += [f"--dataset={settings.dataset}", f"--data-root={settings.data_root}"]
        command += [f"--timing={settings.timing}"]
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        ran = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        if not saved.exists():
            said = (ran.stderr.strip() or ran.stdout.strip() or "nothing").splitlines()
            raise RetrainingError(said[-1])
        try:
            return read(saved).cases
        except BaselineError as error:
            raise RetrainingError(str(error)) from None
