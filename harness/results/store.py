"""The session's records: each case is trained once, by the first worker that needs it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from model.phases import phase

from .. import atomic_json, ownership, run_folders
from ..files import sealed
from ..files.names import file_name
from ..files.record import (
    ClaimRecord,
    MeasurementRecord,
    Resumed,
    TrainingRecord,
    read_claim,
    read_record,
)
from ..files.sealed import FileError
from ..files.weights import SUFFIX, SavedNetwork, write_network

# Ends of file names in the folder of locks.
_ASKED, _FAILED = ".asked.json", ".failed.json"

_Kind = TypeVar("_Kind", TrainingRecord, MeasurementRecord)


class Store:
    """The records of a report folder: a file for each case, measurement and claim.

    A record is identified by its node id and its key: the run's fingerprint and the experiment. It
    contains both, and its file name has a digest of them, so it is never mistaken for another. Methods
    raise FileError for a file that cannot be read or written.
    """

    def __init__(self, report_dir: Path):
        self._folder = report_dir
        self._runs = report_dir / "runs"
        self._claims = report_dir / "claims"
        self._locks = report_dir / "locks"
        self._resumed = report_dir / "resumed.json"

    def create(self) -> None:
        """Creates the folders and their parents if they are missing."""
        for folder in (self._runs, self._claims, self._locks):
            folder.mkdir(parents=True, exist_ok=True)

    def records(self) -> dict[Path, TrainingRecord | MeasurementRecord]:
        """Returns all records by file."""
        return {path: read_record(path) for path in sorted(self._runs.glob("*.json"))}

    def claims(self) -> dict[Path, ClaimRecord]:
        """Returns all decided claims by file."""
        return {path: read_claim(path) for path in sorted(self._claims.glob("*.json"))}

    def resume(self) -> None:
        """Marks all records so far as those of an earlier session."""
        self.create()
        sealed.write_content(
            self._resumed, {"records": sorted(path.name for path in self._runs.glob("*.json"))}
        )

    def close(self) -> None:
        """Removes the locks, which only a running session needs."""
        ownership.clear(self._locks)

    def find(self, kind: type[_Kind], name: str, key: Mapping[str, Any]) -> _Kind | None:
        """Returns the record called `name` (a node id) with that key, or None."""
        path = self._path(name, key)
        return self._read(kind, path) if path.exists() else None

    def is_resumed(self, name: str, key: Mapping[str, Any]) -> bool:
        """Returns whether an earlier session made that record."""
        return (
            self._resumed.exists()
            and self._path(name, key).name in sealed.read_model(self._resumed, Resumed).records
        )

    def is_first_timing(self, name: str, key: Mapping[str, Any]) -> bool:
        """Returns whether this is the session's first call for that record."""
        self._recreate_folders()
        return self._is_first(self._path(name, key).stem)

    def get_or_make(
        self, kind: type[_Kind], name: str, key: Mapping[str, Any], make: Callable[[], dict[str, Any]]
    ) -> _Kind:
        """Returns the record, which it makes with `make()` and writes if it is missing.

        If another process is making it, waits for that process.
        """
        path = self._path(name, key)
        self._recreate_folders()
        with ExitStack() as stack:
            with phase("waiting"):
                stack.enter_context(FileLock(self._locks / f"{path.stem}.lock"))
            if not path.exists():
                record = {"id": name, **key, **make()}
                self._recreate_folders()
                sealed.write_content(path, record)
                self._update_latest()
            return self._read(kind, path)

    def extend(
        self,
        kind: type[_Kind],
        name: str,
        key: Mapping[str, Any],
        seeds: int,
        make: Callable[[_Kind], dict[str, Any]],
    ) -> _Kind:
        """Returns the record with `seeds` seeds or more: `make(record)` if it has fewer.

        If another process is extending it, waits for that process.
        """
        path = self._path(name, key)
        with ExitStack() as stack:
            with phase("waiting"):
                stack.enter_context(FileLock(self._locks / f"{path.stem}.lock"))
            record = self._read(kind, path)
            if len(record.seeds) < seeds:
                content = make(record)
                self._recreate_folders()
                sealed.write_content(path, {**content, "id": name, **key})
            return self._read(kind, path)

    def put(self, name: str, key: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        """Writes a record that was made elsewhere."""
        self._recreate_folders()
        sealed.write_content(self._path(name, key), {"id": name, **key, **content})
        self._update_latest()

    def ask(self, name: str, key: Mapping[str, Any]) -> None:
        """Asks the session's controlling process for a record, which `find` or `failure` answers."""
        self._recreate_folders()
        atomic_json.write_json(self._locks / f"{self._path(name, key).stem}{_ASKED}", name)

    def asked(self) -> list[str]:
        """Returns the ids of the records that were asked for since the last call."""
        found = sorted(self._locks.glob(f"*{_ASKED}"))
        names = [str(atomic_json.read_json(path)) for path in found]
        for path in found:
            path.unlink()
        return names

    def put_failure(self, name: str, key: Mapping[str, Any], line: str) -> None:
        """Writes why there will be no record in this session."""
        self._recreate_folders()
        atomic_json.write_json(self._locks / f"{self._path(name, key).stem}{_FAILED}", line)

    def failure(self, name: str, key: Mapping[str, Any]) -> str | None:
        """Returns why there will be no record in this session, if that is known."""
        path = self._locks / f"{self._path(name, key).stem}{_FAILED}"
        return str(atomic_json.read_json(path)) if path.exists() else None

    def put_networks(self, name: str, key: Mapping[str, Any], networks: Sequence[SavedNetwork]) -> None:
        """Writes the final networks of the training of that record, a file for each seed."""
        self._recreate_folders()
        for network in networks:
            path = self._network(name, key, network.seed)
            write_network(path, network)

    def lacks_networks(self, name: str, key: Mapping[str, Any], seeds: Sequence[int]) -> bool:
        """Returns whether the network of a seed was not kept."""
        return not all(self._network(name, key, seed).is_file() for seed in seeds)

    def put_claim(self, claim: ClaimRecord) -> None:
        """Writes a decided claim."""
        self._recreate_folders()
        name = file_name(claim.id, {"run": claim.run.model_dump()})
        sealed.write_content(self._claims / f"{name}.json", claim.model_dump())
        self._update_latest()

    def _update_latest(self) -> None:
        """Points `latest` to this report when the session has written its first record or claim.

        The order of sessions counts, not the clock, which may be set back. Resuming an old report does
        not make it the newest.
        """
        if not self._resumed.exists() and self._is_first("latest"):
            run_folders.lead_to(self._folder)

    def _is_first(self, what: str) -> bool:
        """Returns whether this is the session's first call with `what`, in any process."""
        try:
            (self._locks / f"{what}.first.lock").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _network(self, name: str, key: Mapping[str, Any], seed: int) -> Path:
        return self._folder / "weights" / f"{self._path(name, key).stem}.seed{seed}{SUFFIX}"

    def _path(self, name: str, key: Mapping[str, Any]) -> Path:
        return self._runs / f"{file_name(name, key)}.json"

    def _read(self, kind: type[_Kind], path: Path) -> _Kind:
        record = read_record(path)
        if not isinstance(record, kind):
            raise FileError(f"{path} cannot be read: it is not a {kind.__name__}")
        return record

    def _recreate_folders(self) -> None:
        """Creates the folders again if they were removed during the session, to keep later records."""
        if not self._runs.exists():
            warnings.warn(
                f"{self._folder} was removed while this session ran; its records so far are lost",
                stacklevel=2,
            )
        try:
            ownership.make_again(self._folder)
            self.create()
        except OSError as error:
            raise FileError(f"{self._folder} cannot be written: {error.strerror}") from None
