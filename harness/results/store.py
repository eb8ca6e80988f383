"""The session's trainings: each case trained once, by whichever worker needs it first."""

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
    """A record could not be read or written; one line says which and why."""


class Store:
    """The records of a report folder: a file for each case and measurement in `runs/`, and claims.

    A record is found by its node id and all that it depends on (its run, its experiment), which it
    holds and which its file's name has a digest of: it is never taken for another's.
    """

    def __init__(self, report_dir: Path):
        self._runs = report_dir / "runs"
        self._claims = report_dir / "claims"
        self._locks = report_dir / "locks"
        self._resumed = report_dir / "resumed.json"

    def create(self) -> None:
        """Makes the folders, those it is in too, where they are not there."""
        for folder in (self._runs, self._claims, self._locks):
            folder.mkdir(parents=True, exist_ok=True)

    def records(self) -> dict[Path, dict[str, Any]]:
        """Every record that is there, by its file. StoreError where one cannot be read."""
        return {path: self._read(path) for path in sorted(self._runs.glob("*.json"))}

    def resume(self) -> None:
        """Has every record that is there known as an earlier session's from now on."""
        self.create()
        atomic_json.write(self._resumed, [path.name for path in sorted(self._runs.glob("*.json"))])

    def close(self) -> None:
        """Removes what only a running session needs."""
        shutil.rmtree(self._locks, ignore_errors=True)

    def find(self, name: str, what: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record called `name` (a node id) that depends on `what`, or None.

        It has `resumed`: whether an earlier session made it.
        """
        path = self._path(name, what)
        return self._load(path) if path.exists() else None

    def get_or_make(
        self, name: str, what: Mapping[str, Any], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The same record, made with `make()` and written if it is not there.

        Whoever asks for it while another process makes it waits for that one. Raises
        StoreError where it cannot be written.
        """
        path = self._path(name, what)
        self._remake()
        with FileLock(self._locks / f"{path.stem}.lock"):
            if not path.exists():
                record = {"id": name, **what, **make()}
                self._remake()
                self._write(path, record)
            return self._load(path)

    def claims(self) -> list[dict[str, Any]]:
        """Every claim that has been decided."""
        return [self._read(path) for path in sorted(self._claims.glob("*.json"))]

    def put_claim(self, claim: dict[str, Any]) -> None:
        """Keeps a claim's verdict; StoreError where that cannot be written."""
        self._remake()
        self._write(self._claims / f"{_file_name(claim['id'], {})}.json", claim)

    def _path(self, name: str, what: Mapping[str, Any]) -> Path:
        return self._runs / f"{_file_name(name, what)}.json"

    def _remake(self) -> None:
        """Somebody may have removed the folder while the session runs; what comes now is kept."""
        if not self._runs.exists():
            warnings.warn(
                f"{self._runs.parent} was removed while this session ran; records till then are lost",
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


def _file_name(name: str, what: Mapping[str, Any]) -> str:
    """A node id as a file's name, for people, and a digest, to tell them apart.

    `bench/test_1_x.py::test_training[row]` begins as `test_1_x.row`, other tests and what is
    measured, `bench/test_1_x.py::name`, as `test_1_x.name`.
    """
    module, _, test = name.partition("::")
    shown = test.removeprefix("test_training[").removesuffix("]")
    return f"{Path(module).stem}.{shown}.{short_digest([name, what])}"
