"""A/B of a revision, or of another interpreter, against the working tree.

`make ab BASE=REVISION ARGS="..."`, or `python -m harness ab REVISION -- ...`, where pytest's arguments
select the rows. Prints a table, and writes `ab.json`, `ab.md` and `ab.svg` to the report folder.
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
        help="an interpreter for the base (default: this one; if the lock files differ, the base's own)",
    )
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
    """Compares; returns 0, 1 where a row is slower or learns worse, or 3 where it could not tell.

    Raises ValueError, in a line, for what cannot be compared. Where it is interrupted, the base's
    worktree is removed.
    """
    if revision is None and base_python is None:
        raise ValueError("ab needs BASE, a revision, or --base-python, another interpreter")
    python = checked_interpreter(base_python, ROOT) if base_python is not None else None
    selection = select(arguments)
    run_folders.check_free(selection.settings.report_dir, "ab.json")
    with ExitStack() as stack:
        folder = selection.root
        if revision is not None:
            folder = stack.enter_context(worktree(folder, revision))
        base = Checkout("base", folder, python or python_of(folder, selection.root))
        head = Checkout("head", selection.root, Path(sys.executable))
        found = compare_checkouts(selection, base, head, percent=percent, points=points)
    named = " with ".join(str(each) for each in (revision, base_python) if each is not None)
    write_comparison(found, selection.settings, named)
    return _STATUS[found.outcome]
