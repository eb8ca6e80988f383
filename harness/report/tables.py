"""The tables, from a summary alone: the exercises' rows beside the published ones, and the claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from model.experiment import Experiment

from ..engine_speeds.comparable import unlike
from ..exercise import row_name
from ..stats import format_mean, half_width
from ..verdicts import verdicts_on
from ..wording import first_few

NONE = "–"
_RESUMED = "*"
RESUMED_NOTE = f"{_RESUMED}: trained by an earlier session of this report, and timed by it."
_IN_ASCII = str.maketrans({"–": "-", "±": "+-", "µ": "u"})
_PUBLISHED = (2, 4)  # the columns of published figures
_HOW = ("outcome", "engine", "device")
_ROWS_ALIGN = ("left", *["right"] * 4, "left", "left", "left")
_NAMED = 12  # rows on another data set, where each is named
_IN_TERMINAL = 60  # rows of an exercise, and of a list
# Column widths of the claims' table in a terminal, in characters; longer text is wrapped.
_CLAIM_WIDTHS = (44, 14, 66)


def format_tables(summary: dict[str, Any], style: str) -> list[str]:
    """The tables of the exercises, then of the claims. `style` is one of tabulate's formats."""
    texts = [format_exercise(exercise, summary, style) for exercise in summary["exercises"]]
    return [*texts, _claims(summary, style)] if any(e["claims"] for e in summary["exercises"]) else texts


def format_caption(summary: dict[str, Any]) -> str:
    """What the tables show and what was run on what, in a few lines."""
    machine = summary["machine"]
    replicates = max((len(case["seeds"]) for case in summary["cases"]), default=1)
    return "\n".join(
        [
            f"Scale {summary['scale']}, {summary['dataset']}, on {machine['device_name']} "
            f"({machine['cores']} core{'s' if machine['cores'] > 1 else ''}, torch {machine['torch']}, "
            f"Python {machine['python']}).",
            "Accuracies are final ones on the test set, "
            + (
                "of one seed, and so are all comparisons."
                if replicates == 1
                else f"means over {replicates} seeds with 95 % intervals."
            ),
            "Times are training alone, all seeds together"
            + (
                ", SHARED with whatever ran beside them."
                if summary["timing"] == "shared"
                else ", each on its own cores or GPU."
            )
            + " Preparing the engines (compiling, building networks) took another "
            f"{format_seconds(sum(case['prepare_seconds'] for case in summary['cases']))} s in all.",
            f"{NONE}: not published, or not reached."
            + (f" {RESUMED_NOTE}" if any(case["resumed"] for case in summary["cases"]) else ""),
            *_engines_left_out(summary["cases"]),
        ]
    )


def encodable(text: str, encoding: str) -> str:
    """The text in characters that `encoding` has, ASCII's if need be."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_IN_ASCII).encode(encoding, errors="replace").decode(encoding)
    return text


def _engines_left_out(cases: list[dict[str, Any]]) -> list[str]:
    """A line for each engine and kind of experiment that `--engine auto` did not take it for."""
    lines = {
        f"Engine {name} was left out for {Experiment.from_dict(case['experiment']).kind}: {reason}."
        for case in cases
        for name, reason in case.get("engines_left_out", {}).items()
    }
    return sorted(lines)


def format_exercise(exercise: dict[str, Any], summary: dict[str, Any], style: str) -> str:
    """Title, table of the rows, table of time to accuracy, and the rows that did not run.

    In the style "simple", a terminal's, of many rows those that end best.
    """
    by_id = {case["id"]: case for case in summary["cases"]}
    ran = {row_name(case): by_id[case] for case in exercise["cases"] if case in by_id}
    missing = [row_name(case) for case in exercise["cases"] if case not in by_id]
    epochs = exercise["epochs"]
    parts = [
        _title(
            f"{exercise['title']} ({epochs} epoch{'s' if epochs > 1 else ''}"
            + (
                f"; {summary['study']['published']}: {exercise['source']})"
                if exercise["source"]
                else ")"
            ),
            style,
        )
    ]
    every, most = ran, _IN_TERMINAL if style == "simple" else len(exercise["cases"])
    if len(ran) > most:
        ran = _best_of(ran, most)
    if ran:
        parts.append(_rows_table(ran, summary["study"], style))
        for targets in dict.fromkeys(tuple(case["time_to_accuracy"]) for case in ran.values()):
            of_targets = {
                name: case for name, case in ran.items() if tuple(case["time_to_accuracy"]) == targets
            }
            parts += _time_to_accuracy(of_targets, style)
        if len(ran) < len(every):
            parts.append(
                f"These are the {len(ran)} rows with the best test accuracies; "
                f"{len(every) - len(ran)} more are in summary.md."
            )
        if note := unlike({name: f"{case['engine']} on {case['device']}" for name, case in ran.items()}):
            parts.append(note)
        parts += _other_data(every, summary["dataset"])
    if missing:
        parts.append(f"Did not run: {first_few(missing, most) if ran else 'all rows'}.")
    return "\n\n".join(parts)


def _best_of(ran: dict[str, dict[str, Any]], most: int) -> dict[str, dict[str, Any]]:
    """The rows with the best final accuracies, in their order."""

    def accuracy(name: str) -> float:
        values: list[float] = ran[name]["test_accuracy"]
        return sum(values) / len(values)

    kept = {*sorted(ran, key=accuracy, reverse=True)[:most]}
    return {name: case for name, case in ran.items() if name in kept}


def _rows_table(ran: dict[str, dict[str, Any]], study: dict[str, str], style: str) -> str:
    """The rows, without the columns of published figures where there are none."""
    row, published = study["row"], study["published"]
    every = (row, "test\naccuracy", published, "time\n(s)", f"{published}\n(s)", *_HOW)
    cells = [format_row(*each) for each in ran.items()]
    shown = [
        at for at in range(len(every)) if at not in _PUBLISHED or any(each[at] != NONE for each in cells)
    ]
    headers, align = ([each[at] for at in shown] for each in (every, _ROWS_ALIGN))
    return _table([[each[at] for at in shown] for each in cells], headers, align, style)


def _time_to_accuracy(ran: dict[str, dict[str, Any]], style: str) -> list[str]:
    """The table of time to accuracy, and the rows that never reach the lowest target."""
    targets = list(next(iter(ran.values()))["time_to_accuracy"])
    measures = ("epochs", "steps", "seconds")
    reached = {
        name: case for name, case in ran.items() if any(case["time_to_accuracy"][targets[0]]["epochs"])
    }
    if not reached:
        return []
    headers = [
        "time to\ntest accuracy",
        *(f"{float(target):.0%}\n{measure}" for target in targets for measure in measures),
    ]
    rows = [
        [
            name,
            *(
                _format_reached(case["time_to_accuracy"][target][measure])
                for target in targets
                for measure in measures
            ),
        ]
        for name, case in reached.items()
    ]
    table = _table(rows, headers, ("left", *["right"] * (len(headers) - 1)), style)
    never = [name for name in ran if name not in reached]
    return [table, f"Never reached {float(targets[0]):.0%}: {', '.join(never)}."] if never else [table]


def _other_data(ran: dict[str, dict[str, Any]], dataset: str) -> list[str]:
    """A line with the rows that have a data set of their own, if any; of many, how many."""
    others: dict[str, list[str]] = {}
    for name, case in ran.items():
        other = str(Experiment.from_dict(case["experiment"]).dataset)
        if other != dataset:
            others.setdefault(other, []).append(name)
    listed = [
        f"{name} on {other}"
        for other, names in others.items()
        for name in (names if len(names) <= _NAMED else [f"{len(names)} rows"])
    ]
    return [f"Not on {dataset}: {', '.join(listed)}."] if listed else []


def _claims(summary: dict[str, Any], style: str) -> str:
    claims = summary["claims"]
    counts = Counter(claim["verdict"] for claim in claims)
    listed = sum(len(exercise["claims"]) for exercise in summary["exercises"])
    words = verdicts_on(claim.get("source", "") for claim in claims)
    counted = ", ".join(f"{counts[verdict]} {verdict}" for verdict in words)
    parts = [_title(f"Claims: {counted}", style)]
    if claims:
        if style == "github":
            rows = [[c["text"], c["source"], c["verdict"], c["evidence"]] for c in claims]
            table = _table(rows, ("claim", "where", "verdict", "evidence"), ("left",) * 4, style)
        else:
            rows = [[c["text"], c["verdict"], c["evidence"]] for c in claims]
            table = _table(
                rows, ("claim", "verdict", "evidence"), ("left",) * 3, style, widths=_CLAIM_WIDTHS
            )
        parts.append(table)
    if len(claims) < listed:
        parts.append(f"Not decided in this run: {listed - len(claims)} of {listed}.")
    return "\n\n".join(parts)


def _title(text: str, style: str) -> str:
    return f"## {text}" if style == "github" else text


def _table(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    align: Sequence[str],
    style: str,
    widths: Sequence[int] | None = None,
) -> str:
    return tabulate(
        rows,
        headers=[header.replace("\n", " ") if style == "github" else header for header in headers],
        tablefmt=style,
        disable_numparse=True,
        colalign=align,
        maxcolwidths=widths,
    )


def format_row(name: str, case: dict[str, Any]) -> list[str]:
    """A case's cells, in the order of the columns."""
    published = case["paper"]
    return [
        f"{name} {_RESUMED}" if case["resumed"] else name,
        format_mean(case["test_accuracy"], decimals=4),
        NONE if published["test_accuracy"] is None else f"{published['test_accuracy']:.3f}",
        format_seconds(case["seconds"]),
        NONE if published["seconds"] is None else format_seconds(published["seconds"]),
        case["outcome"],
        case["engine"],
        case["device"],
    ]


def _format_reached(values: list[float | None]) -> str:
    """The mean over the seeds, or how many of them reached the target at all."""
    reached = [value for value in values if value is not None]
    if not reached:
        return NONE
    if len(reached) < len(values):
        return f"{len(reached)} of {len(values)}"
    middle, half = sum(reached) / len(reached), half_width(reached)
    return (
        format_seconds(middle)
        if half is None
        else f"{format_seconds(middle)} ± {format_seconds(float(half))}"
    )


def format_seconds(value: float) -> str:
    """Seconds with three significant digits; whole numbers, and all from 100 on, without decimals."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:#.3g}"
