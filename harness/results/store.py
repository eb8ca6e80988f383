"""The session's records: each case is trained once, by whichever worker needs it first."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from .. import atomic_json
from .fingerprint import short_digest


class StoreError(OSError):
    """A record cannot be read or written; the message says which and why, in one line."""


class Store:
    """The records of a report folder: a file for each case and measurement in `runs/`, and claims.

    A record is identified by its node id and its key: the run's fingerprint and the experiment. It
    holds both, and its file name has a digest of them, so it is never mistaken for another.
    """

    def __init__(self, report_dir: Path):
        self._runs = report_dir / "runs"
        self._claims = report_dir / "claims"
        self._locks = report_dir / "locks"
        self._resumed = report_dir / "resumed.json"

    def create(self) -> None:
        """Makes the folders, with their parents, if they are missing."""
        for folder in (self._runs, self._claims, self._locks):
            folder.mkdir(parents=True, exist_ok=True)

    def records(self) -> dict[Path, dict[str, Any]]:
        """All records by file; raises StoreError if one cannot be read."""
        return {path: self._read(path) for path in sorted(self._runs.glob("*.json"))}

    def resume(self) -> None:
        """Marks all records so far as an earlier session's."""
        self.create()
        atomic_json.write(self._resumed, [path.name for path in sorted(self._runs.glob("*.json"))])

    def close(self) -> None:
        """Removes what only a running session needs: its locks."""
        shutil.rmtree(self._locks, ignore_errors=True)

    def find(self, name: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record called `name` (a node id) with that key, or None.

        Its `resumed` says whether an earlier session made it.
        """
        path = self._path(name, key)
        return self._load(path) if path.exists() else None

    def get_or_make(
        self, name: str, key: Mapping[str, Any], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Finds the record, or makes it with `make()` and writes it.

        A process that asks while another one makes it waits for that one. Raises StoreError if it
        cannot be written.
        """
        path = self._path(name, key)
        self._recreate_folders()
        with FileLock(self._locks / f"{path.stem}.lock"):
            if not path.exists():
                record = {"id": name, **key, **make()}
                self._recreate_folders()
                self._write(path, record)
            return self._load(path)

    def claims(self) -> list[dict[str, Any]]:
        """All decided claims."""
        return [self._read(path) for path in sorted(self._claims.glob("*.json"))]

    def put_claim(self, claim: dict[str, Any]) -> None:
        """Writes a decided claim; raises StoreError if it cannot be written."""
        self._recreate_folders()
        self._write(self._claims / f"{_file_name(claim['id'], {})}.json", claim)

    def _path(self, name: str, key: Mapping[str, Any]) -> Path:
        return self._runs / f"{_file_name(name, key)}.json"

    def _recreate_folders(self) -> None:
        """Makes the folders again if someone removed them during the session, to keep later records."""
        if not self._runs.exists():
            warnings.warn(
                f"{self._runs.parent} was removed while this session ran; its records so far are lost",
                stacklevel=2,
            )
        try:
            self.create()
        except OSError as error:
            raise StoreError(f"{self._runs.parent} cannot be written: {error.strerror}") from None

    def _write(self, path: Path, content: Any) -> None:
        try:
            atomic_json.write(path, content)
        except OSError as error:
            raise StoreError(f"{path} could not be written: {error.strerror}") from None

    def _load(self, path: Path) -> dict[str, Any]:
        resumed = self._resumed.exists() and path.name in atomic_json.read(self._resumed)
        return {**self._read(path), "resumed": resumed}

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            record = atomic_json.read(path)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read: {error}") from None
        if not isinstance(record, dict):
            raise StoreError(f"{path} cannot be read: it holds no record")
        return record


def _file_name(name: str, key: Mapping[str, Any]) -> str:
    """A file name for a node id: readable, and unique by a digest.

    `bench/test_1_x.py::test_training[row]` gives `test_1_x.row.DIGEST`; other tests and measurements,
    `bench/test_1_x.py::name`, give `test_1_x.name.DIGEST`.
    """
    module, _, test = name.partition("::")
    shown = test.removeprefix("test_training[").removesuffix("]")
    return f"{Path(module).stem}.{shown}.{short_digest([name, key])}"
