"""`summary.json`: the exercises, cases and claims of a session, and the machine they ran on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
import torch

from ..claim import claims_of
from ..exercise import case_id
from ..hardware import machine
from ..settings import SETTINGS
from .fingerprint import fingerprint_of, training_key
from .records import to_case
from .store import Store

SCHEMA = 2


def summarise(config: pytest.Config, modules: Mapping[str, ModuleType]) -> dict[str, Any]:
    """Summarises what is on disk, in the order of `modules` (see `discover_exercises`)."""
    settings = config.stash[SETTINGS]
    exercises = [
        {
            "number": module.EXERCISE.number,
            "title": module.EXERCISE.title,
            "question": module.EXERCISE.question,
            "source": module.EXERCISE.source,
            "figure": module.EXERCISE.figure,
            "epochs": module.EXERCISE.epochs[settings.scale],
            "cases": [case_id(path, name) for name in module.EXERCISE.names],
            "claims": [f"{path}::{test}" for test in claims_of(module)],
        }
        for path, module in modules.items()
    ]
    store = Store(settings.report_dir)
    records = [
        store.find(case_id(path, row.name), training_key(config, module.EXERCISE, row))
        for path, module in modules.items()
        for row in module.EXERCISE.rows
    ]
    cases = [to_case(record) for record in records if record is not None]
    decided = {claim["id"]: claim for claim in store.claims()}
    return {
        "schema": SCHEMA,
        "scale": settings.scale,
        "dataset": settings.dataset,
        "timing": settings.timing,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.git_commit(config.rootpath),
        "code": fingerprint_of(config)["code"],
        "command": shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        "machine": machine.describe_machine(torch.device(cases[0]["device"] if cases else "cpu")),
        "exercises": exercises,
        "cases": cases,
        "claims": [decided[claim] for each in exercises for claim in each["claims"] if claim in decided],
    }
