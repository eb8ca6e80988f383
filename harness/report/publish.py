"""Keeps a run under `reports/published/`, and has the README and docs quote it.

`make publish RUN=reports/latest NAME=epyc-2-cores`, or `python -m harness publish`. Kept are the
tables, the records of all trainings, the figures, and what `make speed` and `make times` measured.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from .. import atomic_json, ownership
from ..paths import PUBLISHED, ROOT, SPEED, TIMES
from .load import load
from .passages import DOCUMENTS, rewrite

_KEPT = (ownership.MARK, "summary.json", "summary.md", SPEED, TIMES, "runs", "figures")


def keep(run: Path, folder: Path) -> None:
    """Copies what is kept of the report folder `run` to `folder`, in place of an earlier one.

    The copy is made beside it and renamed when it is whole. Raises ForeignFilesError if either is not a
    report of this suite, and ValueError if one is inside the other.
    """
    run, folder = run.resolve(), folder.resolve()
    if run == folder or run in folder.parents or folder in run.parents:
        raise ValueError(f"{run} cannot be kept as {folder}: one is inside the other")
    if not ownership.owns(run):
        raise ownership.ForeignFilesError(f"{run} is not a report of this suite")
    if folder.exists() and not ownership.owns(folder):
        raise ownership.ForeignFilesError(f"{folder} is not a report of this suite")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        for path in filter(Path.exists, (run / name for name in _KEPT)):
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, new / path.name)
        if folder.exists():
            if found := ownership.foreign_file(folder):
                raise ownership.ForeignFilesError(f"{found} is not of this suite; move it away")
            folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise


def main(run: Path, name: str) -> None:
    """Keeps the report folder `run` as `name`, and makes the documents' passages again.

    Raises ValueError if the name is not one or a file of `run` cannot be read, ReportError if `run` has
    no summary; see `keep`.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"the name is {name!r}; it takes letters, digits, '.', '-' and '_', and no '.' or '-' first"
        )
    if left_out := load(run).left_out:
        raise ValueError(f"{run} cannot be kept: {left_out[0]}")
    keep(run, PUBLISHED / name)
    texts = {document: rewrite(document.read_text(encoding="utf-8")) for document in DOCUMENTS}
    for document, text in texts.items():
        atomic_json.write_text(document, text)
    print(f"kept as {(PUBLISHED / name).relative_to(ROOT)}; see git diff README.md docs/")
