"""The session's trainings: each case trained once, by whichever worker needs it first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from . import jsonfile


class Store:
    """The records of a report folder: a file for each case and measurement in `runs/`, and claims."""

    def __init__(self, report_dir: Path):
        self._runs = report_dir / "runs"
        self._claims = report_dir / "claims"
        self._locks = report_dir / "locks"

    def create(self) -> None:
        """Makes the folders; what they are in may not exist yet."""
        self._runs.mkdir(parents=True)
        self._claims.mkdir()
        self._locks.mkdir()

    def close(self) -> None:
        """Removes what only a running session needs."""
        shutil.rmtree(self._locks, ignore_errors=True)

    def records(self) -> list[dict[str, Any]]:
        """Every record of `runs/` that is there."""
        return [jsonfile.read(path) for path in sorted(self._runs.glob("*.json"))]

    def claims(self) -> list[dict[str, Any]]:
        """Every claim that has been decided."""
        return [jsonfile.read(path) for path in sorted(self._claims.glob("*.json"))]

    def put_claim(self, claim: dict[str, Any]) -> None:
        """Keeps a claim's verdict."""
        jsonfile.write(self._claims / f"{file_name(claim['id'])}.json", claim)

    def get_or_make(self, case: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The record called `case` (see `file_name`), made with `make()` and written if not there.

        Whoever asks for it while another process makes it waits for that one.
        """
        name = file_name(case)
        path = self._runs / f"{name}.json"
        with FileLock(self._locks / f"{name}.lock"):
            if not path.exists():
                jsonfile.write(path, make())
            return jsonfile.read(path)


def file_name(case: str) -> str:
    """A node id as a file's name.

    `bench/test_1_x.py::test_training[row]` as `test_1_x.row`, other tests and what is
    measured, `bench/test_1_x.py::name`, as `test_1_x.name`.
    """
    module, _, test = case.partition("::")
    return f"{Path(module).stem}.{test.removeprefix('test_training[').removesuffix(']')}"
