"""Reads a report folder, whose files may come from anywhere, be of any size, and be damaged.

Without a valid `summary.json` there is no page: ReportError says why in one line. A case, claim or
record that is damaged or unknown is left out, and `Run.left_out` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from model.values import one_line

from ..files import sealed
from ..files.drawn_figures import OwnFigure, OwnFigures
from ..files.record import Decision, MeasurementRecord, TrainingRecord, read_record
from ..files.sealed import FileError
from ..files.speeds import SpeedFile
from ..files.summary import SCHEMA, CaseSummary, Summary
from ..files.types import Model
from ..paths import FIGURES, SPEED
from ..results.records import to_case

_MAX_BYTES = 256 * 2**20  # of a folder; 1000 rows of 5 seeds and 100 epochs have up to 80 MiB
_MAX_CASES = 1000

_Kind = TypeVar("_Kind", bound=Model)


class ReportError(ValueError):
    """A report folder cannot be read or written; the message says which and why, in one line."""


@dataclass(frozen=True)
class Run:
    """A run, as far as its report folder could be read."""

    folder: Path
    summary: Summary
    cases: dict[str, CaseSummary]
    claims: dict[str, Decision]
    curves: dict[str, TrainingRecord]
    """By case, for those that have a record."""
    own_figures: list[OwnFigure]
    speed: SpeedFile | None
    left_out: list[str] = field(default_factory=list)
    """What was left out, and why: a line each."""


def load_run(folder: Path) -> Run:
    """Reads the run in `folder`.

    Raises ReportError where it is none, or one that this version cannot read.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise ReportError(f"{folder} is no report of a finished run: it has no summary.json")
    try:
        content = sealed.read_content(path, max_bytes=_MAX_BYTES)
        if (schema := content.get("schema")) != SCHEMA:
            raise FileError(f"{path} has schema {schema!r:.20}; this version reads schema {SCHEMA}")
        summary = sealed.parse(path, Summary, content)
    except FileError as error:
        raise ReportError(str(error)) from None

    left_out: list[str] = []
    listed = {case for exercise in summary.exercises for case in exercise.cases}
    cases = {
        case.id: case for case in _valid(CaseSummary, summary.cases[:_MAX_CASES], "the case", left_out)
    }
    if len(summary.cases) > _MAX_CASES:
        left_out.append(f"{len(summary.cases) - _MAX_CASES} cases beyond the first {_MAX_CASES}")
    for case in [case for case in cases if case not in listed]:
        left_out.append(one_line(f"the case {case}: no exercise lists it"))
        del cases[case]
    claims = {claim.id: claim for claim in _valid(Decision, summary.claims, "the claim", left_out)}

    curves: dict[str, TrainingRecord] = {}
    for file, record in _records(folder / "runs", _MAX_BYTES - path.stat().st_size, left_out):
        if isinstance(record, TrainingRecord) and record.id in cases:
            if differing := _difference(record, cases[record.id]):
                left_out.append(one_line(f"{file}: its {differing} is not the summary's"))
            else:
                curves[record.id] = record
    left_out += [
        one_line(f"curves of {case}: no record in runs/ that could be read")
        for case in cases
        if case not in curves
    ]
    own = _optional(folder / FIGURES, OwnFigures, left_out)
    return Run(
        folder,
        summary,
        cases,
        claims,
        curves,
        own.figures if own else [],
        _optional(folder / SPEED, SpeedFile, left_out),
        left_out,
    )


def _records(
    folder: Path, left: int, left_out: list[str]
) -> Iterator[tuple[Path, TrainingRecord | MeasurementRecord]]:
    """The records in `folder`, up to `left` bytes in all."""
    for path in sorted(folder.glob("*.json")):
        try:
            left -= path.stat().st_size
            if left < 0:
                raise FileError(
                    f"{path}: with it, the report has more than {_MAX_BYTES / 2**20:.3g} MiB"
                )
            record = read_record(path)
        except OSError as error:
            left_out.append(one_line(error))
        else:
            yield path, record


def _optional(path: Path, kind: type[_Kind], left_out: list[str]) -> _Kind | None:
    """The content of a file that not every report has."""
    if path.exists():
        try:
            return sealed.read_model(path, kind)
        except FileError as error:
            left_out.append(str(error))
    return None


def _valid(kind: type[_Kind], entries: list[Any], what: str, left_out: list[str]) -> Iterator[_Kind]:
    for entry in entries:
        try:
            yield kind.model_validate(entry)
        except ValidationError as error:
            left_out.append(
                one_line(f"{what} {entry.get('id', 'without id')!s:.200}: {sealed.why(error)}")
            )


def _difference(record: TrainingRecord, case: CaseSummary) -> str | None:
    """The first field in which the summary's case is not what its record says, or None."""
    expected = CaseSummary.model_validate(to_case(record, resumed=case.resumed))
    return next((name for name, value in expected if value != getattr(case, name)), None)
