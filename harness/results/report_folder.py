"""The folder that a session writes its report to, and has to itself."""

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

    `fingerprint` is this run's. Raises pytest.UsageError if
    the folder holds anything but a report, cannot be written, is in use by another session, has a run
    that is not to be resumed, or is to be resumed and has another run's fingerprint.
    """

    def __init__(self, folder: Path, *, fingerprint: Fingerprint, resume: bool):
        self._folder = folder
        self.resumed: list[str] = []
        """The ids of the records and claims that an earlier session made."""
        self._is_new = False
        self._lock: FileLock | None = None
        try:
            try:
                self._open(fingerprint, resume=resume)
            except BaseException:
                self._leave()
                raise
        except ownership.ForeignFilesError as error:
            raise pytest.UsageError(
                f"--report-dir is {folder}, but {error}; expected a new or empty folder, or an "
                f"earlier report (which has a file {ownership.MARK})"
            ) from None
        except Timeout:
            raise pytest.UsageError(
                f"--report-dir is {folder}, which another session is writing to; expected another folder"
            ) from None
        except FileError as error:
            raise pytest.UsageError(
                f"--resume: {error}; without that file its case is trained again"
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
                f"--report-dir is {self._folder}, which has the report of an earlier run; runs are "
                "never overwritten: continue it with --resume, or name another folder"
            )
        else:
            run_folders.begin(self._folder)

    def _resume(self, fingerprint: Fingerprint) -> None:
        store = Store(self._folder)
        found = (*store.records().values(), *store.claims().values())
        for record in found:
            if differing := first_difference(record.run.model_dump(), fingerprint):
                raise pytest.UsageError(
                    f"--resume: {self._folder} is of another run: {differing}; without --resume a new "
                    "run has a folder of its own"
                )
        if found:
            store.resume()
        self.resumed = [record.id for record in found]

    def close(self) -> None:
        """Ends the report and unlocks the folder; one that nothing was put into is removed."""
        Store(self._folder).close()
        self._leave()

    def _leave(self) -> None:
        if self._lock is not None:  # else it is another's
            with suppress(OSError):
                os.unlink(self._lock.lock_file)
            self._lock.release()
            if self._is_new:
                ownership.remove_if_unused(self._folder)
