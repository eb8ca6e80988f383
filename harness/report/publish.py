"""Keeps a run under `reports/published/`, and has the README and docs quote it.

`make publish RUN=reports/latest NAME=epyc-2-cores`, or `python -m harness publish`. Kept are the
tables, the records of all trainings, the figures, and what `make speed` and `make times` measured.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..paths import PUBLISHED, ROOT, SPEED, TIMES
from .passages import DOCUMENTS, rewrite

_KEPT = ("summary.json", "summary.md", SPEED, TIMES, "runs", "figures")


def keep(run: Path, folder: Path) -> None:
    """Copies what is kept of `run` into `folder`, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in filter(Path.exists, (run / name for name in _KEPT)):
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, folder / path.name)


def main(run: Path, name: str) -> None:
    """Keeps the report folder `run` as `name`; ValueError where it is none, or the name is not one."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"the name is {name!r}; it takes letters, digits, '.', '-' and '_'")
    if not (run / "summary.json").exists():
        raise ValueError(f"{run} holds no summary.json; it takes the report folder of a finished run")
    keep(run, PUBLISHED / name)
    for document in DOCUMENTS:
        document.write_text(rewrite(document.read_text()))
    print(f"kept as {(PUBLISHED / name).relative_to(ROOT)}; see git diff README.md docs/")
