"""The checked options of a session, and the run that it reads, if it trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .looks import Looks
from .study import StudyFolder


@dataclass(frozen=True)
class Shard:
    """A part of a study's rows: number `index` of `count`, from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


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
    shard: Shard | None = None
    cluster: str | None = None
    """The address of the Ray cluster that trains the rows, if one does."""
    cluster_same: bool = False
    """Whether only nodes of one model of CPU or GPU may."""
    seeds_until_decided: int | None = None
    """Up to how many seeds a row gets if a claim on it is open, if more than the run's."""

    @property
    def looks(self) -> Looks:
        """The looks at a claim: one, unless its rows get more seeds."""
        return Looks(len(self.seeds), self.seeds_until_decided or len(self.seeds))


SETTINGS = pytest.StashKey[Settings]()
"""`config.stash[SETTINGS]` is the session's settings, from `pytest_configure` on."""

SESSION_STUDY = pytest.StashKey[StudyFolder]()
"""`config.stash[SESSION_STUDY]` is the session's study, from `pytest_configure` on."""


CLUSTER_MACHINE = pytest.StashKey[dict[str, Any]]()
"""`config.stash[CLUSTER_MACHINE]` describes the nodes that train the rows, if a cluster does."""


@dataclass(frozen=True)
class KeptRun:
    """A run whose records a session reads; it trains nothing."""

    fingerprint: Mapping[str, Any]
    machine: Mapping[str, Any]
    created: str
    commit: str | None
    command: str
    where: str
    """The reports that the records are from, in words."""


KEPT_RUN = pytest.StashKey[KeptRun]()
"""`config.stash[KEPT_RUN]` is the run that this session reads, if any, from `pytest_configure` on."""
