"""The folder that a session writes its report to, to which it has exclusive access."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from .. import ownership, run_folders
from ..files.sealed import FileError
from .fingerprint import Fingerprint, first_difference
from .store import Store


class ReportFolder:
    """Starts a report in `folder`, or resumes the one in it, and keeps other sessions out.

    `fingerprint` is this run's. With `reads`, the session only reads a kept run, whose records are not
    marked as an earlier session's. Raises pytest.UsageError if the folder contains anything but a
    report, cannot be written, is in use by another session, has a run and `resume` is false, or has a
    run with another fingerprint.
    """

    def __init__(self, folder: Path, *, fingerprint: Fingerprint, resume: bool, reads: bool = False):
        self._folder = folder
        self._reads = reads
        self.resumed: list[str] = []
        """The ids of the records and claims from earlier sessions."""
        self._is_new = False
        self._lock: FileLock | None = None
        try:
            try:
                self._open(fingerprint, resume=resume)
            except BaseException:
                self._leave()
                raise
        except ownership.ForeignFilesError as error:
            raise pytest.UsageError(f"--report-dir is {folder}, but {error}") from None
        except Timeout:
            raise pytest.UsageError(
                f"--report-dir is {folder}, which another session is writing to; name another folder"
            ) from None
        except FileError as error:
            raise pytest.UsageError(
                f"--resume: {error}; delete that file to run its case again"
            ) from None
        except OSError as error:
            raise pytest.UsageError(
                f"--report-dir is {folder}, which cannot be written: {error.strerror or error}"
            ) from None

    def _open(self, fingerprint: Fingerprint, *, resume: bool) -> None:
        self._is_new = not self._folder.exists()
        ownership.make(self._folder)
        Store(self._folder).create()
        lock = FileLock(self._folder / "locks" / "session.lock", timeout=0)
        lock.acquire()
        self._lock = lock
        if resume:
            self._resume(fingerprint)
        elif ownership.has_run(self._folder):
            raise pytest.UsageError(
                f"--report-dir is {self._folder}, which has an earlier run, and runs are never "
                "overwritten; continue it with --resume, or name another folder"
            )
        else:
            run_folders.begin(self._folder)

    def _resume(self, fingerprint: Fingerprint) -> None:
        store = Store(self._folder)
        found = (*store.records().values(), *store.claims().values())
        for record in found:
            if differing := first_difference(record.run.model_dump(), fingerprint):
                raise pytest.UsageError(
                    f"--resume: the run in {self._folder} differs: {differing}; start a new run without "
                    "--resume"
                )
        if found and not self._reads:
            store.resume()
        self.resumed = [record.id for record in found]

    def close(self) -> None:
        """Ends the report and unlocks the folder; removes a new folder without results."""
        Store(self._folder).close()
        self._leave()

    def _leave(self) -> None:
        if self._lock is not None:  # otherwise another session holds it
            with suppress(OSError):
                os.unlink(self._lock.lock_file)
            self._lock.release()
            if self._is_new:
                ownership.remove_if_unused(self._folder)
