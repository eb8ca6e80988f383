"""The folder that a session writes its report to, and has to itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from .. import ownership
from ..files.sealed import FileError
from ..paths import SPEED, TIMES
from .fingerprint import Fingerprint, first_difference
from .store import Store

_EARLIER_REPORTS = 3  # that are kept: reports/latest.1 is the one before reports/latest


class ReportFolder:
    """Starts a report in `folder`, or resumes the one in it, and keeps other sessions out.

    Starting moves an earlier report aside. Raises pytest.UsageError if the folder holds anything but a
    report, cannot be written, is in use by another session, or is to be resumed and has another run's
    fingerprint.
    """

    def __init__(self, folder: Path, *, run: Fingerprint, resume: bool):
        self._folder = folder
        try:
            if not ownership.owns(folder):
                ownership.check_new(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=0)
            self._lock.acquire()
            if ownership.owns(folder):
                if resume:
                    self._resume(run)
                else:
                    self._move_aside()
            ownership.make(folder)
            Store(folder).create()
            earlier = folder.with_name(f"{folder.name}.1")
            if not resume and ownership.owns(earlier):
                for name in (SPEED, TIMES):
                    if (earlier / name).exists():
                        (earlier / name).rename(folder / name)
        except ownership.ForeignFilesError as error:
            raise pytest.UsageError(
                f"--report-dir is {folder}, but {error}; it takes a new or empty folder, or an "
                f"earlier report (which has a file {ownership.MARK})"
            ) from None
        except Timeout:
            raise pytest.UsageError(
                f"--report-dir is {folder}, which another session is writing to; it takes another folder"
            ) from None
        except FileError as error:
            raise pytest.UsageError(
                f"--resume: {error}; without that file its case is trained again"
            ) from None
        except OSError as error:
            raise pytest.UsageError(
                f"--report-dir is {folder}, which cannot be written: {error.strerror or error}"
            ) from None

    def _resume(self, run: Fingerprint) -> None:
        store = Store(self._folder)
        for record in (*store.records().values(), *store.claims().values()):
            if differing := first_difference(record.run.model_dump(), run):
                raise pytest.UsageError(
                    f"--resume: {self._folder} is of another run: {differing}; without --resume it is "
                    "moved aside, and --report-dir names another folder"
                )
        store.resume()

    def close(self) -> None:
        """Ends the report and unlocks the folder."""
        Store(self._folder).close()
        self._lock.release()

    def _move_aside(self) -> None:
        """Renames `folder` to `folder.1`, that to `folder.2`, and so on; deletes the oldest.

        Checks first that all of them are the suite's own.
        """
        ages = [
            self._folder,
            *(
                self._folder.with_name(f"{self._folder.name}.{age}")
                for age in range(1, _EARLIER_REPORTS + 1)
            ),
        ]
        for path in ages:
            if path.is_symlink() or (path.exists() and not ownership.owns(path)):
                raise ownership.ForeignFilesError(
                    f"the report before it would become {path}, which is not a report of this suite"
                )
        if ages[-1].exists():
            ownership.remove(ages[-1])
        for younger, older in reversed(list(pairwise(ages))):
            if younger.exists():
                younger.rename(older)
