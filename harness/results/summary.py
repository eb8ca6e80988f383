"""`summary.json`: the exercises, cases and claims of a session, and the machine they ran on."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
import torch

from ..claim import claims_of
from ..exercise import Exercise, Results, case_id, slug
from ..files.measured import restored
from ..files.record import MeasurementRecord, TrainingRecord
from ..files.sealed import printable
from ..files.summary import SCHEMA
from ..hardware import machine
from ..settings import SETTINGS, STUDY
from .fingerprint import fingerprint_of, training_key
from .records import to_case, to_training
from .store import Store


def results_of(config: pytest.Config, module: str, exercise: Exercise) -> Results:
    """What is on disk of an exercise, for its own figures."""
    settings, study = config.stash[SETTINGS], config.stash[STUDY].study
    store = Store(settings.report_dir)
    trainings = {}
    for row in exercise.rows:
        experiment = study.experiment(exercise, row, settings.scale, settings.dataset)
        key = training_key(config, experiment)
        if record := store.find(TrainingRecord, case_id(module, row.name), key):
            trainings[row.name] = to_training(record)
    measurements = {}
    for name in exercise.measurements:
        key = {"run": fingerprint_of(config)}
        if found := store.find(MeasurementRecord, f"{module}::{name}", key):
            measurements[name] = [restored(each) for each in found.measured]
    return Results(slug(module), trainings, measurements)


def summarise(config: pytest.Config, modules: dict[str, ModuleType]) -> dict[str, Any]:
    """Summarises what is on disk, in the order of `modules` (see `exercises_of`)."""
    settings, study = config.stash[SETTINGS], config.stash[STUDY].study
    exercises = [
        {
            "module": path,
            "title": module.EXERCISE.title,
            "question": module.EXERCISE.question,
            "source": module.EXERCISE.source,
            "figure": module.EXERCISE.figure,
            "epochs": study.epochs(module.EXERCISE, settings.scale),
            "cases": [case_id(path, name) for name in module.EXERCISE.names],
            "claims": [f"{path}::{test}" for test in claims_of(module)],
        }
        for path, module in modules.items()
    ]
    store = Store(settings.report_dir)
    cases = []
    for path, module in modules.items():
        for row in module.EXERCISE.rows:
            experiment = study.experiment(module.EXERCISE, row, settings.scale, settings.dataset)
            name, key = case_id(path, row.name), training_key(config, experiment)
            if record := store.find(TrainingRecord, name, key):
                cases.append(to_case(record, resumed=store.is_resumed(name, key)))
    decided = {claim.id: claim.model_dump(exclude={"run"}) for claim in store.claims().values()}
    return {
        "schema": SCHEMA,
        "study": {name: getattr(study, name) for name in ("title", "about", "row", "published")},
        "scale": settings.scale,
        "dataset": settings.dataset,
        "timing": settings.timing,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.git_commit(config.rootpath),
        "code": fingerprint_of(config)["code"],
        "command": printable(shlex.join(["pytest", *map(str, config.invocation_params.args)])),
        "machine": machine.describe_machine(torch.device(cases[0]["device"] if cases else "cpu")),
        "exercises": exercises,
        "cases": cases,
        "claims": [decided[claim] for each in exercises for claim in each["claims"] if claim in decided],
    }
