"""Renders `report.html`, a single self-contained file that makes no network requests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import vl_convert

from ..exercise import row_name, slug
from ..files.record import Decision
from ..files.summary import ExerciseSummary
from ..stats import format_mean
from ..verdicts import (
    DOES_NOT_HOLD,
    HOLDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
)
from .changes import NOTABLE, SLOWER, RunChanges
from .figures import Figure
from .figures.time_to_accuracy import percent
from .headline import headline
from .load import Run
from .series import Line, lines_of, unlike_engines
from .tables import NONE, cells_of, format_seconds, source_of, verdict_counts

_TEMPLATES = Path(__file__).parent / "template"
_SIGNS = {
    **dict.fromkeys((REPRODUCED, HOLDS), "✓"),
    **dict.fromkeys((NOT_REPRODUCED, DOES_NOT_HOLD), "✗"),
    INCONCLUSIVE: "?",
    NOT_TESTABLE: "–",
}
_KINDS = {
    **dict.fromkeys((REPRODUCED, HOLDS), "yes"),
    **dict.fromkeys((NOT_REPRODUCED, DOES_NOT_HOLD), "no"),
    **dict.fromkeys((INCONCLUSIVE, NOT_TESTABLE), "open"),
}
_OPEN_ROWS = 25  # of a table or list; any others are folded


def render_page(
    run: Run,
    exercises: Mapping[str, Sequence[Figure]],
    engines: Sequence[Figure],
    comparisons: Sequence[RunChanges],
) -> str:
    """Renders the page of a run.

    `exercises` has the figures of each exercise by module, `engines` those of the engines' speeds.
    """
    figures = [figure for each in (*exercises.values(), engines) for figure in each]
    listed = sum(len(exercise.claims) for exercise in run.summary.exercises)
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # a snippet is optional
    scripts = [_embeddable(bundle), _text("page.js")]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # keeps the variants in order
    environment.filters |= {
        "seconds": format_seconds,
        "format_mean": format_mean,
        "signed": _signed,
        "row_name": row_name,
        "moment": _moment,
    }
    return environment.get_template("report.html").render(
        run=run,
        summary=run.summary,
        verdicts=[
            (verdict, _KINDS[verdict], _SIGNS[verdict], number)
            for verdict, number in verdict_counts(run.claims.values()).items()
        ],
        listed=listed,
        undecided=listed - len(run.claims),
        exercises=[
            _exercise(run, exercise, exercises[exercise.module]) for exercise in run.summary.exercises
        ],
        engines=engines,
        comparisons=comparisons,
        slower=SLOWER,
        seeds=sorted({seed for case in run.cases.values() for seed in case.seeds}),
        dash=NONE,
        open_rows=_OPEN_ROWS,
        notable=NOTABLE,
        style=_text("style.css"),
        scripts=scripts,
        policy=_policy(scripts),
        specs={figure.name: _specs(figure) for figure in figures},
        data={name: rows for figure in figures for name, rows in figure.data.items()},
    )


def _exercise(run: Run, exercise: ExerciseSummary, figures: Sequence[Figure]) -> dict[str, Any]:
    lines = lines_of(run, exercise)
    return {
        "about": exercise,
        "source": source_of(exercise),
        "slug": slug(exercise.module),
        "claims": [
            _claim(run.claims[claim], exercise) for claim in exercise.claims if claim in run.claims
        ],
        "answer": headline(lines),
        "rows": [_row(line) for line in lines],
        "published": any(line.case.paper.test_accuracy is not None for line in lines),
        "published_seconds": any(line.case.paper.seconds is not None for line in lines),
        "target": _first_target(lines),
        "engines": unlike_engines(lines),
        "missing": [row_name(case) for case in exercise.cases if case not in run.cases],
        "figures": figures,
    }


def _claim(claim: Decision, exercise: ExerciseSummary) -> dict[str, Any]:
    return {
        "about": claim,
        "kind": _KINDS[claim.verdict],
        "sign": _SIGNS[claim.verdict],
        "unused": [name for name in map(row_name, exercise.cases) if name not in claim.rows],
    }


def _first_target(lines: list[Line]) -> str:
    """Returns the first target accuracy, like "90 %", or "learn" if rows differ in it."""
    first = {min(line.case.time_to_accuracy) for line in lines if line.case.time_to_accuracy}
    return percent(min(first)) if len(first) == 1 else "learn"


def _row(line: Line) -> dict[str, Any]:
    """Returns the formatted cells of a row, with its label and its mean epochs to the first target."""
    case = line.case
    first = min(case.time_to_accuracy, default=None)
    epochs = (
        [epoch for epoch in case.time_to_accuracy[first].epochs if epoch is not None] if first else []
    )
    return {
        **cells_of(case)._asdict(),
        "label": line.label,
        "epochs": f"{sum(epochs) / len(epochs):.3g}" if len(epochs) == len(case.seeds) else NONE,
    }


def _specs(figure: Figure) -> dict[str, Any]:
    """Returns what page.js draws a figure from; its data sets are named, as figures share them."""
    return {
        "data": list(figure.data),
        "title": figure.title,
        "variants": figure.variants,
    }


def _moment(created: str) -> str:
    """Formats an ISO time, like "2026-11-26 03:44 UTC"; other text is returned as it is."""
    try:
        return f"{datetime.fromisoformat(created).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return created


def _signed(value: float) -> str:
    """Formats a difference in percentage points."""
    return f"{value:+.2f}".replace("-", "−")


def _policy(scripts: Sequence[str]) -> str:
    """Returns a content security policy that allows these scripts and inline styles, but no requests."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _embeddable(script: str) -> str:
    """Escapes the script so that it cannot close the element that contains it."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
