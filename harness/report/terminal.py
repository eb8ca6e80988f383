"""The texts that a session prints at its end: tables, claims that do not hold, and what comes next.

No line is longer than `WIDTH`, if names and messages allow it. `tables` has the whole tables, for
`summary.md` and the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from textwrap import wrap
from typing import NamedTuple

from ..engine_speeds.comparable import unlike
from ..exercise import row_name, short_name
from ..files.record import Decision
from ..files.summary import CaseSummary, ExerciseSummary, Summary
from ..results.evenness import UNEVEN_SIGN
from ..verdicts import DOES_NOT_HOLD, INCONCLUSIVE, NOT_REPRODUCED
from ..wording import counted, first_few
from . import tables
from .differences import is_uneven, points_from_published
from .next_steps import next_steps

WIDTH = 80
_EXPLAINED = (NOT_REPRODUCED, DOES_NOT_HOLD, INCONCLUSIVE)
_MOST_ROWS = 60  # of an exercise
_DIFFERENCES = 5
_MOST_NAMES = 6
_STEPS = 2  # so that the end fits on one screen


class _Column(NamedTuple):
    header: str
    cells: list[str]
    right: bool
    rank: int
    """Columns with the highest rank are left out first if the table is too wide."""


def format_exercise(exercise: ExerciseSummary, summary: Summary) -> str:
    """Formats an exercise's title, its rows, and notes; only the best of many rows are listed."""
    by_id = {case.id: case for case in summary.cases}
    every = [by_id[case] for case in exercise.cases if case in by_id]
    missing = [row_name(case) for case in exercise.cases if case not in by_id]
    study = summary.study
    source = f"; {study.published}: {tables.source_of(exercise)}" if exercise.source else ""
    title = f"{exercise.title} ({counted(exercise.epochs, 'epoch')}{source})"
    parts = [_wrapped(title)]
    shown = tables.best_of(every, _MOST_ROWS)
    if shown:
        parts.append(_table(shown, summary))
        notes = []
        if len(shown) < len(every):
            notes.append(
                f"Showing the {len(shown)} rows with the highest test accuracies; "
                f"{len(every) - len(shown)} more are in summary.md."
            )
        if note := unlike({row_name(case.id): case.ran_on for case in shown}):
            notes.append(note)
        notes += tables.other_data(every, summary.dataset)
        parts += [_wrapped(note) for note in notes]
    if missing:
        parts.append(_wrapped(f"Did not run: {first_few(missing, 20) if shown else 'all rows'}."))
    return "\n\n".join(parts)


def format_claims(claims: Sequence[Decision]) -> str:
    """Formats the evidence of claims that are not as stated, or open; the page has the others'."""
    explained = [claim for verdict in _EXPLAINED for claim in claims if claim.verdict == verdict]
    return "\n".join(
        line
        for claim in explained
        for line in (
            *wrap(f"{claim.verdict}: {claim.text}", WIDTH, subsequent_indent="  "),
            *wrap(claim.evidence, WIDTH, initial_indent="    ", subsequent_indent="    "),
        )
    )


def format_ending(summary: Summary) -> str:
    """Formats the counts of verdicts, the largest differences from the paper, and notes on the times."""
    parts = [*_verdicts(summary), *_differences(summary)]
    return "\n\n".join([*parts, "\n".join(_wrapped(line) for line in _notes(summary))])


def format_next(summary: Summary, typed: Callable[[str], str]) -> str:
    """Formats the commands to run next, as `typed` makes them, each with what it is for."""
    return "\n".join(
        f"Next: {typed(step.command)}\n{_wrapped(step.why, indent='      ')}"
        for step in next_steps(summary)[:_STEPS]
    )


def _table(cases: Sequence[CaseSummary], summary: Summary) -> str:
    cells = [tables.cells_of(case) for case in cases]
    target = min((min(case.time_to_accuracy, default="1") for case in cases), default="1")
    columns = [
        _Column(summary.study.row, [each.name for each in cells], False, 0),
        _Column("test\naccuracy", [each.accuracy for each in cells], True, 0),
        _Column(summary.study.published, [each.published for each in cells], True, 1),
        _Column(
            "time\n(s)",
            [_time(case, each.seconds) for case, each in zip(cases, cells, strict=True)],
            True,
            0,
        ),
        _Column(f"{summary.study.published}\n(s)", [each.published_seconds for each in cells], True, 3),
        _Column(f"epochs\nto {float(target):.0%}", [_epochs(case, target) for case in cases], True, 2),
        _Column("outcome", [each.outcome for each in cells], False, 1),
    ]
    columns = [column for column in columns if {*column.cells} != {tables.NONE}]
    while (text := _tabulated(columns)) and _width(text) > WIDTH and any(c.rank for c in columns):
        columns.remove(max(columns, key=lambda column: column.rank))
    if (excess := _width(text) - WIDTH) > 0:
        names = columns[0].cells
        longest = max(20, max(map(len, names)) - excess)
        text = _tabulated(
            [columns[0]._replace(cells=[_shortened(n, longest) for n in names]), *columns[1:]]
        )
    return text


def _tabulated(columns: Sequence[_Column]) -> str:
    return tables.format_table(
        [list(row) for row in zip(*(column.cells for column in columns), strict=True)],
        [column.header for column in columns],
        ["right" if column.right else "left" for column in columns],
        "simple",
    )


def _time(case: CaseSummary, seconds: str) -> str:
    return f"{UNEVEN_SIGN}{seconds}" if is_uneven(case) else seconds


def _epochs(case: CaseSummary, target: str) -> str:
    reached = case.time_to_accuracy.get(target)
    return tables.format_reached(reached.epochs) if reached else tables.NONE


def _verdicts(summary: Summary) -> list[str]:
    listed = sum(len(exercise.claims) for exercise in summary.exercises)
    if not listed:
        return []
    sentences = [f"Claims: {tables.found_verdicts(summary.claims)}."] if summary.claims else []
    if len(summary.claims) < listed:
        undecided = listed - len(summary.claims)
        sentences.append(f"Not decided in this run: {undecided} of {counted(listed, 'claim')}.")
    return [_wrapped(" ".join(sentences))]


def _differences(summary: Summary) -> list[str]:
    """Returns the rows that differ most from their published test accuracies."""
    found = [
        (points, case) for case in summary.cases if (points := points_from_published(case)) is not None
    ]
    largest = sorted(found, key=lambda each: -abs(each[0]))[:_DIFFERENCES]
    if not largest:
        return []
    fewer = [e for e in summary.exercises if e.full_epochs not in (None, e.epochs)]
    after = ""
    if fewer:
        epochs = sorted({each.epochs for each in fewer})
        span = f"{epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f"{epochs[0]}"
        after = f", after {span} of {max(each.full_epochs or 0 for each in fewer)} epochs"
    rows = [
        [short_name(case.id), cells.accuracy, cells.published, f"{points:+.1f}"]
        for points, case in largest
        for cells in [tables.cells_of(case)]
    ]
    headers = [summary.study.row, "here", summary.study.published, "points"]
    table = tables.format_table(rows, headers, ["left", "right", "right", "right"], "simple")
    return [f"{_wrapped(f'Largest differences from the {summary.study.published}{after}:')}\n{table}"]


def _notes(summary: Summary) -> Iterable[str]:
    """Yields what was measured on what, and what the marks mean."""
    engines = sorted({case.ran_on for case in summary.cases})
    if len(engines) == 1:
        yield f"Engine: {engines[0]}."
    if uneven := [case for case in summary.cases if is_uneven(case)]:
        names = first_few([row_name(case.id) for case in uneven], _MOST_NAMES)
        yield f"{UNEVEN_SIGN} An epoch took twice the median or more: {names}."
    yield from tables.format_caption(summary).splitlines()


def _wrapped(text: str, indent: str = "") -> str:
    return "\n".join(wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent or "  "))


def _shortened(name: str, longest: int) -> str:
    """Returns the name without its middle, if it is longer than that."""
    if len(name) <= longest:
        return name
    end = (longest - 1) // 2
    return f"{name[: longest - 1 - end]}…{name[-end:]}"


def _width(text: str) -> int:
    return max(map(len, text.splitlines()))
