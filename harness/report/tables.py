"""The tables of a summary in Markdown: rows next to the published figures, and claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tabulate import tabulate

from ..accuracy import format_accuracy
from ..engine_speeds.comparable import unlike
from ..exercise import row_name
from ..files.record import Decision
from ..files.summary import CaseSummary, ExerciseSummary, Summary
from ..looks import Looks
from ..stats import half_width
from ..verdicts import Verdict, counted_verdict, verdicts_on
from ..wording import counted
from .nodes import counts_of_nodes, rows_of_nodes
from .seed_counts import seeds_each

NONE = "–"
_RESUMED = "*"
RESUMED_NOTE = f"{_RESUMED}: trained and timed in an earlier session of this report."
_IN_ASCII = str.maketrans({"–": "-", "±": "+-", "µ": "u", "†": "+", "…": "~"})
_NUMERIC = ("accuracy", "published", "seconds", "published_seconds")
_NAMED = 12  # rows on another data set; more are only counted


class Cells(NamedTuple):
    """The formatted cells of a row, the same in every table."""

    name: str
    accuracy: str
    published: str
    seconds: str
    published_seconds: str
    outcome: str
    engine: str
    device: str


def cells_of(case: CaseSummary) -> Cells:
    """Formats the row; published figures that are missing become NONE."""
    published = case.paper
    return Cells(
        name=row_name(case.id) + (f" {_RESUMED}" if case.resumed else ""),
        accuracy=format_accuracy(case.test_accuracy, decimals=4),
        published=NONE if published.test_accuracy is None else f"{published.test_accuracy:.3f}",
        seconds=format_seconds(case.seconds),
        published_seconds=NONE if published.seconds is None else format_seconds(published.seconds),
        outcome=_outcome(case),
        engine=case.engine,
        device=case.device,
    )


def _outcome(case: CaseSummary) -> str:
    """Returns the outcome; if seeds differ in it, the number of seeds with each."""
    counts = Counter(case.outcomes)
    if len(counts) < 2:
        return case.outcome
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())


def rows_table(cases: Iterable[CaseSummary], headers: Mapping[str, str]) -> str:
    """Tabulates the rows by the fields of Cells that `headers` names, in its order.

    Columns of published figures are left out if no row has one.
    """
    rows = [cells_of(case) for case in cases]
    shown = [
        field
        for field in headers
        if not field.startswith("published") or any(getattr(row, field) != NONE for row in rows)
    ]
    return format_table(
        [[getattr(row, field) for field in shown] for row in rows],
        [headers[field] for field in shown],
        ["right" if field in _NUMERIC else "left" for field in shown],
    )


def claims_table(claims: Sequence[Decision], headers: Mapping[str, str]) -> str:
    """Tabulates the claims by the fields of Decision that `headers` names, in its order."""
    rows = [[getattr(claim, field) for field in headers] for claim in claims]
    return format_table(rows, [*headers.values()], ["left"] * len(headers))


def verdict_counts(claims: Collection[Decision]) -> dict[Verdict, int]:
    """Returns the number of claims by verdict, for every verdict that such claims can have."""
    counts = Counter(claim.verdict for claim in claims)
    return {verdict: counts[verdict] for verdict in verdicts_on(claim.source for claim in claims)}


def found_verdicts(claims: Collection[Decision]) -> str:
    """Returns how many claims have each verdict that any has, like "3 reproduced, 1 inconclusive"."""
    return ", ".join(
        counted_verdict(verdict, count) for verdict, count in verdict_counts(claims).items() if count
    )


def format_table(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    align: Sequence[str],
    style: str = "github",
) -> str:
    """Tabulates the rows; `style` is one of tabulate's formats, by default Markdown's."""
    return tabulate(
        rows,
        headers=headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=align if rows else None,
    )


def format_tables(summary: Summary) -> list[str]:
    """Formats the tables of the exercises, then the table of claims."""
    texts = ["\n\n".join(exercise_parts(each, summary)) for each in summary.exercises]
    return [*texts, _claims(summary)] if any(e.claims for e in summary.exercises) else texts


def format_caption(summary: Summary) -> str:
    """Formats a few lines that say what the tables show and on which machine it was measured."""
    machine = summary.machine
    has_added = any(case.added for case in summary.cases)
    replicates = max((case.timed_seeds for case in summary.cases), default=1)
    return "\n".join(
        [
            f"Scale {summary.scale}, {summary.dataset}, on {machine.device_name} "
            f"({counted(machine.cores, 'core')}, torch {machine.torch}, Python {machine.python}).",
            "Accuracies are final test accuracies, "
            + (
                "from one seed; so are all comparisons."
                if replicates == 1 and not has_added
                else f"means over {replicates} seeds with 95 % intervals."
                if not has_added
                else f"means with 95 % intervals: {seeds_each(summary.cases)}."
            ),
            *_looks(summary),
            "Times are of training alone, "
            + (
                f"for the first {'seed' if replicates == 1 else f'{replicates} seeds'}, "
                if has_added
                else "for all seeds together, "
                if replicates > 1
                else ""
            )
            + (
                "SHARED with other processes."
                if summary.timing == "shared"
                else "each on its own cores or GPU."
            )
            + " Preparing the engines (compiling, building networks) took another "
            f"{format_seconds(sum(case.prepare_seconds for case in summary.cases))} s in total.",
            f"{NONE}: not published, or not reached."
            + (f" {RESUMED_NOTE}" if any(case.resumed for case in summary.cases) else ""),
            *_of_a_shard(summary),
            *counts_of_nodes(summary.cases),
            *_engines_left_out(summary.cases),
        ]
    )


def _looks(summary: Summary) -> list[str]:
    """Returns a line on the looks at claims whose rows got more seeds, if they could."""
    replicates = max((case.timed_seeds for case in summary.cases), default=1)
    if not summary.seeds_until_decided:
        return []
    looks = Looks(replicates, summary.seeds_until_decided)
    *counts, most = map(str, looks.seeds)
    return [
        f"Each claim is decided with the first of {', '.join(counts)} and {most} seeds that suffice, by "
        f"{100 * looks.confidence:.4g} % intervals, so that all looks together have 95 % confidence "
        "(Bonferroni)."
    ]


def _of_a_shard(summary: Summary) -> list[str]:
    """Returns a line that says of which shard the tables are, if they are of one."""
    if not summary.shard:
        return []
    index, _, count = summary.shard.partition("/")
    return [
        f"Shard {index} of {count}: {counted(len(summary.cases), 'row')}. The other rows, and claims on "
        "them, are in the other shards; `python -m harness merge` makes one report of all."
    ]


def encodable(text: str, encoding: str) -> str:
    """Returns the text in characters of the encoding, replaced by ASCII if necessary."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_IN_ASCII).encode(encoding, errors="replace").decode(encoding)
    return text


def format_seconds(value: float) -> str:
    """Formats seconds: whole numbers and values from 100 without decimals, others to three digits."""
    # With three digits, what rounds to 100 would end with a point.
    return f"{value:.0f}" if value >= 99.95 or value == int(value) else f"{value:#.3g}"


def format_markdown(summary: Summary) -> str:
    """Returns the content of `summary.md`: the caption and all tables."""
    return "\n\n".join([format_caption(summary), *format_tables(summary)]) + "\n"


def exercise_parts(exercise: ExerciseSummary, summary: Summary) -> list[str]:
    """Formats the title, the rows, their time to accuracy, and notes."""
    by_id = {case.id: case for case in summary.cases}
    ran = [by_id[case] for case in exercise.cases if case in by_id]
    missing = [row_name(case) for case in exercise.cases if case not in by_id]
    study = summary.study
    source = f"; {study.published}: {source_of(exercise)}" if exercise.source else ""
    parts = [f"## {exercise.title} ({counted(exercise.epochs, 'epoch')}{source})"]
    if ran:
        headers = {
            "name": study.row,
            "accuracy": "test accuracy",
            "published": study.published,
            "seconds": "time (s)",
            "published_seconds": f"{study.published} (s)",
            "outcome": "outcome",
            "engine": "engine",
            "device": "device",
        }
        parts.append(rows_table(ran, headers))
        for targets in dict.fromkeys(tuple(case.time_to_accuracy) for case in ran):
            alike = [case for case in ran if tuple(case.time_to_accuracy) == targets]
            parts += _time_to_accuracy(alike, targets)
        if note := unlike({row_name(case.id): case.ran_on for case in ran}):
            parts.append(note)
        parts += other_data(ran, summary.dataset)
        parts += rows_of_nodes(ran)
    if missing:
        parts.append(f"Did not run: {', '.join(missing) if ran else 'all rows'}.")
    return parts


def source_of(exercise: ExerciseSummary) -> str:
    """Returns where the published figures are, and after how many epochs if not the run's number."""
    if exercise.full_epochs in (None, exercise.epochs):
        return exercise.source
    return f"{exercise.source}, after {counted(exercise.full_epochs, 'epoch')}"


def _engines_left_out(cases: Iterable[CaseSummary]) -> list[str]:
    """Returns a line for each engine that `--engine auto` left out, and each kind of experiment."""
    lines = {
        f"Engine {name} was left out for {case.experiment.kind}: {reason}."
        for case in cases
        for name, reason in case.engines_left_out.items()
    }
    return sorted(lines)


def best_of(cases: Sequence[CaseSummary], most: int) -> list[CaseSummary]:
    """Returns the rows with the highest mean final accuracies, in their order."""
    ranked = sorted(
        range(len(cases)),
        key=lambda at: sum(cases[at].test_accuracy) / len(cases[at].test_accuracy),
        reverse=True,
    )
    return [cases[at] for at in sorted(ranked[:most])]


def _time_to_accuracy(ran: Sequence[CaseSummary], targets: Sequence[str]) -> list[str]:
    """Returns the table of time to accuracy, and a line on rows that never reach the lowest target."""
    if not targets:
        return []
    reached = [case for case in ran if any(case.time_to_accuracy[targets[0]].epochs)]
    if not reached:
        return []
    columns = [(target, measure) for target in targets for measure in ("epochs", "steps", "seconds")]
    table = format_table(
        [
            [
                row_name(case.id),
                *(
                    format_reached(getattr(case.time_to_accuracy[target], measure))
                    for target, measure in columns
                ),
            ]
            for case in reached
        ],
        ["time to test accuracy", *(f"{float(target):.0%} {measure}" for target, measure in columns)],
        ["left", *["right"] * len(columns)],
    )
    never = [row_name(case.id) for case in ran if case not in reached]
    return [table, f"Never reached {float(targets[0]):.0%}: {', '.join(never)}."] if never else [table]


def format_reached(values: Sequence[float | None]) -> str:
    """Formats the mean over seeds, or the number that reached the target if some did not."""
    reached = [value for value in values if value is not None]
    if not reached:
        return NONE
    if len(reached) < len(values):
        return f"{len(reached)} of {len(values)}"
    middle, half = format_seconds(sum(reached) / len(reached)), half_width(reached)
    return middle if half is None else f"{middle} ± {format_seconds(float(half))}"


def other_data(ran: Sequence[CaseSummary], dataset: str) -> list[str]:
    """Returns a line with the names, or the number, of rows on other data sets than the run's."""
    others: dict[str, list[str]] = {}
    for case in ran:
        if (other := str(case.experiment.dataset)) != dataset:
            others.setdefault(other, []).append(row_name(case.id))
    listed = [
        f"{name} on {other}"
        for other, names in others.items()
        for name in (names if len(names) <= _NAMED else [f"{len(names)} rows"])
    ]
    return [f"Not on {dataset}: {', '.join(listed)}."] if listed else []


def _claims(summary: Summary) -> str:
    claims = summary.claims
    listed = sum(len(exercise.claims) for exercise in summary.exercises)
    counts = ", ".join(counted_verdict(*each) for each in verdict_counts(claims).items())
    parts = [f"## Claims: {counts}"]
    if claims:
        headers = {"text": "claim", "source": "where", "verdict": "verdict", "evidence": "evidence"}
        parts.append(claims_table(claims, headers))
    if len(claims) < listed:
        parts.append(f"Not decided in this run: {listed - len(claims)} of {listed}.")
    return "\n\n".join(parts)
