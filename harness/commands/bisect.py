"""Bisects: finds the commit since which a row is slower or learns worse, with A/B as the judge.

`make bisect ROW=... GOOD=... BAD=...`, or `python -m harness bisect ROW GOOD BAD -- ...`; pytest's
arguments set the scale, the device and so on. Prints each comparison and the result, and writes
`bisect.json` to the report folder.
"""

from __future__ import annotations

import argparse
import math
from contextlib import ExitStack
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from .. import atomic_json, ownership, run_folders
from ..ab.bisection import Bisection, BisectTerm, Judge, bisect, check_range
from ..ab.comparison import ABComparison, compare_checkouts
from ..ab.output import rows_in_words
from ..ab.selection import Selection, select
from ..ab.side import Checkout
from ..ab.worktree import commit_of, python_of, worktree
from ..hardware.machine import candidate_devices, describe_machine
from ..processes import git
from ..wording import counted, first_few
from .ab import add_thresholds

_UNCLEAR = 3  # exit status if the commit is not found, as that of an inconclusive A/B

_VERDICTS: dict[str, dict[str, BisectTerm]] = {
    "time": {"slower": "bad", "same": "good", "faster": "good", "undecided": "skip"},
    "accuracy": {"fell": "bad", "held": "good", "identical": "good", "underpowered": "skip"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "python -m harness bisect ROW GOOD BAD [options] [-- pytest's arguments]"
    parser.add_argument("row", metavar="ROW", help="the row's node id, or its name if only one has it")
    parser.add_argument("good", metavar="GOOD", help="a revision before the step")
    parser.add_argument("bad", metavar="BAD", help="a revision after it")
    parser.add_argument(
        "--measure",
        choices=[*_VERDICTS],
        help="what got worse (default: time if BAD is slower, otherwise accuracy)",
    )
    add_thresholds(parser)


def run(options: argparse.Namespace) -> int:
    selection = _one_row(select(options.pytest_arguments), options.row)
    run_folders.check_free(selection.settings.report_dir, "bisect.json")
    root = selection.root
    good, bad = (commit_of(root, getattr(options, end), end.upper()) for end in ("good", "bad"))
    count = check_range(root, good, bad)
    with ExitStack() as stack:
        folder = stack.enter_context(worktree(root, good))
        base = Checkout("base", folder, python_of(folder, root))
        print(f"GOOD {_named(root, good)}, BAD {_named(root, bad)}", flush=True)
        with worktree(root, bad) as other:
            head = Checkout("head", other, python_of(other, root))
            ends = compare_checkouts(
                selection, base, head, percent=options.percent, points=options.points
            )
        measure = _what_got_worse(ends, options.measure)
        figures = rows_in_words(ends)
        if ends.errors:
            raise ValueError(f"GOOD and BAD cannot be compared: {figures}")
        if measure is None:
            if ends.outcome == "undecided":
                print(f"Inconclusive: whether BAD is worse is not known ({figures}).")
                return _UNCLEAR
            raise ValueError(
                f"BAD is not worse than GOOD ({figures}); expected a row that is slower or learns worse"
            )
        halves = max(0, math.ceil(math.log2(count)))
        print(
            f"BAD is worse ({figures}). {counted(count, 'commit')} to search by {measure}, in about "
            f"{counted(halves, 'comparison')}.",
            flush=True,
        )
        judge = _judge(selection, base, ends, measure)
        for known in bisect(root, good, bad, judge, figures):
            if not known.candidates:
                last = known.judged[-1]
                print(f"{last.verdict}: {_named(root, last.commit)} ({last.figures})", flush=True)
    _show(known, root, measure)
    folder = selection.settings.report_dir
    ownership.make_or_share(folder)
    content = {
        "row": selection.rows[0].case,
        "measure": measure,
        "good": good,
        "bad": bad,
        "percent": options.percent,
        "points": options.points,
        "scale": selection.settings.scale,
        "machine": describe_machine(candidate_devices(selection.settings.device)[0]),
        "compared_with_good": [vars(each) for each in known.judged],
        "first_bad": known.candidates,
    }
    atomic_json.write_json(folder / "bisect.json", content)
    print(f"Written to {folder}/bisect.json.")
    return 0 if len(known.candidates) == 1 else _UNCLEAR


def _one_row(selection: Selection, given: str) -> Selection:
    """Returns the selection of that row alone. Raises ValueError if there is none, or several."""
    rows = [row for row in selection.rows if given in (row.case, row.name)]
    if len(rows) > 1:
        raise ValueError(
            f"ROW is {given!r}, which several exercises have; expected one of "
            f"{', '.join(row.case for row in rows)}"
        )
    if not rows:
        names = {each for row in selection.rows for each in (row.case, row.name)}
        near = get_close_matches(given, sorted(names), n=3, cutoff=0.5)
        near = near or [row.case for row in selection.rows]
        raise ValueError(
            f"ROW is {given!r}; expected a row's node id or name, such as {first_few(near, 3)}"
        )
    return replace(selection, rows=rows)


def _what_got_worse(ends: ABComparison, wanted: str | None) -> str | None:
    """Returns `time` or `accuracy`, or None if the row did not get worse (in what is `wanted`)."""
    for measure in _VERDICTS if wanted is None else (wanted,):
        if _verdict(ends, measure) == "bad":
            return measure
    return None


def _verdict(found: ABComparison, measure: str) -> BisectTerm:
    (case,) = found.passes
    if case in found.errors:
        return "skip"
    outcome = found.speeds[case].speed if measure == "time" else found.changes[case].outcome
    return _VERDICTS[measure][outcome]


def _judge(selection: Selection, base: Checkout, ends: ABComparison, measure: str) -> Judge:
    """Returns a judge that looks for a step as large as that between the ends."""
    (case,) = ends.passes
    percent, points = ends.percent, ends.points
    if measure == "time":
        percent = 100 * math.expm1(ends.speeds[case].difference.estimate)
    else:
        change = ends.changes[case]
        points = max(100 * (change.before - change.now), points / 2)

    def judge(folder: Path) -> tuple[BisectTerm, str]:
        try:
            head = Checkout("head", folder, python_of(folder, selection.root))
            found = compare_checkouts(selection, base, head, percent=percent, points=points)
        except ValueError as error:
            return "skip", str(error)
        return _verdict(found, measure), rows_in_words(found)

    return judge


def _show(known: Bisection, root: Path, measure: str) -> None:
    what = "the row is slower" if measure == "time" else "the row learns worse"
    if len(known.candidates) == 1:
        (commit,) = known.candidates
        print(f"\nThe first commit at which {what}: {_named(root, commit, digits=40)}")
        figures = {each.commit: each.figures for each in known.judged}
        print(f"Compared with GOOD: {figures[commit]}")
        return
    print(f"\nThe first commit at which {what} is one of these; some were skipped:")
    for commit in known.candidates:
        print(f"  {_named(root, commit)}")


def _named(root: Path, commit: str, digits: int = 10) -> str:
    """Returns the commit in words: the first digits of its hash, and its subject."""
    return f'{commit[:digits]} "{git(root, "log", "-1", "--format=%s", commit)}"'
