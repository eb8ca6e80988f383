"""The checked options of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from .study import StudyFolder


@dataclass(frozen=True)
class Settings:
    """The checked values of the suite's options; paths are absolute."""

    scale: str
    device: str
    engine: str
    seeds: tuple[int, ...]
    dataset: str
    data_root: Path
    timing: str
    report_dir: Path
    resume: bool
    save_weights: bool
    tensorboard: Path | None
    """Where to write event files for TensorBoard, if anywhere."""


SETTINGS = pytest.StashKey[Settings]()
"""`config.stash[SETTINGS]` is the session's settings, from `pytest_configure` on."""

SESSION_STUDY = pytest.StashKey[StudyFolder]()
"""`config.stash[SESSION_STUDY]` is the session's study, from `pytest_configure` on."""
