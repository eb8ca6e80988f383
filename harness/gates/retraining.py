"""Rows trained once more, in a new process: what one process was unlucky with, the next may not be."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..processes import environment, reason
from ..session_settings import Settings
from .baselines import BaselineError, Cases, read_saved_run

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
        try:
            ran = subprocess.run(
                command,
                cwd=root,
                # pytest cuts its lines to the terminal's width, but not where it is as wide as this.
                env={**environment(*_NOT_INHERITED), "COLUMNS": "1000"},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise RetrainingError(f"no process could be started: {error.strerror or error}") from None
        if not saved.exists():
            # A process that was killed has not said why.
            said = (ran.stdout, ran.stderr) if ran.returncode >= 0 else ()
            raise RetrainingError(reason(*said, status=ran.returncode))
        try:
            return read_saved_run(saved).cases
        except BaselineError as error:
            raise RetrainingError(str(error)) from None
