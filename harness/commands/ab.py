"""A/B: compares a revision, or another interpreter, with the working tree.

`make ab BASE=REVISION ARGS="..."`, or `python -m harness ab REVISION -- ...`; pytest's arguments select
the rows. Prints a table, and writes `ab.json`, `ab.md` and `ab.svg` to the report folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .. import run_folders
from ..ab.comparison import compare_checkouts
from ..ab.interpreter import checked_interpreter
from ..ab.output import write_comparison
from ..ab.provenance import provenance_of
from ..ab.selection import select
from ..ab.side import Checkout
from ..ab.worktree import python_of, worktree
from ..paths import ROOT
from .arguments import between

_STATUS = {"held": 0, "worse": 1, "undecided": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "python -m harness ab [BASE] [options] [-- pytest's arguments]"
    parser.add_argument("base", nargs="?", metavar="BASE", help="the revision to compare with")
    parser.add_argument(
        "--base-python",
        type=Path,
        metavar="PATH",
        help="the interpreter for the base (default: this one, or a new environment's if the lock files "
        "differ)",
    )
    add_thresholds(parser)


def add_thresholds(parser: argparse.ArgumentParser) -> None:
    """Adds the options for what a comparison must detect."""
    parser.add_argument(
        "--percent",
        type=between(0.1, 1000),
        default=10.0,
        help="the slowdown to detect, in percent (default: 10)",
    )
    parser.add_argument(
        "--points",
        type=between(0.01, 100),
        default=1.0,
        help="the drop in test accuracy to detect, in percentage points (default: 1)",
    )


def run(options: argparse.Namespace) -> int:
    return compare_revisions(
        options.base, options.base_python, options.percent, options.points, options.pytest_arguments
    )


def compare_revisions(
    revision: str | None,
    base_python: Path | None,
    percent: float,
    points: float,
    arguments: Sequence[str],
) -> int:
    """Compares, and returns the exit status: 0, 1 for a regression, or 3 if it is inconclusive.

    Raises ValueError if nothing can be compared. The base's worktree is always removed.
    """
    if revision is None and base_python is None:
        raise ValueError(
            "ab was given nothing to compare with; name a revision (BASE) or an interpreter "
            "(--base-python)"
        )
    python = checked_interpreter(base_python, ROOT) if base_python is not None else None
    selection = select(arguments)
    run_folders.check_free(selection.settings.report_dir, "ab.json")
    with ExitStack() as stack:
        folder = selection.root
        if revision is not None:
            folder = stack.enter_context(worktree(folder, revision))
        base = Checkout("base", folder, python or python_of(folder, selection.root))
        head = Checkout("head", selection.root, Path(sys.executable))
        sides = (
            provenance_of(base, revision, selection.rows),
            provenance_of(head, None, selection.rows),
        )
        found = compare_checkouts(selection, base, head, percent=percent, points=points)
    write_comparison(found, selection.settings, *sides)
    return _STATUS[found.outcome]
