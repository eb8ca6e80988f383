"""Compares two runs: ratios of times, and differences in accuracy with 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..exercise import row_name
from ..files.summary import CaseSummary
from ..stats import welch_interval
from .load import Run

SLOWER = 1.1  # the ratio of times from which a row counts as slower
# The difference in percentage points from which a row counts as worse or better if either run has a
# single seed, so that there is no interval.
NOTABLE = 1


@dataclass(frozen=True)
class RowChange:
    """The difference between a case in this run and the same case in the other."""

    name: str
    ours: CaseSummary
    theirs: CaseSummary
    points: float
    """The mean test accuracy of this run minus the other's, in percentage points."""
    interval: tuple[float, float] | None
    """The 95 % interval of `points` (Welch); None if either run has one seed."""
    ratio: float | None
    """The training time per seed of this run over the other's; None if the other's is 0."""

    @property
    def learns(self) -> str:
        """`worse`, `better` or `same`: decided by the interval, or without one by NOTABLE points."""
        if self.interval is None:
            return "worse" if self.points <= -NOTABLE else "better" if self.points >= NOTABLE else "same"
        low, high = self.interval
        return "worse" if high < 0 else "better" if low > 0 else "same"

    @property
    def slower(self) -> bool:
        """Whether the ratio of times is SLOWER or more."""
        return self.ratio is not None and self.ratio >= SLOWER


@dataclass(frozen=True)
class RunChanges:
    """A run compared with another."""

    other: Run
    differences: list[RowChange]
    """Regressions come first."""
    left_out: list[str]
    """The cases that are not compared, each with the reason."""
    settings: list[tuple[str, Any, Any]]
    """Other differences between the runs: name, value here, value there."""


def compare_runs(run: Run, other: Run) -> RunChanges:
    """Compares the cases that trained the same experiment in both runs."""
    differences, left_out = [], []
    for name, ours in run.cases.items():
        theirs = other.cases.get(name)
        if theirs is None:
            left_out.append(f"{row_name(name)}: not in {other.folder}")
        elif ours.experiment != theirs.experiment:
            left_out.append(f"{row_name(name)}: {_differing(ours, theirs)}")
        else:
            differences.append(_difference(name, ours, theirs))
    left_out += [
        f"{row_name(name)}: not in {run.folder}" for name in other.cases.keys() - run.cases.keys()
    ]
    return RunChanges(
        other=other,
        differences=sorted(differences, key=_severity),
        left_out=left_out,
        settings=_settings(run, other),
    )


def _severity(difference: RowChange) -> tuple[bool, float, bool, float]:
    """Returns a sort key: the worst accuracies come first, then the slowest times."""
    worse = difference.learns == "worse"
    return (
        not worse,
        difference.points if worse else 0.0,
        not difference.slower,
        -(difference.ratio or 0.0),
    )


def _difference(name: str, ours: CaseSummary, theirs: CaseSummary) -> RowChange:
    here, there = np.array(ours.test_accuracy) * 100, np.array(theirs.test_accuracy) * 100
    per_seed = theirs.seconds / theirs.timed_seeds
    return RowChange(
        name=row_name(name),
        ours=ours,
        theirs=theirs,
        points=float(here.mean() - there.mean()),
        interval=welch_interval(here.tolist(), there.tolist()),
        ratio=ours.seconds / ours.timed_seeds / per_seed if per_seed else None,
    )


def _differing(ours: CaseSummary, theirs: CaseSummary) -> str:
    names = [
        name
        for name, value in vars(ours.experiment).items()
        if value != getattr(theirs.experiment, name)
    ]
    return ", ".join(
        f"{name} {getattr(ours.experiment, name)} here, {getattr(theirs.experiment, name)} there"
        for name in names
    )


def _settings(run: Run, other: Run) -> list[tuple[str, Any, Any]]:
    here, there = (
        {
            "scale": each.summary.scale,
            "data set": each.summary.dataset,
            "timing": each.summary.timing,
            "commit": each.summary.commit,
            "seeds": max((len(case.seeds) for case in each.cases.values()), default=0),
            **each.summary.machine.model_dump(),
        }
        for each in (run, other)
    )
    return [
        (name, here.get(name), there.get(name))
        for name in dict.fromkeys((*here, *there))
        if here.get(name) != there.get(name)
    ]
