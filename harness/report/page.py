"""Renders `report.html`, a single self-contained file that makes no network requests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2

from ..exercise import row_name
from ..stats import format_mean
from ..verdicts import (
    AGREEING,
    DISAGREEING,
    DOES_NOT_HOLD,
    HOLDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    counted_verdict,
)
from ..wording import format_duration
from .changes import NOTABLE, SLOWER, RunChanges
from .claim_list import MEANINGS, anchor
from .figures import Figure
from .inline_svg import inline_svg, that_fit
from .legend import legend_of
from .load import Run
from .next_steps import next_steps, open_without
from .packed import packed
from .page_exercise import exercise_on_page
from .seed_counts import seeds_each
from .tables import NONE, format_seconds, verdict_counts

_TEMPLATES = Path(__file__).parent / "template"
# The page's own script, in parts that share their names.
_SCRIPTS = ("unpack.js", "lines.js", "draw.js", "data.js", "sort.js", "claims.js", "print.js")
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
_DIFFERENCES = 10  # in the list of the largest ones
_OPEN_ROWS = 25  # of a table or list; any others are folded


def render_page(
    run: Run,
    exercises: Mapping[str, Sequence[Figure]],
    engines: Sequence[Figure],
    comparisons: Sequence[RunChanges],
    svgs: Mapping[str, str],
    library: str,
) -> str:
    """Renders the page of a run.

    `exercises` has the figures of each exercise by module, `engines` those of the engines' speeds, and
    `svgs` their drawings by name, which the page shows until its script draws them with `library`.
    """
    figures = [*chain.from_iterable(exercises.values()), *engines]
    listed = sum(len(exercise.claims) for exercise in run.summary.exercises)
    script = "\n".join(map(_text, _SCRIPTS))
    shown = [
        exercise_on_page(run, exercise, exercises[exercise.module]) for exercise in run.summary.exercises
    ]
    differing = _by_difference(shown)
    steps = next_steps(run.summary, run.speed)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": format_seconds,
        "format_mean": format_mean,
        "signed": _signed,
        "counted": counted_verdict,
        "row_name": row_name,
        "anchor": anchor,
        "moment": _moment,
        "duration": format_duration,
    }
    return environment.get_template("report.html").render(
        run=run,
        summary=run.summary,
        verdicts=[each for each in verdict_counts(run.claims.values()).items() if each[1]],
        kinds=_KINDS,
        signs=_SIGNS,
        meanings=MEANINGS,
        listed=listed,
        undecided=listed - len(run.claims),
        holding=sum(claim.verdict in AGREEING for claim in run.claims.values()),
        failing=sum(claim.verdict in DISAGREEING for claim in run.claims.values()),
        seeds_each=seeds_each([*run.cases.values()]),
        exercises=shown,
        differing=differing[:_DIFFERENCES],
        not_listed=max(0, len(differing) - _DIFFERENCES),
        engines=engines,
        svgs=that_fit({name: inline_svg(svg, name) for name, svg in svgs.items()}),
        comparisons=comparisons,
        next_steps=steps,
        open_otherwise=open_without(steps, run.summary),
        slower=SLOWER,
        seconds=sum(case.all_seconds for case in run.cases.values()),
        engines_used=sorted({case.ran_on for case in run.cases.values()}),
        networks=sorted({str(case.experiment.network) for case in run.cases.values()}),
        seeds=sorted({seed for case in run.cases.values() for seed in case.seeds}),
        epochs=_ends([case.experiment.epochs for case in run.cases.values()]),
        dash=NONE,
        open_rows=_OPEN_ROWS,
        notable=NOTABLE,
        style=_text("style.css"),
        script=script,
        policy=_policy([script, library]),
        library=packed(library),
        figures=packed(_drawable(figures)),
    )


def _by_difference(exercises: Sequence[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Returns each row with a published accuracy after its exercise, the furthest from it first."""
    differing = [
        (exercise, row)
        for exercise in exercises
        for row in exercise["rows"]
        if row["points"] is not None
    ]
    return sorted(differing, key=lambda each: -abs(each[1]["points"]))


def _drawable(figures: Sequence[Figure]) -> str:
    """Returns as JSON what the page's script draws figures from; they share data sets by name."""
    return json.dumps(
        {
            "figures": {
                figure.name: {
                    "title": figure.title,
                    "data": list(figure.data),
                    "variants": figure.variants,
                    "lines": [entry._asdict() for entry in legend_of(figure)],
                }
                for figure in figures
            },
            "data": {name: rows for figure in figures for name, rows in figure.data.items()},
        },
        separators=(",", ":"),
    )


def _ends(numbers: Sequence[int]) -> list[int]:
    """Returns the lowest and the highest number, or one if they are equal; none of no numbers."""
    return sorted({min(numbers), max(numbers)}) if numbers else []


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
