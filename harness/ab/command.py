"""A/B of a revision, or of another interpreter, against the working tree.

`make ab BASE=REVISION ARGS="..."`, or `python -m harness ab REVISION -- ...`, where pytest's arguments
select the rows. Prints a table, and writes `ab.json`, `ab.md` and `ab.svg` to the report folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .. import run_folders
from ..paths import ROOT
from .comparison import compare
from .interpreter import checked
from .report import write
from .selection import select
from .side import Checkout
from .worktree import python_of, worktree

_STATUS = {"held": 0, "worse": 1, "undecided": 3}


def main(
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
    python = checked(base_python, ROOT) if base_python is not None else None
    selection = select(arguments)
    run_folders.check_free(selection.settings.report_dir, "ab.json")
    with ExitStack() as stack:
        folder = selection.root
        if revision is not None:
            folder = stack.enter_context(worktree(folder, revision))
        base = Checkout("base", folder, python or python_of(folder, selection.root))
        head = Checkout("head", selection.root, Path(sys.executable))
        found = compare(selection, base, head, percent=percent, points=points)
    named = " with ".join(str(each) for each in (revision, base_python) if each is not None)
    write(found, selection.settings, named)
    return _STATUS[found.outcome]
