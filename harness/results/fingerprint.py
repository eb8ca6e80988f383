"""The fingerprint of a run: everything that its records depend on besides the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

import pytest

from model.environment import code_digest, device_name

from ..exercise import Exercise, Row
from ..hardware.machine import candidate_devices
from ..paths import ROOT
from ..settings import SETTINGS

Fingerprint = Mapping[str, Any]

_FINGERPRINT = pytest.StashKey[Fingerprint]()


def fingerprint_of(config: pytest.Config) -> Fingerprint:
    """The fingerprint of this session's run."""
    if _FINGERPRINT not in config.stash:
        settings = config.stash[SETTINGS]
        device = candidate_devices(settings.device)[0]
        sources = [ROOT / "model", ROOT / "harness"]
        sources += [config.rootpath / folder for folder in config.getini("testpaths")]
        config.stash[_FINGERPRINT] = {
            "scale": settings.scale,
            "dataset": settings.dataset,
            "replicates": len(settings.seeds),
            "engine": settings.engine,
            "timing": settings.timing,
            "device": device.type,
            "device_name": device_name(device),
            "torch": metadata.version("torch"),
            "code": code_digest(sources),
        }
    return config.stash[_FINGERPRINT]


def training_key(config: pytest.Config, exercise: Exercise, row: Row) -> dict[str, Any]:
    """What the training of a row depends on: the session's fingerprint, and the experiment."""
    settings = config.stash[SETTINGS]
    experiment = exercise.experiment(row, settings.scale, settings.dataset)
    return {"run": fingerprint_of(config), "experiment": asdict(experiment)}


def first_difference(theirs: Fingerprint, ours: Fingerprint) -> str | None:
    """The first difference between two fingerprints, in words; None if they are equal."""
    for name, value in ours.items():
        if theirs.get(name) != value:
            return f"{name} {theirs.get(name)} there, {value} here"
    return None
