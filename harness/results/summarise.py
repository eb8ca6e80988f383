"""Collects `summary.json`: the exercises, cases and claims of a session, and its machine."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
import torch

from model.values import escaped

from ..claim import claims_of
from ..exercise import Exercise, Results, case_id, row_name, slug
from ..files.measured import restored
from ..files.record import MeasurementRecord, TrainingRecord
from ..files.summary import SCHEMA, ExerciseSummary, Machine, StudySummary, Summary
from ..hardware import machine
from ..session_settings import KEPT_RUN, SESSION_STUDY, SETTINGS
from .fingerprint import fingerprint_of, training_key
from .records import to_case, to_training
from .store import Store


def results_of(config: pytest.Config, module: str, exercise: Exercise) -> Results:
    """Returns the exercise's trainings and measurements that are on disk, for its own figures."""
    store = Store(config.stash[SETTINGS].report_dir)
    trainings = {
        row_name(record.id): to_training(record) for record, _ in _records(config, module, exercise)
    }
    measurements = {}
    for name in exercise.measurements:
        key = {"run": fingerprint_of(config)}
        if found := store.find(MeasurementRecord, f"{module}::{name}", key):
            measurements[name] = [restored(each) for each in found.measured]
    return Results(slug(module), trainings, measurements)


def _records(
    config: pytest.Config, module: str, exercise: Exercise
) -> Iterator[tuple[TrainingRecord, dict[str, Any]]]:
    """Yields the record and the key of each row of the exercise that was trained."""
    settings, study = config.stash[SETTINGS], config.stash[SESSION_STUDY].study
    store = Store(settings.report_dir)
    for row in exercise.rows:
        experiment = study.experiment(exercise, row, settings.scale, settings.dataset)
        key = training_key(config, experiment)
        if record := store.find(TrainingRecord, case_id(module, row.name), key):
            yield record, key


def summarise(
    config: pytest.Config,
    modules: dict[str, ModuleType],
    stories: Mapping[str, str],
    lists: Callable[[str], bool] = lambda case: True,
) -> Summary:
    """Returns the summary of the records on disk, in the order of `modules` (see `exercises_of`).

    `stories` are the exercises' stories by module. A row without a record is named as one that did not
    run, if `lists(case)`; otherwise it is left out.
    """
    kept = config.stash.get(KEPT_RUN, None)
    settings, study = config.stash[SETTINGS], config.stash[SESSION_STUDY].study
    store = Store(settings.report_dir)
    cases = [
        to_case(
            record,
            resumed=store.is_resumed(record.id, key),
            remark=module.EXERCISE.row(row_name(record.id)).published.remark,
        )
        for path, module in modules.items()
        for record, key in _records(config, path, module.EXERCISE)
    ]
    recorded = {case.id for case in cases}
    exercises = [
        ExerciseSummary(
            module=path,
            title=module.EXERCISE.title,
            question=module.EXERCISE.question,
            source=module.EXERCISE.source,
            figure=module.EXERCISE.figure,
            epochs=study.epochs(module.EXERCISE, settings.scale),
            full_epochs=study.epochs(module.EXERCISE, study.full_scale),
            guesses=[*module.EXERCISE.guesses],
            story=stories.get(path, ""),
            cases=[
                case
                for case in (case_id(path, name) for name in module.EXERCISE.names)
                if case in recorded or lists(case)
            ],
            claims=[f"{path}::{test}" for test in claims_of(module)],
        )
        for path, module in modules.items()
    ]
    decided = {claim.id: claim for claim in store.claims().values()}
    return Summary(
        schema_=SCHEMA,
        study=StudySummary(**{name: getattr(study, name) for name in StudySummary.model_fields}),
        scale=settings.scale,
        full_scale=study.full_scale,
        dataset=settings.dataset,
        timing=settings.timing,
        shard=str(settings.shard or ""),
        seeds_until_decided=settings.seeds_until_decided,
        created=kept.created if kept else datetime.now(UTC).isoformat(timespec="seconds"),
        commit=kept.commit if kept else machine.git_commit(config.rootpath),
        code=fingerprint_of(config)["code"],
        command=kept.command
        if kept
        else escaped(shlex.join(["pytest", *map(str, config.invocation_params.args)])),
        machine=Machine(
            **machine.machine_of(config)
            if kept or settings.cluster
            else machine.describe_machine(torch.device(cases[0].device if cases else "cpu"))
        ),
        exercises=exercises,
        cases=cases,
        claims=[decided[claim] for each in exercises for claim in each.claims if claim in decided],
    )
