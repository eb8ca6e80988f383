"""Keeps a run among its study's published ones, and has the study's documents quote it.

`make publish RUN=reports/latest NAME=epyc-2-cores`, or `python -m harness publish`. Kept are the
tables, the records of all trainings, the figures, and what `make speed` and `make times` measured.
First the run is copied and every document's passages are rendered as if the copy were in place; then
folder and documents are replaced together, or nothing is.
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
from ..paths import FIGURES, ROOT, SPEED, TIMES
from ..report.load import load_run
from ..report.passages import rewrite_document
from ..report.replacement import replace_all, stage
from ..study import StudyFolder, load_study
from .arguments import add_study, to_path

_FOLDERS = {"runs": ".json", "figures": ".svg"}  # and the files in them
_KEPT = (ownership.MARK, "summary.json", "summary.md", FIGURES, SPEED, TIMES, *_FOLDERS)

Placing = list[tuple[Path, Path]]
"""New files and folders, and their places."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=to_path, metavar="FOLDER", help="the report folder of a finished run"
    )
    parser.add_argument("name", metavar="NAME", help="what to keep it as, such as epyc-2-cores")
    add_study(parser)


def run(options: argparse.Namespace) -> None:
    publish_run(options.run, options.name, load_study(options.study))


def keep_run(run: Path, folder: Path, others: Callable[[Path], Placing] = lambda _: []) -> None:
    """Copies what is kept of the report folder `run` to `folder`, in place of an earlier one.

    The copy is made beside it. `others` is called with the copy and returns what is to be put in place
    together with it; whatever it raises leaves everything as it was. Raises ForeignFilesError if either
    is not a report of this suite, and ValueError if one is inside the other.
    """
    run, folder = run.resolve(), folder.absolute()
    if folder.is_symlink():
        raise ownership.ForeignFilesError(f"{folder} is a link, and not a report of this suite")
    folder = folder.resolve()
    if run == folder or run in folder.parents or folder in run.parents:
        raise ValueError(f"{run} cannot be kept as {folder}: one is inside the other")
    if not ownership.owns(run):
        raise ownership.ForeignFilesError(f"{run} is not a report of this suite")
    if folder.exists():
        if not ownership.owns(folder):
            raise ownership.ForeignFilesError(f"{folder} is not a report of this suite")
        if found := ownership.foreign_file(folder):
            raise ownership.ForeignFilesError(f"{found} is not of this suite; move it away")
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
    """Keeps the report folder `run` as `name`, and makes the passages of the study's documents again.

    Raises ValueError, in a line, and changes nothing, if the name is not one, a file of `run` cannot be
    read, a run of that name is published and not committed, or a document's passage cannot be made
    again: its marks do not pair, or a run lacks what it quotes. See `keep_run`, too.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"the name is {name!r}; expected letters, digits, '.', '-' and '_', and no '.' or '-' first"
        )
    if left_out := load_run(run).left_out:
        raise ValueError(f"{run} cannot be kept: {left_out[0]}")
    folder = study.published / name
    with _alone(study.published):
        if ownership.owns(folder):  # `keep_run` refuses what else is there
            _check_committed(folder)
        keep_run(run, folder, lambda new: _documents(study, name, new))
    documents = f"; see git diff {' '.join(study.study.documents)}" if study.study.documents else ""
    print(f"kept as {_relative(folder)}{documents}")


def _relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _documents(study: StudyFolder, name: str, new: Path) -> Placing:
    """The documents that change where the run of that `name` is the one in the folder `new`."""
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
    """Raises ValueError for what is no regular file, or a folder with anything else in it."""
    suffix = _FOLDERS.get(path.name)
    if suffix is None:
        right, found = path.is_file() and not path.is_symlink(), path
    elif path.is_symlink() or not path.is_dir():
        right, found = False, path
    else:
        found = ownership.first_without(suffix, path) or path
        right = found == path
    if not right:
        raise ValueError(f"{found} is not of this suite; move it away")


def _check_committed(folder: Path) -> None:
    """Raises ValueError unless git has all that is in the published folder, which is to be replaced."""
    try:
        changed = processes.git(
            folder, "status", "--porcelain", "--untracked-files=all", "--ignored", "--", "."
        )
    except ValueError as error:
        raise ValueError(
            f"{folder} is not replaced, as nobody can say whether it is committed: {error}"
        ) from None
    if changed:
        first = changed.splitlines()[0].split(maxsplit=1)[1]
        raise ValueError(
            f"{folder} is not replaced: {first} is not committed; commit it, or remove the folder, first"
        )


@contextmanager
def _alone(published: Path) -> Iterator[None]:
    """Holds a lock on the folder of published runs.

    Raises ValueError where another process publishes.
    """
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
