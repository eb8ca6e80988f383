"""The folders of runs: each run has one of its own, and `latest` leads to the newest.

A run's folder is called after its time (UTC) and commit, `reports/2026-11-25_14-57-54.318_d2cbc64`. It
never moves, and no run is deleted but by `make prune`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from . import ownership
from .paths import SPEED, TIMES
from .processes import git

LINK = "latest"
_NAME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{3}(_[0-9a-f]{7,40})?(-\d+)?")


def new(reports: Path) -> Path:
    """The folder for a run that begins now, in the folder `reports`; it is not made yet."""
    name = _stamp(datetime.now(UTC))
    with suppress(ValueError):
        name += "_" + git(reports.parent, "rev-parse", "--short=7", "--verify", "HEAD", timeout=10)
    folder = reports / name
    others = (reports / f"{name}-{number}" for number in range(2, 1000))
    return folder if not folder.exists() else next(other for other in others if not other.exists())


def begin(folder: Path) -> None:
    """Prepares a run in `folder`, if `new` named it, with the measurements of the machine so far.

    Raises ForeignFilesError if something that is not the suite's is in the place of `latest`.
    """
    if not _NAME.fullmatch(folder.name):
        return
    link = folder.parent / LINK
    if link.is_symlink():
        if not _NAME.fullmatch(os.readlink(link)):
            raise ownership.ForeignFilesError(
                f"{link} leads to {os.readlink(link)}, which is no run of {folder.parent}"
            )
    elif link.exists():
        if not ownership.owns(link):
            raise ownership.ForeignFilesError(f"{link} is no link to a run, and not the suite's")
        # Earlier versions wrote there; it gets a name of its own.
        earlier = folder.with_name(_stamp(datetime.fromtimestamp(link.stat().st_mtime, UTC)))
        link.rename(earlier)
        lead_to(earlier)
    before = latest(folder.parent)
    for name in (SPEED, TIMES):
        if before and (before / name).is_file() and not (folder / name).exists():
            with suppress(OSError):  # a forecast is not worth a run
                shutil.copy2(before / name, folder / name)


def latest(reports: Path) -> Path | None:
    """The newest run's folder in `reports`, or None. Without links, it is found by its name."""
    link = reports / LINK
    if link.is_dir() and ownership.owns(link):
        return link.resolve()
    return max(_named(reports), key=lambda folder: folder.name, default=None)


def lead_to(folder: Path) -> None:
    """Has `latest` lead to `folder`, if it is a run's by its name."""
    link = folder.parent / LINK
    if not _NAME.fullmatch(folder.name) or (link.exists() and not link.is_symlink()):
        return
    with (
        suppress(OSError),  # a file system without links, or a folder that cannot be written
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{LINK}-") as temporary,
    ):
        new_link = Path(temporary, LINK)
        new_link.symlink_to(folder.name, target_is_directory=True)
        os.replace(new_link, link)


def for_the_machine(reports: Path, given: Path | None) -> Path:
    """The folder for what describes the machine: the one `given`, the newest run's, or a new one."""
    if folder := given or latest(reports):
        ownership.make_or_share(folder)
    else:
        ownership.make(folder := new(reports))
        lead_to(folder)
    return folder


def check_free(folder: Path, name: str) -> None:
    """Raises ValueError if the report folder has a file `name`, of an earlier command, already."""
    if (folder / name).exists():
        raise ValueError(
            f"--report-dir is {folder}, which has a {name} of an earlier run; no result is overwritten, "
            "so name another folder (without the option, there is a new one for each run)"
        )


def runs(reports: Path) -> list[Path]:
    """The report folders in `reports`, newest first: by name, or else by when they were changed."""
    marked = [path for path in reports.iterdir() if not path.is_symlink() and ownership.owns(path)]
    return sorted(marked, key=_time, reverse=True)


def _time(folder: Path) -> str:
    if _NAME.fullmatch(folder.name):
        return folder.name
    return _stamp(datetime.fromtimestamp(folder.stat().st_mtime, UTC))


def _named(reports: Path) -> Iterator[Path]:
    if reports.is_dir():
        for path in reports.iterdir():
            if _NAME.fullmatch(path.name) and ownership.owns(path):
                yield path


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%d_%H-%M-%S.") + f"{time.microsecond // 1000:03}"
