"""The options of a session, checked, for everything that needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from .study import StudyFolder


@dataclass(frozen=True)
class Settings:
    """The values of the suite's options, checked; paths are absolute."""

    scale: str
    device: str
    engine: str
    seeds: tuple[int, ...]
    dataset: str
    data_root: Path
    timing: str
    report_dir: Path
    resume: bool


SETTINGS = pytest.StashKey[Settings]()
"""`config.stash[SETTINGS]` holds them from `pytest_configure` on."""

SESSION_STUDY = pytest.StashKey[StudyFolder]()
"""`config.stash[STUDY]` is the session's study, from `pytest_configure` on."""
