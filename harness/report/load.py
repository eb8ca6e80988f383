"""Reads a report folder, whose files may be damaged or written by another version.

Without a valid `summary.json` there is no page: ReportError gives the reason in one line. A damaged or
unknown record, row or claim is left out, with a line in `Run.left_out`.
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
from ..files.session_phases import PhasesFile
from ..files.speeds import SpeedFile
from ..files.summary import SCHEMA, CaseSummary, Summary
from ..files.types import Model
from ..paths import FIGURES, PHASES, SPEED
from ..results.records import to_case

_MAX_BYTES = 256 * 2**20  # of a folder; 1000 rows of 5 seeds and 100 epochs take up to 80 MiB
_MAX_ENTRIES = 1000  # rows, and claims

_Kind = TypeVar("_Kind", bound=Model)


class ReportError(ValueError):
    """A report folder cannot be read or written; the message names it and gives the reason."""


@dataclass(frozen=True)
class Run:
    """A run, with everything in its report folder that could be read."""

    folder: Path
    summary: Summary
    cases: dict[str, CaseSummary]
    claims: dict[str, Decision]
    curves: dict[str, TrainingRecord]
    """By case id; cases without a record have none."""
    own_figures: list[OwnFigure]
    speed: SpeedFile | None
    phases: PhasesFile | None
    left_out: list[str] = field(default_factory=list)
    """A line for each thing that was left out, with the reason."""


def load_run(folder: Path) -> Run:
    """Reads the run in `folder`.

    Raises ReportError if the folder has no run, or one that this version cannot read.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise ReportError(f"{folder} is not the report of a finished run: it has no summary.json")
    try:
        content = sealed.read_content(path, max_bytes=_MAX_BYTES)
        if (schema := content.get("schema")) != SCHEMA:
            raise FileError(f"{path} has schema {schema!r:.20}; this version reads schema {SCHEMA}")
        left_out: list[str] = []
        content["cases"] = _valid(CaseSummary, content.get("cases"), "case", left_out)
        content["claims"] = _valid(Decision, content.get("claims"), "claim", left_out)
        summary = sealed.parse(path, Summary, content)
    except FileError as error:
        raise ReportError(str(error)) from None

    listed = {case for exercise in summary.exercises for case in exercise.cases}
    cases = {case.id: case for case in summary.cases if case.id in listed}
    left_out += [
        one_line(f"the case {case.id}: no exercise lists it")
        for case in summary.cases
        if case.id not in listed
    ]
    claims = {claim.id: claim for claim in summary.claims}
    curves: dict[str, TrainingRecord] = {}
    for file, record in _records(folder / "runs", _MAX_BYTES - path.stat().st_size, left_out):
        if isinstance(record, TrainingRecord) and record.id in cases:
            if differing := _difference(record, cases[record.id]):
                left_out.append(one_line(f"{file}: its {differing} differs from the summary's"))
            else:
                curves[record.id] = record
    left_out += [
        one_line(f"curves of {case}: no readable record in runs/")
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
        _optional(folder / PHASES, PhasesFile, left_out),
        left_out,
    )


def _records(
    folder: Path, left: int, left_out: list[str]
) -> Iterator[tuple[Path, TrainingRecord | MeasurementRecord]]:
    """Yields the records in `folder`, up to `left` bytes in total."""
    for path in sorted(folder.glob("*.json")):
        try:
            left -= path.stat().st_size
            if left < 0:
                raise FileError(
                    f"{path} is left out: the report would have more than {_MAX_BYTES / 2**20:.3g} MiB"
                )
            record = read_record(path)
        except OSError as error:
            left_out.append(one_line(error))
        else:
            yield path, record


def _optional(path: Path, kind: type[_Kind], left_out: list[str]) -> _Kind | None:
    """Returns the content of an optional file, or None if it is missing or invalid."""
    if path.exists():
        try:
            return sealed.read_model(path, kind)
        except FileError as error:
            left_out.append(str(error))
    return None


def _valid(kind: type[_Kind], entries: Any, what: str, left_out: list[str]) -> Any:
    """Returns the valid entries, and adds a line to `left_out` for each of the others."""
    if not (isinstance(entries, list) and all(isinstance(each, dict) for each in entries)):
        return entries
    valid = []
    if len(entries) > _MAX_ENTRIES:
        left_out.append(f"{len(entries) - _MAX_ENTRIES} {what}s beyond the first {_MAX_ENTRIES}")
    for entry in entries[:_MAX_ENTRIES]:
        try:
            valid.append(kind.model_validate(entry))
        except ValidationError as error:
            left_out.append(
                one_line(f"the {what} {entry.get('id', 'without id')!s:.200}: {sealed.why(error)}")
            )
    return valid


def _difference(record: TrainingRecord, case: CaseSummary) -> str | None:
    """Returns the first field in which the summary's case differs from its record, or None."""
    expected = to_case(record, resumed=case.resumed, remark=case.paper.remark)
    given = case.model_fields_set  # earlier reports lack some fields
    return next(
        (name for name, value in expected if name in given and value != getattr(case, name)), None
    )
