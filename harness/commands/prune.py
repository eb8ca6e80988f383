"""Deletes the oldest report folders; no other command deletes a run.

`make prune KEEP=N`, or `python -m harness prune N`. Keeps the newest N folders in `reports/`, any that a
session is writing to, the one that `latest` links to, and published runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from .. import ownership, run_folders
from ..study import load_study
from .arguments import add_study, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "keep", type=at_least(1), metavar="KEEP", help="the number of newest folders to keep"
    )
    add_study(parser)


def run(options: argparse.Namespace) -> int:
    return prune_runs(options.keep, load_study(options.study).reports)


def prune_runs(keep: int, reports: Path) -> int:
    """Deletes all but the newest `keep` report folders and prints which were deleted.

    Returns the exit status: 1 if a folder could not be deleted.
    """
    if not reports.is_dir():
        raise ValueError(f"{reports} is not a folder; there is nothing to delete")
    found, status = run_folders.runs(reports), 0
    latest = run_folders.latest(reports)
    for folder in found[keep:]:
        if folder == latest:
            continue
        try:
            _delete(folder)
        except OSError as error:
            print(f"kept {folder}: {error}", file=sys.stderr)
            status = 1
        else:
            print(f"deleted {folder}")
    print(f"{sum(folder.exists() for folder in found)} of {len(found)} report folders are kept.")
    return status


def _delete(folder: Path) -> None:
    """Deletes a folder. Raises OSError if it is in use or contains files that no report has."""
    path = folder / "locks" / "session.lock"
    if not path.exists():
        ownership.remove(folder)
        return
    try:
        with FileLock(path, timeout=0):
            ownership.remove(folder)
    except Timeout:
        raise OSError("a session is writing to it") from None
