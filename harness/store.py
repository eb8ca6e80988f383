"""The session's trainings: each case trained once, by whichever worker needs it first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from . import jsonfile


class Store:
    """The records of a report folder, one file a case in `runs/`."""

    def __init__(self, report_dir: Path):
        self._runs = report_dir / "runs"
        self._locks = report_dir / "locks"

    def create(self) -> None:
        """Makes the folders; what they are in may not exist yet."""
        self._runs.mkdir(parents=True)
        self._locks.mkdir()

    def close(self) -> None:
        """Removes what only a running session needs."""
        shutil.rmtree(self._locks, ignore_errors=True)

    def records(self) -> list[dict[str, Any]]:
        """Every record that is there."""
        return [jsonfile.read(path) for path in sorted(self._runs.glob("*.json"))]

    def get_or_make(self, case: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The record of `case` (a node id), made with `make()` and written if it is not there.

        Whoever asks for it while another process makes it waits for that one.
        """
        name = file_name(case)
        path = self._runs / f"{name}.json"
        with FileLock(self._locks / f"{name}.lock"):
            if not path.exists():
                jsonfile.write(path, make())
            return jsonfile.read(path)


def file_name(case: str) -> str:
    """`bench/test_1_x.py::test_training[row]` as `test_1_x.row`."""
    module, _, test = case.partition("::")
    return f"{Path(module).stem}.{test.partition('[')[2].removesuffix(']')}"
