"""The folders of runs, and a link `latest` to the newest.

A run's folder is named after its time (UTC) and commit, `reports/2026-11-25_14-57-54.318_d2cbc64`. It
never moves, and only `make prune` deletes runs.
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
    """Returns the folder in `reports` for a run that begins now, without creating it."""
    name = _stamp(datetime.now(UTC))
    with suppress(ValueError):
        name += "_" + git(reports.parent, "rev-parse", "--short=7", "--verify", "HEAD", timeout=10)
    folder = reports / name
    others = (reports / f"{name}-{number}" for number in range(2, 1000))
    return folder if not folder.exists() else next(other for other in others if not other.exists())


def begin(folder: Path) -> None:
    """Prepares a run in `folder`, if `new` named it, and copies the machine's measurements to it.

    Raises ForeignFilesError if `latest` is something that the suite did not create.
    """
    if not _NAME.fullmatch(folder.name):
        return
    link = folder.parent / LINK
    if link.is_symlink():
        if not _NAME.fullmatch(os.readlink(link)):
            raise ownership.ForeignFilesError(
                f"{link} links to {os.readlink(link)}, which is not a run in {folder.parent}; remove it"
            )
    elif link.exists():
        if not ownership.owns(link):
            raise ownership.ForeignFilesError(
                f"{link} is neither a link to a run nor a report of this suite; move it away"
            )
        # Earlier versions wrote their report there; it is renamed like a run.
        earlier = folder.with_name(_stamp(datetime.fromtimestamp(link.stat().st_mtime, UTC)))
        link.rename(earlier)
        lead_to(earlier)
    before = latest(folder.parent)
    for name in (SPEED, TIMES):
        if before and (before / name).is_file() and not (folder / name).exists():
            with suppress(OSError):  # the run can do without a forecast
                shutil.copy2(before / name, folder / name)


def latest(reports: Path) -> Path | None:
    """Returns the newest run's folder in `reports`, or None. Without a link, it is found by name."""
    link = reports / LINK
    if link.is_dir() and ownership.owns(link):
        return link.resolve()
    return max(_named(reports), key=lambda folder: folder.name, default=None)


def lead_to(folder: Path) -> None:
    """Points the link `latest` to `folder`, if that has a run's name."""
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
    """Returns the folder for files about the machine: `given`, the newest run's, or a new one."""
    if folder := given or latest(reports):
        ownership.make_or_share(folder)
    else:
        ownership.make(folder := new(reports))
        lead_to(folder)
    return folder


def check_free(folder: Path, name: str) -> None:
    """Raises ValueError if the report folder already has a file `name` from an earlier command."""
    if (folder / name).exists():
        raise ValueError(
            f"--report-dir is {folder}, which has a {name} from an earlier run, and results are never "
            "overwritten; name another folder, or omit the option to use a new one"
        )


def runs(reports: Path) -> list[Path]:
    """Returns the report folders in `reports`, newest first, by name or modification time."""
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
