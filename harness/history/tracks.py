"""Tracks: the runs on one machine with the same versions, in order, whose results can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..compare.significance import FloatArray
from .past_runs import Observation, PastRun, Setup


@dataclass(frozen=True)
class Track:
    """The runs on one machine with the same versions, and the rows that they trained alike."""

    machine: Setup
    versions: Setup
    runs: list[PastRun]
    cases: list[str]
    """The node id of each row; twice for a row whose experiment or engine changed."""
    observations: list[list[Observation | None]]
    """By run and row; None for a row that a run lacks."""

    @property
    def about(self) -> str:
        """Machine and versions in words."""
        of = dict(self.machine)
        cores = f"{of['cores']} core{'' if of['cores'] == '1' else 's'}"
        seeds = f"{of['replicates']} seed{'' if of['replicates'] == '1' else 's'}"
        shared = "" if of["timing"] == "exclusive" else ", timing shared"
        versions = ", ".join(f"{name} {value}" for name, value in self.versions if value)
        used = f"{cores}, scale {of['scale']}, {seeds}{shared}"
        return f"{of['device_name']} ({of['device']}), {used}; {versions}"

    def values(self, measure: str) -> FloatArray:
        """Returns the values of a measure by run and row, NaN where there is none."""

        def value(observation: Observation | None) -> float:
            if observation is None:
                return np.nan
            if measure == "time":
                return observation.seconds
            if measure == "accuracy":
                return observation.accuracy
            epochs = observation.epochs_to_target
            return np.nan if epochs is None else epochs

        return np.array([[value(each) for each in of_run] for of_run in self.observations], dtype=float)


def tracks_of(runs: Sequence[PastRun]) -> list[Track]:
    """Returns the tracks of these runs, which are in order; the ones with most runs first."""
    grouped: dict[tuple[Setup, Setup], dict[int, dict[tuple[str, Setup], Observation]]] = {}
    for at, run in enumerate(runs):
        for case, row in run.rows.items():
            of_track = grouped.setdefault((row.machine, run.versions), {})
            of_track.setdefault(at, {})[case, row.training] = row
    tracks = []
    for (machine, versions), by_run in grouped.items():
        rows = list(dict.fromkeys(row for of_run in by_run.values() for row in of_run))
        tracks.append(
            Track(
                machine,
                versions,
                [runs[at] for at in by_run],
                [case for case, _ in rows],
                [[of_run.get(row) for row in rows] for of_run in by_run.values()],
            )
        )
    return sorted(tracks, key=lambda track: -len(track.runs))
