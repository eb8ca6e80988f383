"""Finds the commit that made a row worse: `git bisect`, with A/B as its judge.

Each candidate is compared with GOOD, so that a step is not lost among smaller ones. Git chooses the
candidates, in a worktree of its own, whose bisection ends with it; the user's checkout is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..processes import git
from .worktree import worktree

BisectTerm = Literal["good", "bad", "skip"]
"""Of a commit, in git's words; one that cannot be told is skipped."""

Judge = Callable[[Path], tuple[BisectTerm, str]]
"""Compares the commit that is checked out in a folder with GOOD; returns the verdict and its figures."""

# Git's log is the same in all languages, unlike what it prints.
_FOUND = re.compile(r"^# (?:possible )?first bad commit: \[([0-9a-f]+)\]", re.MULTILINE)


@dataclass(frozen=True)
class Judged:
    """A commit that was judged."""

    commit: str
    verdict: BisectTerm
    figures: str
    """The result of the comparison with GOOD, in words."""


@dataclass
class Bisection:
    """What is known of the range of commits so far."""

    judged: list[Judged]
    candidates: list[str] = field(default_factory=list)
    """At the end: the commit, or several if those that could tell them apart were skipped."""


def check_range(repository: Path, good: str, bad: str) -> int:
    """Returns the number of commits from GOOD, without it, to BAD, given their hashes.

    Raises ValueError if there is nothing between them to bisect.
    """
    if good == bad:
        raise ValueError(f"GOOD and BAD are one commit, {good[:10]}; expected two")
    count = int(git(repository, "rev-list", "--count", f"{good}..{bad}"))
    if int(git(repository, "rev-list", "--count", f"{bad}..{good}")) or not count:
        raise ValueError(
            f"GOOD is {good[:10]}, which is not an ancestor of BAD, {bad[:10]}; expected one"
        )
    return count


def bisect(
    repository: Path, good: str, bad: str, judge: Judge, figures_of_bad: str
) -> Iterator[Bisection]:
    """Yields what is known after each commit that is judged, the last time with the result.

    GOOD and BAD are hashes, and were judged already. Raises ValueError if git fails.
    """
    known = Bisection([Judged(bad, "bad", figures_of_bad)])
    with worktree(repository, bad) as folder:
        git(folder, "bisect", "start", bad, good)
        while not (found := _result(folder)):
            commit = git(folder, "rev-parse", "HEAD")
            verdict, figures = judge(folder)
            known.judged.append(Judged(commit, verdict, figures))
            yield known
            _mark(folder, verdict)
        known.candidates = found
    yield known


def _mark(folder: Path, verdict: BisectTerm) -> None:
    try:
        git(folder, "bisect", verdict)
    except ValueError:
        # Git also fails if only commits are left that were skipped, which is a result.
        if not _result(folder):
            raise


def _result(folder: Path) -> list[str]:
    """Returns the first bad commit, or those that may be it; none as long as there is more to judge."""
    return _FOUND.findall(git(folder, "bisect", "log"))
