"""The passages of the README and of docs/ that quote published runs.

A passage stands between `<!-- KIND: NAME -->` (or `<!-- KIND MODULE: NAME -->`, of one exercise) and
`<!-- end -->`; `rewrite` makes it again from the files of the published run NAME.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from model.values import one_line

from ..exercise import row_name
from ..files import sealed
from ..files.record import read_record
from ..files.speeds import SpeedFile, TimesFile
from ..files.summary import Summary
from ..files.types import Model
from ..paths import ROOT, SPEED, TIMES
from ..verdicts import verdicts_on
from . import tables

_END = "<!-- end -->"
CHAOS = "chaos"  # docs/failures.md's table of faults, which tests/chaos/table.py writes
_COMMENT = re.compile(r"<!--(?P<text>.*?)-->", re.DOTALL)
_MARK = re.compile(r" (?P<kind>[a-z]+)(?: (?P<module>test_\w+))?: (?P<name>\w[\w.-]*) ")
# Of whatever kind: an unknown one is a mistake.
_LIKE_A_MARK = re.compile(r"\s*[\w-]+\s*(?:\d+|test_\w+)?\s*:\s*\S+\s*")

# What engines are measured beside, as the tables call it.
_PEER_NAMES = {"eager": "eager", "jax": "JAX", "torch.compile": "torch.compile"}


class PassageError(ValueError):
    """A document's passages cannot be made again; the message has the line number and says why."""


@dataclass(frozen=True)
class Passage:
    """A passage in a text: where it stands between its two marks, and what its opening mark says."""

    kind: str
    module: str | None
    """The name of the exercise's module, without its suffix."""
    name: str
    line: int
    start: int
    """Where the text between the marks begins."""
    end: int

    def __str__(self) -> str:
        module = "" if self.module is None else f" {self.module}"
        return f"{self.kind}{module}: {self.name}" if self.name else self.kind


def find(text: str) -> list[Passage]:
    """The passages of `text`. Raises PassageError where the marks are not in pairs, or are none."""
    passages: list[Passage] = []
    opened: Passage | None = None
    last = 0
    for comment in _COMMENT.finditer(text):
        line = text.count("\n", 0, comment.start()) + 1
        written = one_line(comment[0])
        if comment[0] == _END:
            if opened is None:
                raise PassageError(f"line {line}: {_END} ends no passage")
            passages.append(replace(opened, end=comment.start()))
            opened = None
        elif (mark := _mark(comment["text"], line, written)) is not None:
            if opened is not None:
                raise PassageError(f"line {opened.line}: the passage '{opened}' {_NO_END} line {line}")
            opened = replace(mark, start=comment.end())
        last = comment.end()
    if opened is not None:
        raise PassageError(f"line {opened.line}: the passage '{opened}' has no {_END}")
    if (unclosed := text.find("<!--", last)) >= 0:
        line = text.count("\n", 0, unclosed) + 1
        raise PassageError(f"line {line}: a comment begins with <!-- and does not end with -->")
    return passages


_NO_END = f"has no {_END} before the next passage, in"


def _mark(text: str, line: int, written: str) -> Passage | None:
    """The passage that a comment opens; None where it is an ordinary comment."""
    if text == f" {CHAOS} ":
        return Passage(CHAOS, None, "", line, 0, 0)
    found = _MARK.fullmatch(text)
    if found is None:
        words = re.findall(r"[^\s:]+", text.lower()) or [""]
        known = words[0] in (CHAOS, "end", *_OF_A_RUN, *_OF_AN_EXERCISE)
        # A sentence may begin with such a word.
        if not (known and len(words) <= 3) and not _LIKE_A_MARK.fullmatch(text):
            return None
        raise PassageError(
            f"line {line}: {written} is no mark; one is <!-- KIND: NAME -->, "
            f"<!-- KIND MODULE: NAME --> or {_END}"
        )
    kind, module = found["kind"], found["module"]
    if kind not in (*_OF_A_RUN, *_OF_AN_EXERCISE):
        raise PassageError(
            f"line {line}: {written} has the kind {kind!r}; "
            f"expected {', '.join([*_OF_A_RUN, *_OF_AN_EXERCISE])}"
        )
    if kind in _OF_AN_EXERCISE and module is None:
        raise PassageError(
            f"line {line}: {written} lacks an exercise's module: <!-- {kind} test_...: NAME -->"
        )
    if kind in _OF_A_RUN and module is not None:
        raise PassageError(f"line {line}: {written} has a module, and {kind} takes none")
    return Passage(kind, module, found["name"], line, 0, 0)


def rewrite(text: str, folder_of: Callable[[str], Path]) -> str:
    """`text` with its passages as the published runs have them now.

    `folder_of` returns the folder of the published run of a name.
    Raises PassageError where a mark is wrong, or a run lacks what a passage quotes.
    """
    new_line = "\r\n" if "\r\n" in text else "\n"
    parts, after = [], 0
    for passage in find(text):
        if passage.kind == CHAOS:
            continue
        try:
            body = _body(passage, folder_of)
        except (LookupError, OSError, ValueError, ArithmeticError) as error:
            why = f"cannot be made: {type(error).__name__}: {error}"
            if type(error) is LookupError:  # of `_body`
                why = str(error)
            raise PassageError(f"line {passage.line}: the passage '{passage}' {one_line(why)}") from None
        parts += [text[after : passage.start], f"\n\n{body}\n\n".replace("\n", new_line)]
        after = passage.end
    return "".join([*parts, text[after:]])


def _body(passage: Passage, folder_of: Callable[[str], Path]) -> str:
    """What stands between the marks. Raises LookupError with the end of a sentence: "needs ..."."""
    folder = folder_of(passage.name)
    if not folder.is_dir():
        raise LookupError(f"names {passage.name}, and no run of that name is published")
    if passage.module is None:
        body = _OF_A_RUN[passage.kind](folder)
    else:
        body = _OF_AN_EXERCISE[passage.kind](folder, passage.module)
    if "<!--" in body:
        raise LookupError(f"would quote a comment from {passage.name}, which could be taken for a mark")
    return body


def rewrite_document(document: Path, folder_of: Callable[[str], Path]) -> str:
    """The text of a document with its passages as they are now. Raises PassageError, which names it."""
    name = document.relative_to(ROOT) if document.is_relative_to(ROOT) else document
    try:
        text = document.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise PassageError(f"{name} is not in UTF-8") from None
    try:
        return rewrite(text, folder_of)
    except PassageError as error:
        raise PassageError(f"{name}, {error}") from None


def _overview(folder: Path) -> str:
    """What was run on what, how long it took, and the verdicts."""
    summary = _summary(folder)
    cases = _cases(summary)
    if not cases or not summary["exercises"]:
        raise LookupError("needs rows, and the run has none")
    counts = Counter(claim["verdict"] for claim in summary["claims"])
    verdicts = ", ".join(
        f"{counts[verdict]} {verdict}"
        for verdict in verdicts_on(claim["source"] for claim in summary["claims"])
        if counts[verdict]
    )
    replicates = max((len(case["seeds"]) for case in cases.values()), default=1)
    epochs = sorted({case["experiment"]["epochs"] for case in cases.values()})
    timed = [case for case in cases.values() if case["paper"]["seconds"]]
    row, published = (summary["study"][name] for name in ("row", "published"))
    sentences = [
        f"`{summary['command']}` on {_machine(summary['machine'])}: {len(cases)} {row}s of "
        f"{' to '.join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))} epochs, "
        f"{'one seed' if replicates == 1 else f'{replicates} seeds'} each, in "
        f"{sum(case['seconds'] for case in cases.values()):,.0f} s of training."
    ]
    if timed:
        sentences.append(
            f"The {len(timed)} {row}s that the {published} has times of took "
            f"{sum(case['seconds'] for case in timed):,.0f} s; there they took "
            f"{sum(case['paper']['seconds'] for case in timed):,.0f} s."
        )
    if counts:
        sentences.append(f"Of {sum(counts.values())} claims decided: {verdicts}.")
    return " ".join(sentences)


def _terminal(folder: Path, module: str) -> str:
    """An exercise's table as a terminal shows it."""
    summary = _summary(folder)
    exercise = _exercise(summary, module)
    _check_rows(exercise["cases"], summary)
    text = tables.format_exercise(exercise, summary, "simple")
    return f"```text\n{text.partition(chr(10) * 2)[0]}\n\n{text.split(chr(10) * 2)[1]}\n```"


def _findings(folder: Path, module: str) -> str:
    """An exercise's rows beside the published ones, and the verdicts on its claims."""
    summary = _summary(folder)
    exercise = _exercise(summary, module)
    decided = {claim["id"]: claim for claim in summary["claims"]}
    _check_rows(exercise["cases"], summary)
    _check_there("claim", exercise["claims"], decided)
    claims = [decided[claim] for claim in exercise["claims"]]
    keys = {"text": "claim", "source": "where", "verdict": "verdict", "evidence": "evidence"}
    if not any(claim["source"] for claim in claims):
        del keys["source"]
    table = _table(
        [[claim[key] for key in keys] for claim in claims], [*keys.values()], ("left",) * len(keys)
    )
    return "\n\n".join([_rows_table(exercise["cases"], summary), *([table] if claims else [])])


def _steps(folder: Path, module: str) -> str:
    """An exercise by optimizer steps: test accuracies of its timed rows after equally many."""
    records = [read_record(path).model_dump() for path in (folder / "runs").glob("*.json")]
    runs = {record["id"]: record for record in records if "experiment" in record}
    summary = _summary(folder)
    exercise = _exercise(summary, module)
    _check_rows(exercise["cases"], summary)
    timed = [runs[case] for case in exercise["cases"] if case in runs and runs[case]["paper"]["seconds"]]
    counts = sorted({run["steps"] for run in timed})
    rows = []
    for run in timed:
        steps_per_epoch = run["steps"] // run["experiment"]["epochs"]
        epochs = [count / steps_per_epoch for count in counts]
        rows.append([_accuracy_after(epoch, run) for epoch in epochs])
    # Steps that only one batch size was looked at after compare nothing.
    shown = [i for i in range(len(counts)) if sum(row[i] != tables.NONE for row in rows) > 1]
    return _table(
        [
            (f"{run['experiment']['batch_size']:,}", *(row[i] for i in shown))
            for run, row in zip(timed, rows, strict=True)
        ],
        ("batch size", *(f"{counts[i]:,} steps" for i in shown)),
        ["right"] * (1 + len(shown)),
    )


def _accuracy_after(epoch: float, run: dict[str, Any]) -> str:
    """The mean test accuracy with the epochs that it took; accuracies are known after whole epochs."""
    if epoch != int(epoch) or not 1 <= epoch <= run["experiment"]["epochs"]:
        return tables.NONE
    accuracies = run["test_accuracy"][int(epoch)]
    return f"{sum(accuracies) / len(accuracies):.3f} ({epoch:.0f} epoch{'s' if epoch > 1 else ''})"


def _rows(folder: Path) -> str:
    """A table for each exercise that the run has rows of."""
    summary = _summary(folder)
    ran = _cases(summary)
    if not ran:
        raise LookupError("needs rows, and the run has none")
    return "\n\n".join(
        f"**{exercise['title']}**\n\n" + _rows_table(exercise["cases"], summary)
        for exercise in summary["exercises"]
        if any(case in ran for case in exercise["cases"])
    )


def _speed(folder: Path) -> str:
    """Every engine's time per step beside its peers', of one replicate, on one core and on all."""
    measured = _file(folder, SPEED, SpeedFile)
    cases = _measured_together(measured)
    if not _peers_in(cases):
        raise LookupError(f"needs rows of an engine and its peers in {SPEED}, which has none")
    peers = _peers_in(cases)
    body = [
        (
            optimizer,
            f"{batch_size:,}",
            tables.NONE if cores is None else str(cores),
            *(_time(engines.get(peer)) for peer in peers),
            name,
            f"{row['us_per_step']:,.1f}",
            _ratio(row),
            f"{share:.0%}" if (share := row["share_of_roofline"]) else tables.NONE,
        )
        for (optimizer, batch_size, cores), engines in cases.items()
        for name, row in engines.items()
        if name not in _PEER_NAMES
    ]
    headers = (
        "optimizer",
        "batch size",
        "cores",
        *(_PEER_NAMES[peer] for peer in peers),
        "engine",
        "its time",
        "ratio to the best of the others",
        "of the roofline bound",
    )
    align = ("left", *["right"] * (2 + len(peers)), "left", *["right"] * 3)
    return f"On {_machine(measured['machine'])}{_jax(measured)}, one replicate, µs a step:\n\n" + _table(
        body, headers, align
    )


def _peers(folder: Path) -> str:
    """How many times as fast as the best of its peers the first engine is, in every case."""
    measured = _file(folder, SPEED, SpeedFile)
    cases = _measured_together(measured)
    if not _peers_in(cases):
        raise LookupError(f"needs rows of an engine and its peers in {SPEED}, which has none")
    ways = list(dict.fromkeys((optimizer, cores) for optimizer, _, cores in cases))
    body = [
        (
            f"{size:,}",
            # Of the first engine, which `auto` takes.
            *(_ratio(next(iter(cases[optimizer, size, cores].values()))) for optimizer, cores in ways),
        )
        for size in dict.fromkeys(batch_size for _, batch_size, _ in cases)
    ]
    headers = (
        "batch size",
        *(optimizer + (f", {_cores(cores)}" if cores else "") for optimizer, cores in ways),
    )
    *others, last = (_PEER_NAMES[peer] for peer in _peers_in(cases))
    names = f"the fastest of {', '.join(others)} and {last}" if others else last
    return (
        f"How many times as fast a step is as in {names}, on "
        f"{_machine(measured['machine'])}{_jax(measured)}:\n\n"
        + _table(body, headers, ["right"] * len(headers))
    )


def _measured_together(measured: dict[str, Any]) -> dict[tuple[str, int, int | None], dict[str, Any]]:
    """The rows of one replicate by engine, by optimizer, batch size and cores."""
    cases: dict[tuple[str, int, int | None], dict[str, Any]] = {}
    for row in measured["rows"]:
        if row["replicates"] == 1:
            case = (row["optimizer"], row["batch_size"], row["cores"])
            cases.setdefault(case, {})[row["engine"]] = row
    return cases


def _peers_in(cases: dict[tuple[str, int, int | None], dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for engines in cases.values() for name in engines)
    return [name for name in names if name in _PEER_NAMES]


def _ratio(row: dict[str, Any]) -> str:
    """To the best of its peers; runs of earlier versions measured eager alone."""
    return f"{row['ratio_to_best_peer'] or row['ratio_to_eager']:.1f}"


def _time(row: dict[str, Any] | None) -> str:
    return f"{row['us_per_step']:,.0f}" if row else tables.NONE


def _jax(measured: dict[str, Any]) -> str:
    version = measured["machine"].get("jax")
    return f" and JAX {version}" if version else ""


def _cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"


def _times(folder: Path) -> str:
    """How far times under `-n` were from serial ones."""
    found = _file(folder, TIMES, TimesFile)
    return (
        f"On {_machine(found['machine'])}, medians of {found['rounds']} runs each way: times under "
        f"`-n {found['workers']}` were {found['lowest']:.2f} to {found['highest']:.2f} times the "
        f"serial ones, {found['median']:.2f} in the median of {len(found['rows'])} rows."
    )


_OF_A_RUN: dict[str, Callable[[Path], str]] = {
    "overview": _overview,
    "rows": _rows,
    "speed": _speed,
    "peers": _peers,
    "times": _times,
}
_OF_AN_EXERCISE: dict[str, Callable[[Path, str], str]] = {
    "terminal": _terminal,
    "findings": _findings,
    "steps": _steps,
}


def _summary(folder: Path) -> dict[str, Any]:
    return _file(folder, "summary.json", Summary)


def _file(folder: Path, name: str, kind: type[Model]) -> dict[str, Any]:
    if not (folder / name).exists():
        raise LookupError(f"needs {name}, which the run lacks")
    try:
        return sealed.read_model(folder / name, kind).model_dump()
    except sealed.FileError as error:
        # Without the folder, where the run may be for a moment only.
        raise LookupError(f"needs {str(error).replace(str(folder / name), name)}") from None


def _check_rows(cases: Iterable[str], summary: dict[str, Any]) -> None:
    _check_there("row", cases, _cases(summary))


def _check_there(what: str, wanted: Iterable[str], there: dict[str, Any]) -> None:
    """Raises LookupError for the first of those that the run should have and has not."""
    if missing := [each for each in wanted if each not in there]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise LookupError(f"needs the {what} {missing[0]}{more}, which the run lacks")


def _cases(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {case["id"]: case for case in summary["cases"]}


def _exercise(summary: dict[str, Any], module: str) -> dict[str, Any]:
    for each in summary["exercises"]:
        if Path(each["module"]).stem == module:
            exercise: dict[str, Any] = each
            return exercise
    raise LookupError(f"needs the exercise of {module}.py, which the run lacks")


def _rows_table(ids: list[str], summary: dict[str, Any]) -> str:
    cases = _cases(summary)
    rows = []
    for case in (cases[case] for case in ids if case in cases):
        name, here, paper, seconds, paper_seconds, outcome, *_ = tables.format_row(
            row_name(case["id"]), case
        )
        rows.append((name, paper, here, paper_seconds, seconds, outcome))
    row, published = (summary["study"][name] for name in ("row", "published"))
    headers = (row, published, "here", f"{published} (s)", "here (s)", "outcome")
    align = ("left", *["right"] * 4, "left")
    # Without columns of published figures where there are none.
    shown = [at for at in range(6) if at not in (1, 3) or any(row[at] != tables.NONE for row in rows)]
    return _table(
        *(
            [[each[at] for at in shown] for each in rows],
            *([h[at] for at in shown] for h in (headers, align)),
        )
    )


def _machine(machine: dict[str, Any]) -> str:
    cores = f", {_cores(machine['cores'])}" * (machine["device"] == "cpu")
    return f"{machine['device_name']}{cores} (PyTorch {machine['torch']}, Python {machine['python']})"


def _table(rows: Any, headers: Any, align: Any) -> str:
    text: str = tabulate(
        rows, headers, "github", disable_numparse=True, colalign=align if rows else None
    )
    return text
