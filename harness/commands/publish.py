"""Keeps a run among its study's published runs, and updates the documents that quote it.

`make publish RUN=reports/latest NAME=epyc-2-cores`, or `python -m harness publish`. It keeps the tables,
the records of all trainings, the figures, and the measurements of `make speed` and `make times`. First
the run is copied and every document's passages are rendered as if the copy were in place; then folder
and documents are replaced together, or not at all.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import ownership, processes
from ..paths import FIGURES, PHASES, ROOT, SPEED, TIMES
from ..report.load import load_run
from ..report.passages import rewrite_document
from ..report.replacement import replace_all, stage
from ..study import StudyFolder, load_study
from .arguments import add_study, to_path
from .kept_run import root_of

_FOLDERS = {"runs": ".json", "figures": ".svg"}  # and the suffix of the files in them
_KEPT = (ownership.MARK, "summary.json", "summary.md", FIGURES, PHASES, SPEED, TIMES, *_FOLDERS)

Placing = list[tuple[Path, Path]]
"""New files and folders, and the paths that they are moved to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=to_path, metavar="FOLDER", help="the report folder of a finished run"
    )
    parser.add_argument("name", metavar="NAME", help="the published run's name, such as epyc-2-cores")
    add_study(parser)


def run(options: argparse.Namespace) -> None:
    publish_run(options.run, options.name, load_study(options.study))


def keep_run(run: Path, folder: Path, others: Callable[[Path], Placing] = lambda _: []) -> None:
    """Copies the kept files of the report folder `run` to `folder`, replacing an earlier copy.

    `others` is called with a temporary copy and returns the files to put in place together with it; if
    it raises an error, nothing is changed. Raises ForeignFilesError if either folder is not a report of
    this suite, and ValueError if one is inside the other.
    """
    run, folder = run.resolve(), folder.absolute()
    if folder.is_symlink():
        raise ownership.ForeignFilesError(f"{folder} is a link, not a report of this suite; remove it")
    folder = folder.resolve()
    if run == folder or run in folder.parents or folder in run.parents:
        raise ValueError(f"{run} cannot be kept as {folder}: one is inside the other")
    if not ownership.owns(run):
        raise ownership.ForeignFilesError(
            f"{run} is not a report of this suite; expected a report folder"
        )
    if folder.exists():
        if not ownership.owns(folder):
            raise ownership.ForeignFilesError(f"{folder} is not a report of this suite; move it away")
        if found := ownership.foreign_file(folder):
            raise ownership.ForeignFilesError(f"{found} is not a file of this suite; move it away")
    kept = [run / name for name in _KEPT if os.path.lexists(run / name)]
    for path in kept:
        _check_regular(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        for path in kept:
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, new / path.name)
        placing = others(new)
        try:
            replace_all([(new, folder), *placing])
        finally:
            _remove(placing)


def publish_run(run: Path, name: str, study: StudyFolder) -> None:
    """Keeps the report folder `run` as `name`, and renders the passages of the study's documents again.

    Raises ValueError, and changes nothing, if the name is invalid, a file of `run` cannot be read, the
    study lacks one of its modules, the published run of that name is not committed, or a document's
    passage cannot be rendered: its marks do not pair, or a run lacks a quoted value. See also
    `keep_run`.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"the name is {name!r}; expected letters, digits, '.', '-' and '_', with no '.' or '-' first"
        )
    found = load_run(run)
    if found.left_out:
        raise ValueError(f"{run} cannot be kept: {found.left_out[0]}")
    root_of(study, [each.module for each in found.summary.exercises])
    if found.summary.shard:
        raise ValueError(
            f"{run} has shard {found.summary.shard} of a run; merge it with the others first"
        )
    folder = study.published / name
    with _alone(study.published):
        if ownership.owns(folder):  # `keep_run` refuses any other folder
            _check_committed(folder)
        keep_run(run, folder, lambda new: _documents(study, name, new))
    documents = " ".join(str(_relative(document.resolve())) for document in study.documents)
    print(f"kept as {_relative(folder)}{f'; see git diff {documents}' if documents else ''}")


def _relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _documents(study: StudyFolder, name: str, new: Path) -> Placing:
    """Stages the documents that change if `new` is the run `name`; returns them with their paths."""
    places = [document.resolve() for document in study.documents]
    texts = [
        rewrite_document(document, lambda other: new if other == name else study.published / other)
        for document in study.documents
    ]
    placing: Placing = []
    try:
        for document, text in zip(places, texts, strict=True):
            if text.encode() != document.read_bytes():
                if not os.access(document, os.W_OK):
                    raise ValueError(f"{document} cannot be written: it is read-only")
                placing.append((stage(document, text), document))
    except BaseException:
        _remove(placing)
        raise
    return placing


def _remove(placing: Placing) -> None:
    """Removes the staged files that were not put in place."""
    for new, _ in placing:
        new.unlink(missing_ok=True)


def _check_regular(path: Path) -> None:
    """Raises ValueError unless `path` is a regular file, or a folder with only the expected files."""
    suffix = _FOLDERS.get(path.name)
    if suffix is None:
        right, found = path.is_file() and not path.is_symlink(), path
    elif path.is_symlink() or not path.is_dir():
        right, found = False, path
    else:
        found = ownership.first_without(suffix, path) or path
        right = found == path
    if not right:
        raise ValueError(f"{found} is not a file of this suite; move it away")


def _check_committed(folder: Path) -> None:
    """Raises ValueError unless everything in the folder, which will be replaced, is committed."""
    try:
        changed = processes.git(
            folder, "status", "--porcelain", "--untracked-files=all", "--ignored", "--", "."
        )
    except ValueError as error:
        raise ValueError(
            f"{folder} is not replaced, because git cannot show that it is committed: {error}"
        ) from None
    if changed:
        first = changed.splitlines()[0].split(maxsplit=1)[1]
        raise ValueError(
            f"{folder} is not replaced: {first} is not committed; commit it or remove the folder first"
        )


@contextmanager
def _alone(published: Path) -> Iterator[None]:
    """Locks the folder of published runs. Raises ValueError if another process holds the lock."""
    with suppress(FileExistsError):
        published.mkdir(parents=True)
    try:
        import fcntl
    except ImportError:  # on Windows
        yield
        return
    folder = os.open(published, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another `publish` is writing to {published}; wait for it") from None
        yield
    finally:
        os.close(folder)
