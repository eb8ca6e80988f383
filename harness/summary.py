"""`summary.json`: what a session ran, on what, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import torch

from . import machine
from .exercise import Exercise, case_id
from .options import KEY
from .records import to_case
from .store import Store

SCHEMA = 1


def summarise(config: pytest.Config, exercises: Mapping[str, Exercise]) -> dict[str, Any]:
    """The summary of the records on disk, cases in the order of `exercises` (see `discover`)."""
    settings = config.stash[KEY]
    order = [case_id(path, name) for path in exercises for name in exercises[path].names]
    records = {record["id"]: record for record in Store(settings.report_dir).records()}
    cases = [to_case(records[case]) for case in order if case in records]
    return {
        "schema": SCHEMA,
        "scale": settings.scale,
        "dataset": settings.dataset,
        "timing": settings.timing,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(config.rootpath),
        "command": shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        "machine": machine.describe(torch.device(cases[0]["device"] if cases else "cpu")),
        "cases": cases,
        "claims": [],
    }
