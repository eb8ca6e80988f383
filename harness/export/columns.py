"""The columns of the tables, and their values from a run: `docs/export.md` lists them.

The tables are tidy: a row of `results` is the result of one seed of one row of an exercise, a row of
`curves` is one epoch of it. A value that a run lacks is None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from model.values import escaped

from ..exercise import row_name
from ..files.record import TrainingRecord
from ..files.summary import CaseSummary
from ..report.load import Run

TABLES = ("results", "curves")

Kind = Literal["text", "whole", "number", "truth"]
Value = str | int | float | bool | None

RESULTS: Mapping[str, Kind] = {
    "run": "text",
    "created": "text",
    "commit": "text",
    "code": "text",
    "study": "text",
    "scale": "text",
    "case": "text",
    "exercise": "text",
    "row": "text",
    "seed": "whole",
    "replicates": "whole",
    "dataset": "text",
    "optimizer": "text",
    "learning_rate": "number",
    "optimizer_settings": "text",
    "batch_size": "whole",
    "epochs": "whole",
    "order": "text",
    "init": "text",
    "network": "text",
    "schedule": "text",
    "engine": "text",
    "device": "text",
    "device_name": "text",
    "cores": "whole",
    "threads": "whole",
    "node": "text",
    "timing": "text",
    "torch": "text",
    "python": "text",
    "resumed": "truth",
    "outcome": "text",
    "test_accuracy": "number",
    "train_accuracy": "number",
    "steps": "whole",
    "seconds": "number",
    "seconds_per_epoch": "number",
    "fastest_epoch_seconds": "number",
    "paper_test_accuracy": "number",
    "paper_seconds": "number",
}
"""The columns of `results` that every run has. After them come two for each target accuracy of its data
sets: `epochs_to_0.97` (whole) and `seconds_to_0.97`."""

CURVES: Mapping[str, Kind] = {
    "run": "text",
    "case": "text",
    "exercise": "text",
    "row": "text",
    "seed": "whole",
    "epoch": "whole",
    "seconds": "number",
    "train_loss": "number",
    "train_accuracy": "number",
    "test_loss": "number",
    "test_accuracy": "number",
}


@dataclass(frozen=True)
class Table:
    """Columns by name, and the rows as tuples in the order of the columns."""

    columns: Mapping[str, Kind]
    rows: Sequence[tuple[Value, ...]]

    def values(self) -> dict[str, list[Value]]:
        """Returns each column's values."""
        return {name: [row[at] for row in self.rows] for at, name in enumerate(self.columns)}


def table_of(run: Run, name: str) -> Table:
    """Returns the table `name`, one of TABLES, of a run."""
    return results_table(run) if name == "results" else curves_table(run)


def results_table(run: Run) -> Table:
    """Returns the result of each seed of each row of the run."""
    targets = sorted({target for case in run.cases.values() for target in case.time_to_accuracy})
    columns = {**RESULTS}
    for target in targets:
        columns[f"epochs_to_{target}"] = "whole"
        columns[f"seconds_to_{target}"] = "number"
    rows = [
        tuple(found.get(column) for column in columns)
        for case in run.cases.values()
        for found in _results(run, case)
    ]
    return Table(columns, rows)


def _results(run: Run, case: CaseSummary) -> Iterator[dict[str, Value]]:
    summary, record = run.summary, run.curves.get(case.id)
    settings = case.experiment.to_dict()
    optimizer = {**settings["optimizer"]}
    common: dict[str, Value] = {
        **_names(run, case),
        "created": summary.created,
        "commit": summary.commit,
        "code": summary.code,
        "study": summary.study.title,
        "scale": summary.scale,
        "replicates": case.timed_seeds,
        "dataset": str(case.experiment.dataset),
        "optimizer": optimizer.pop("class"),
        "learning_rate": optimizer.pop("learning_rate"),
        "optimizer_settings": _json(optimizer),
        "batch_size": case.experiment.batch_size,
        "epochs": case.experiment.epochs,
        "order": case.experiment.order,
        "init": str(case.experiment.init),
        "network": _json(settings["network"]),
        "schedule": None if settings["schedule"] is None else _json(settings["schedule"]),
        "engine": case.engine,
        "device": case.device,
        "device_name": (case.hardware or summary.machine).device_name,
        "cores": (case.hardware or summary.machine).cores,
        "threads": case.threads,
        "timing": case.timing,
        "torch": summary.machine.torch,
        "python": summary.machine.python,
        "resumed": case.resumed,
        "steps": case.steps,
        "seconds": case.seconds,
        "seconds_per_epoch": case.seconds / case.experiment.epochs,
        "fastest_epoch_seconds": fastest_epoch(record) if record else None,
        "paper_test_accuracy": case.paper.test_accuracy,
        "paper_seconds": case.paper.seconds,
    }
    nodes = {seed: block.node for block in case.blocks for seed in block.seeds}
    for at, seed in enumerate(case.seeds):
        reached = {
            f"{what}_to_{target}": getattr(each, what)[at]
            for target, each in case.time_to_accuracy.items()
            for what in ("epochs", "seconds")
        }
        yield {
            **common,
            "seed": seed,
            "node": nodes.get(seed),
            "outcome": record.outcomes[at] if record else case.outcome,
            "test_accuracy": case.test_accuracy[at],
            "train_accuracy": case.train_accuracy[at],
            **reached,
        }


def curves_table(run: Run) -> Table:
    """Returns the learning curves of the run: losses and accuracies after every epoch, from 0."""
    rows: list[tuple[Value, ...]] = []
    for case_id, record in run.curves.items():
        names = _names(run, run.cases[case_id])
        first = tuple(names[name] for name in ("run", "case", "exercise", "row"))
        curves = [getattr(record, name) for name in [*CURVES][7:]]
        for at, seed in enumerate(record.seeds):
            rows += [
                (*first, seed, epoch, seconds, *(curve[epoch][at] for curve in curves))
                for epoch, seconds in enumerate(record.epoch_seconds)
            ]
    return Table(CURVES, rows)


def _names(run: Run, case: CaseSummary) -> dict[str, str]:
    module = case.id.partition("::")[0]
    return {
        "run": escaped(run.folder.name),
        "case": case.id,
        "exercise": module,
        "row": row_name(case.id),
    }


def fastest_epoch(record: TrainingRecord) -> float:
    """Returns the seconds of the fastest epoch, the time that other processes disturb least."""
    return min(later - earlier for earlier, later in pairwise(record.epoch_seconds))


def _json(settings: Any) -> str:
    return json.dumps(settings, sort_keys=True)
