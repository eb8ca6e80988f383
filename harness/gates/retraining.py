"""Trains rows again in a new process, since a single process may be slow by chance."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..processes import environment, reason
from ..session_settings import Settings
from .baselines import BaselineError, Cases, read_saved_run

# These variables may hold this session's gates or mark it as a worker; a retraining has neither.
_NOT_INHERITED = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS")


class RetrainingError(RuntimeError):
    """The rows could not be trained again; the message gives the reason, in one line."""


def retrain(cases: Collection[str], settings: Settings, root: Path) -> Cases:
    """Trains the rows with these node ids under `settings`, one after another, in one new process."""
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
        command += [f"--cluster={settings.cluster}"] if settings.cluster else []
        command += ["--cluster-same"] if settings.cluster_same else []
        try:
            ran = subprocess.run(
                command,
                cwd=root,
                # pytest truncates its lines to the terminal's width.
                env={**environment(*_NOT_INHERITED), "COLUMNS": "1000"},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise RetrainingError(f"no process could be started: {error.strerror or error}") from None
        if not saved.exists():
            # The output of a killed process does not explain why it ended.
            output = (ran.stdout, ran.stderr) if ran.returncode >= 0 else ()
            raise RetrainingError(reason(*output, status=ran.returncode))
        try:
            return read_saved_run(saved).cases
        except BaselineError as error:
            raise RetrainingError(str(error)) from None
