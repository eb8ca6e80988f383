"""The fingerprint of a run: everything that its records depend on besides the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from model.environment import code_digest, device_name
from model.experiment import Experiment

from ..hardware.machine import candidate_devices
from ..paths import ROOT
from ..settings import SETTINGS

Fingerprint = Mapping[str, Any]

_FINGERPRINTS = pytest.StashKey[dict[Path, Fingerprint]]()


def fingerprint_of(config: pytest.Config, module: str) -> Fingerprint:
    """The fingerprint of this session's run for the exercise in `module`, a path as in node ids."""
    code = _code(config, module)
    known = config.stash.setdefault(_FINGERPRINTS, {})
    if code not in known:
        settings = config.stash[SETTINGS]
        device = candidate_devices(settings.device)[0]
        known[code] = {
            "scale": settings.scale,
            "dataset": settings.dataset,
            "replicates": len(settings.seeds),
            "engine": settings.engine,
            "timing": settings.timing,
            "device": device.type,
            "device_name": device_name(device),
            "torch": metadata.version("torch"),
            "code": code_digest([ROOT / "model", ROOT / "harness", code]),
        }
    return known[code]


def _code(config: pytest.Config, module: str) -> Path:
    """What an exercise's code is: the folder of `testpaths` that it is in, or its own.

    In the root folder, with all that lies there, it is the module alone.
    """
    path = config.rootpath / module
    folders = [config.rootpath / folder for folder in config.getini("testpaths")]
    own = path if path.parent == config.rootpath else path.parent
    return next((folder for folder in folders if path.is_relative_to(folder)), own)


def training_key(config: pytest.Config, module: str, experiment: Experiment) -> dict[str, Any]:
    """What a training depends on: the fingerprint of the run, and the experiment."""
    return {"run": fingerprint_of(config, module), "experiment": experiment.to_dict()}


def first_difference(theirs: Fingerprint, ours: Fingerprint) -> str | None:
    """The first difference between two fingerprints, in words; None if they are equal."""
    for name, value in ours.items():
        if theirs.get(name) != value:
            return f"{name} {theirs.get(name)} there, {value} here"
    return None
