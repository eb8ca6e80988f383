"""A session that reads a run's records, decides its claims, and trains nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..files.record import RunFingerprint
from ..session_settings import KEPT_RUN, KeptRun
from ..study import StudyFolder


class Reading:
    """A plugin that makes a session read a kept run."""

    def __init__(self, kept: KeptRun):
        self._kept = kept

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[KEPT_RUN] = self._kept


def arguments_for(
    folder: Path,
    run: RunFingerprint,
    study: StudyFolder,
    modules: list[str],
    seeds_until_decided: int | None = None,
) -> list[str]:
    """Returns pytest's arguments to read the records of `run` in the report `folder`.

    `modules` are those of the run's exercises; if these are all of the study's, it is a run of the whole
    study. Raises ValueError if the study lacks one.
    """
    root = root_of(study, modules)
    paths = [root / module for module in modules]
    return [
        *map(str, [study.path] if {*_exercises(study)} <= {*paths} else paths),
        *("--resume", "-o", "addopts=", "-p", "no:cacheprovider"),
        *(f"--rootdir={root}", f"--report-dir={folder}", f"--scale={run.scale}"),
        *(f"--dataset={run.dataset}", f"--replicates={run.replicates}", f"--timing={run.timing}"),
        *([f"--seeds-until-decided={seeds_until_decided}"] if seeds_until_decided else []),
    ]


def _exercises(study: StudyFolder) -> list[Path]:
    """Returns the modules of the study that declare an exercise."""
    return [
        path
        for path in study.path.rglob("test_*.py")
        if re.search(r"^EXERCISE\b", path.read_text(errors="replace"), re.MULTILINE)
    ]


def root_of(study: StudyFolder, modules: list[str]) -> Path:
    """Returns the folder that the paths of a run's modules are relative to.

    Raises ValueError if the study lacks one of them.
    """
    for folder in (study.path, *study.path.parents):
        paths = [folder / module for module in modules]
        if all(path.is_file() and study.path in path.parents for path in paths):
            return folder
    raise ValueError(f"{study.path} has no module {modules[0]}; name the run's study with --study")
