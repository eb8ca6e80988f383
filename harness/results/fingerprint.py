"""The fingerprint of a run: everything that its records depend on, except the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from model.environment import code_digest
from model.experiment import Experiment

from ..hardware.machine import machine_of
from ..paths import ROOT
from ..session_settings import KEPT_RUN, SESSION_STUDY, SETTINGS

Fingerprint = Mapping[str, Any]

_FINGERPRINT = pytest.StashKey[Fingerprint]()


def fingerprint_of(config: pytest.Config) -> Fingerprint:
    """Returns the fingerprint of this session's run, or of the run that it reads."""
    if KEPT_RUN in config.stash:
        return config.stash[KEPT_RUN].fingerprint
    if _FINGERPRINT not in config.stash:
        settings = config.stash[SETTINGS]
        machine = machine_of(config)
        config.stash[_FINGERPRINT] = {
            "scale": settings.scale,
            "dataset": settings.dataset,
            "replicates": len(settings.seeds),
            "engine": settings.engine,
            "timing": settings.timing,
            "device": machine["device"],
            "device_name": machine["device_name"],
            "torch": machine["torch"],
            "code": code_digest([ROOT / "model", ROOT / "harness", config.stash[SESSION_STUDY].path]),
        }
    return config.stash[_FINGERPRINT]


def training_key(config: pytest.Config, experiment: Experiment) -> dict[str, Any]:
    """Returns what a training depends on: the run's fingerprint and the experiment."""
    return {"run": fingerprint_of(config), "experiment": experiment.to_dict()}


def first_difference(
    theirs: Fingerprint, ours: Fingerprint, there: str = "there", here: str = "here"
) -> str | None:
    """Returns the first difference between two fingerprints, in words; None if they are equal."""
    for name, value in ours.items():
        if theirs.get(name) != value:
            return f"{name} is {theirs.get(name)} {there}, {value} {here}"
    return None
