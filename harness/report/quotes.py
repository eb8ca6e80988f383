"""The text of each kind of passage, as quoted from a published run.

Each function takes the run's folder and returns Markdown. It raises LookupError with the end of a
sentence, "needs ...", if the run lacks what the passage quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..files import sealed
from ..files.record import TrainingRecord, read_record
from ..files.session_phases import PhasesFile
from ..files.speeds import SpeedFile, SpeedRow, TimesFile
from ..files.summary import CaseSummary, ExerciseSummary, Machine, Summary
from ..files.types import Model
from ..paths import PHASES, SPEED, TIMES
from ..wording import counted
from . import tables, terminal
from .phase_table import format_phases
from .scaling import scaling
from .seed_counts import seeds_each
from .series import phrase, varying

_PEERS = {"eager": "eager", "jax": "JAX", "torch.compile": "torch.compile"}  # names in the tables

_Kind = TypeVar("_Kind", bound=Model)
_Measured = dict[tuple[str, int, int | None], dict[str, SpeedRow]]


def _overview(folder: Path) -> str:
    """Returns the run's command, machine, size, duration and verdicts, in sentences."""
    summary = _summary(folder)
    cases = summary.cases
    if not cases or not summary.exercises:
        raise LookupError("needs rows, but the run has none")
    epochs = sorted({case.experiment.epochs for case in cases})
    of_epochs = f"{epochs[0]} to " * (epochs[0] < epochs[-1]) + counted(epochs[-1], "epoch")
    row, published = summary.study.row, summary.study.published
    sentences = [
        f"`{summary.command}` on {_machine(summary.machine)}: "
        f"{counted(len(cases), row)} of {of_epochs}, {seeds_each(cases)}, in "
        f"{sum(case.all_seconds for case in cases):,.0f} s of training."
    ]
    if timed := [case for case in cases if case.paper.seconds]:
        theirs = sum(case.paper.seconds or 0 for case in timed)
        sentences.append(
            f"The {counted(len(timed), row)} with a time in the {published} took "
            f"{sum(case.seconds for case in timed):,.0f} s, compared with {theirs:,.0f} s there."
        )
    if summary.claims:
        decided = counted(len(summary.claims), "claim")
        sentences.append(f"Of {decided} decided: {tables.found_verdicts(summary.claims)}.")
    return " ".join(sentences)


def _terminal(folder: Path, module: str) -> str:
    """Returns an exercise's title and rows as a terminal shows them."""
    summary = _summary(folder)
    exercise = _exercise(summary, module)
    _rows_of(exercise, summary)
    title, rows, *_ = terminal.format_exercise(exercise, summary).split("\n\n")
    return f"```text\n{title}\n\n{rows}\n```"


def _findings(folder: Path, module: str) -> str:
    """Returns an exercise's rows next to the published figures, and the verdicts on its claims."""
    summary = _summary(folder)
    exercise = _exercise(summary, module)
    cases = _rows_of(exercise, summary)
    decided = {claim.id: claim for claim in summary.claims}
    _require("claim", exercise.claims, decided)
    claims = [decided[claim] for claim in exercise.claims]
    source = {"source": "where"} if any(claim.source for claim in claims) else {}
    headers = {"text": "claim", **source, "verdict": "verdict", "evidence": "evidence"}
    parts = [_rows_table(cases, summary)]
    return "\n\n".join([*parts, tables.claims_table(claims, headers)] if claims else parts)


def _batches(folder: Path, module: str) -> str:
    """Returns an exercise's accuracies by batch size; rows that differ in nothing else share a line."""
    summary = _summary(folder)
    cases = _rows_of(_exercise(summary, module), summary)
    sizes = sorted({case.experiment.batch_size for case in cases})
    if len(sizes) < 2:
        raise LookupError("needs rows of several batch sizes, which the run lacks")
    settings = varying([case.experiment for case in cases], ["batch size"])
    lines: dict[str, dict[int, tables.Cells]] = {}
    for case in cases:
        label = phrase(case.experiment, settings) or "all rows"
        lines.setdefault(label, {})[case.experiment.batch_size] = tables.cells_of(case)
    figures = [{cells.published for cells in line.values()} for line in lines.values()]
    one_each = all(len(each) == 1 for each in figures)
    body = [
        [
            label,
            *(each if one_each else ()),
            *(line[size].accuracy if size in line else tables.NONE for size in sizes),
        ]
        for (label, line), each in zip(lines.items(), figures, strict=True)
    ]
    headers = ["row", *[summary.study.published] * one_each, *(f"{size:,}" for size in sizes)]
    return _table(body, headers, ["left", *["right"] * (len(headers) - 1)])


def _steps(folder: Path, module: str) -> str:
    """Returns the test accuracies of an exercise's timed rows after the same numbers of steps."""
    summary = _summary(folder)
    exercise = _exercise(summary, module)
    _rows_of(exercise, summary)
    records = map(read_record, (folder / "runs").glob("*.json"))
    runs = {record.id: record for record in records if isinstance(record, TrainingRecord)}
    timed = [runs[case] for case in exercise.cases if case in runs and runs[case].paper.seconds]
    counts = sorted({run.steps for run in timed})
    rows = [
        [_accuracy_after(steps * run.experiment.epochs / run.steps, run) for steps in counts]
        for run in timed
    ]
    # Leave out numbers of steps that only one batch size has: they allow no comparison.
    shown = [at for at in range(len(counts)) if sum(row[at] != tables.NONE for row in rows) > 1]
    return _table(
        [
            [f"{run.experiment.batch_size:,}", *(row[at] for at in shown)]
            for run, row in zip(timed, rows, strict=True)
        ],
        ["batch size", *(f"{counts[at]:,} steps" for at in shown)],
    )


def _accuracy_after(epoch: float, run: TrainingRecord) -> str:
    """Formats the mean test accuracy and the number of epochs; only whole epochs have an accuracy."""
    if epoch != int(epoch) or not 1 <= epoch <= run.experiment.epochs:
        return tables.NONE
    accuracies = run.test_accuracy[int(epoch)]
    return f"{sum(accuracies) / len(accuracies):.3f} ({counted(int(epoch), 'epoch')})"


def _speed(folder: Path) -> str:
    """Returns each engine's time per step next to its peers', with one replicate."""
    machine, measured, peers = _speeds(folder)
    body = [
        [
            optimizer,
            f"{batch_size:,}",
            tables.NONE if cores is None else str(cores),
            *(f"{of.us_per_step:,.0f}" if (of := engines.get(peer)) else tables.NONE for peer in peers),
            name,
            f"{row.us_per_step:,.1f}",
            f"{row.ratio_to_best_peer:.1f}",
            f"{row.share_of_roofline:.0%}" if row.share_of_roofline else tables.NONE,
        ]
        for (optimizer, batch_size, cores), engines in measured.items()
        for name, row in engines.items()
        if name not in _PEERS
    ]
    headers = ["optimizer", "batch size", "cores", *(_PEERS[peer] for peer in peers)]
    headers += ["engine", "engine's time", "speed-up", "share of roofline bound"]
    align = ["left", *["right"] * (2 + len(peers)), "left", *["right"] * 3]
    return (
        "Microseconds per step with one replicate, and the speed-up over "
        f"{_fastest(peers)}, on {machine}:\n\n{_table(body, headers, align)}"
    )


def _peers(folder: Path) -> str:
    """Returns the speed-up of the first engine, which `auto` uses, over the fastest of its peers."""
    machine, measured, peers = _speeds(folder)
    ways = list(dict.fromkeys((optimizer, cores) for optimizer, _, cores in measured))
    body = [
        [
            f"{size:,}",
            *(
                f"{next(iter(measured[optimizer, size, cores].values())).ratio_to_best_peer:.1f}"
                for optimizer, cores in ways
            ),
        ]
        for size in dict.fromkeys(batch_size for _, batch_size, _ in measured)
    ]
    headers = [
        f"{optimizer}, {counted(cores, 'core')}" if cores else optimizer for optimizer, cores in ways
    ]
    return (
        f"Speed-up per optimizer step over {_fastest(peers)}, on {machine}:\n\n"
        f"{_table(body, ['batch size', *headers])}"
    )


def _speeds(folder: Path) -> tuple[str, _Measured, list[str]]:
    """Returns the machine, the rows with one replicate by settings and engine, and the peers."""
    file = _file(folder, SPEED, SpeedFile)
    measured: _Measured = {}
    for row in file.rows:
        if row.replicates == 1:
            measured.setdefault((row.optimizer, row.batch_size, row.cores), {})[row.engine] = row
    names = dict.fromkeys(name for engines in measured.values() for name in engines)
    peers = [name for name in names if name in _PEERS]
    if not peers:
        raise LookupError(f"needs rows of an engine and its peers in {SPEED}, but it has none")
    jax = (file.machine.model_extra or {}).get("jax")
    return _machine(file.machine) + (f" with JAX {jax}" if jax else ""), measured, peers


def _fastest(peers: Sequence[str]) -> str:
    word = "faster" if len(peers) == 2 else "fastest"
    return f"the {word} of {_names(peers)}" if len(peers) > 1 else _names(peers)


def _names(peers: Sequence[str]) -> str:
    *others, last = (_PEERS[peer] for peer in peers)
    return f"{', '.join(others)} and {last}" if others else last


def _times(folder: Path) -> str:
    """Returns how much times under `-n` differ from serial ones, in a sentence."""
    found = _file(folder, TIMES, TimesFile)
    return (
        f"On {_machine(found.machine)}, times under `-n {found.workers}` were {found.lowest:.2f} to "
        f"{found.highest:.2f} times the serial ones, with a median of {found.median:.2f} over "
        f"{counted(len(found.rows), 'row')}; each time is the median of {found.rounds} runs."
    )


def _phases(folder: Path) -> str:
    """Returns what the session spent its time on."""
    summary, phases = _summary(folder), _file(folder, PHASES, PhasesFile)
    return f"`{summary.command}` on {_machine(summary.machine)} took {format_phases(phases)}"


def _cluster(folder: Path) -> str:
    """Returns how a run used its cluster, and how larger ones would be used."""
    return scaling(_summary(folder).cases)


OF_A_RUN: dict[str, Callable[[Path], str]] = {
    "overview": _overview,
    "speed": _speed,
    "peers": _peers,
    "times": _times,
    "phases": _phases,
    "cluster": _cluster,
}
OF_AN_EXERCISE: dict[str, Callable[[Path, str], str]] = {
    "terminal": _terminal,
    "findings": _findings,
    "batches": _batches,
    "steps": _steps,
}


def _summary(folder: Path) -> Summary:
    return _file(folder, "summary.json", Summary)


def _file(folder: Path, name: str, kind: type[_Kind]) -> _Kind:
    if not (folder / name).exists():
        raise LookupError(f"needs {name}, which the run lacks")
    try:
        return sealed.read_model(folder / name, kind)
    except sealed.FileError as error:
        # Without the folder, which may be a temporary one.
        raise LookupError(f"needs {str(error).replace(str(folder / name), name)}") from None


def _exercise(summary: Summary, module: str) -> ExerciseSummary:
    for exercise in summary.exercises:
        if Path(exercise.module).stem == module:
            return exercise
    raise LookupError(f"needs the exercise of {module}.py, which the run lacks")


def _rows_of(exercise: ExerciseSummary, summary: Summary) -> list[CaseSummary]:
    """Returns the exercise's rows. Raises LookupError if the run lacks any of them."""
    cases = {case.id: case for case in summary.cases}
    _require("row", exercise.cases, cases)
    return [cases[case] for case in exercise.cases]


def _require(what: str, wanted: Iterable[str], found: dict[str, Any]) -> None:
    if missing := [each for each in wanted if each not in found]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise LookupError(f"needs the {what} {missing[0]}{more}, which the run lacks")


def _rows_table(cases: Iterable[CaseSummary], summary: Summary) -> str:
    published = summary.study.published
    headers = {
        "name": summary.study.row,
        "published": published,
        "accuracy": "here",
        "published_seconds": f"{published} (s)",
        "seconds": "here (s)",
        "outcome": "outcome",
    }
    return tables.rows_table(cases, headers)


def _machine(machine: Machine) -> str:
    cores = f", {counted(machine.cores, 'core')}" * (machine.device == "cpu")
    return f"{machine.device_name}{cores} (PyTorch {machine.torch}, Python {machine.python})"


def _table(
    rows: Sequence[Sequence[str]], headers: Sequence[str], align: Sequence[str] | None = None
) -> str:
    return tables.format_table(rows, headers, align or ["right"] * len(headers))
