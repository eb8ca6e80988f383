"""A/B of a revision, or of another interpreter, against the working tree.

`make ab BASE=REVISION ARGS="..."`, or `python -m harness ab REVISION -- ...`, where pytest's arguments
select the rows. Prints a table, and writes `ab.json`, `ab.md` and `ab.svg` to the report folder.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .comparison import compare
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

    Raises ValueError, in a line, for what cannot be compared.
    """
    if revision is None and base_python is None:
        raise ValueError("ab needs BASE, a revision, or --base-python, another interpreter")
    selection = select(arguments)
    with ExitStack() as stack:
        # So that the worktree is removed then, too.
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt))
        folder = selection.root
        if revision is not None:
            folder = stack.enter_context(worktree(folder, revision))
        python = base_python.absolute() if base_python else python_of(folder, selection.root)
        base = Checkout("base", folder, python)
        head = Checkout("head", selection.root, Path(sys.executable))
        try:
            found = compare(selection, base, head, percent=percent, points=points)
        except KeyboardInterrupt:
            print("Interrupted; the base's worktree is removed.", file=sys.stderr)
            return 130
    named = " with ".join(str(each) for each in (revision, base_python) if each is not None)
    write(found, selection.settings, named)
    return _STATUS[found.outcome]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt("SIGTERM")
