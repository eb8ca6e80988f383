"""Runs of the past: saved runs and report folders, read and checked, and what is left out of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from model.values import one_line

from ..export.columns import fastest_epoch
from ..files.summary import CaseSummary
from ..gates.baselines import SOFTWARE, BaselineError, Cases, SavedCase, SavedRun, read_saved_run
from ..ownership import owns
from ..processes import git
from ..report.load import ReportError, Run, load_run
from ..stats import half_width

Setup = tuple[tuple[str, str], ...]
"""Names and values, all of which must be equal for results to be compared."""


@dataclass(frozen=True)
class Observation:
    """The results of a row in a run."""

    machine: Setup
    """The hardware, and how the session used it. It has no reading that changes by itself."""
    training: Setup
    """The experiment and its engine."""
    seconds: float
    """The fastest epoch's."""
    total: float
    """All epochs' seconds."""
    accuracy: float
    """The mean over seeds after the last epoch."""
    accuracy_half_width: float
    """Half the width of its 95 % interval over seeds; 0 for one seed."""
    target: str
    """The highest target accuracy."""
    epochs_to_target: float | None
    """The mean over seeds of the first epoch at the target; None if a seed never reached it."""


@dataclass(frozen=True)
class PastRun:
    """A run: when it was, of which commit, and its rows by node id."""

    name: str
    time: datetime
    commit: str
    """The commit's digest; empty if it is unknown."""
    committed: datetime
    """When the commit was made; if that is unknown, when the run was."""
    versions: Setup
    rows: Mapping[str, Observation]
    accepted: bool = False
    """Whether earlier runs no longer count for its rows."""

    @property
    def short_commit(self) -> str:
        return self.commit[:10]


def read_runs(paths: Sequence[Path], repository: Path) -> tuple[list[PastRun], list[str]]:
    """Returns the runs in these files and folders, in the order of their commits.

    A path is a saved run, a report folder, or a folder with either, at most two levels down. Also
    returns a line for each that is left out. A run that was both reported and saved, or merged with
    others, counts once. Times of commits that a run does not record come from `repository`. Raises
    ValueError for a path that does not exist.
    """
    left_out: list[str] = []
    saved, reports = [], []
    for path in dict.fromkeys(each for given in paths for each in _found(given)):
        try:
            if path.is_dir():
                reports.append(run := _of_report(load_run(path)))
            else:
                saved.append(run := of_saved(read_saved_run(path)))
            if not run.rows:
                left_out.append(f"{path} has no row that it trained and that can be read")
        except (BaselineError, ReportError) as error:
            left_out.append(one_line(error))
    runs, known = [*saved], {total for run in saved for total in _totals(run)}
    # The reports with most rows first: those of shards count once with the report that merges them.
    for run in sorted(reports, key=lambda run: -len(run.rows)):
        if not _totals(run) <= known:
            runs.append(run)
            known |= _totals(run)
    return ordered([run for run in runs if run.rows], repository), left_out


def ordered(runs: Iterable[PastRun], repository: Path) -> list[PastRun]:
    """Returns the runs in the order of their commits, and of one commit in that of their times."""
    runs = [*runs]
    times: dict[str, datetime] = {}
    if any(run.commit and run.committed == run.time for run in runs):
        times = _commit_times(repository)
    found = [
        PastRun(**{**vars(run), "committed": times[run.commit]})
        if run.committed == run.time and run.commit in times
        else run
        for run in runs
    ]
    return sorted(found, key=lambda run: (run.committed, run.time, run.name))


def _totals(run: PastRun) -> set[tuple[str, float | None]]:
    """Returns the rows with their total times, which are never equal in two runs."""
    return {(case, row.total) for case, row in run.rows.items()}


def _found(path: Path) -> Iterator[Path]:
    """Yields the saved runs and report folders at or below a path."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; expected saved runs or report folders")
    if not path.is_dir() or _is_report(path):
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.is_symlink() and entry.is_dir():  # `latest`
            continue
        if entry.is_dir():
            if _is_report(entry):
                yield entry
            elif not owns(entry):
                yield from sorted(entry.glob("*.json"))
        elif entry.suffix == ".json":
            yield entry


def _is_report(folder: Path) -> bool:
    return (folder / "summary.json").is_file()


def of_saved(run: SavedRun) -> PastRun:
    """Returns the past run of a saved run."""
    time = _time(run.saved) or datetime.fromtimestamp(run.path.stat().st_mtime, UTC)
    return of_cases(
        run.path.stem,
        run.cases,
        run.versions,
        time=time,
        commit=run.commit,
        committed=_time(run.committed) or time,
        accepted=run.accepted,
    )


def of_cases(
    name: str,
    cases: Cases,
    versions: Mapping[str, Any],
    *,
    time: datetime,
    commit: str,
    committed: datetime,
    accepted: bool = False,
) -> PastRun:
    """Returns the past run with these cases of pytest-benchmark's."""
    software = tuple((each, str(versions.get(each, ""))) for each in SOFTWARE)
    rows = {case: _of_case(each) for case, each in cases.items()}
    return PastRun(name, time, _clean(commit), committed, software, rows, accepted)


def _of_case(case: SavedCase) -> Observation:
    info = case.extra_info
    target = max(info.epochs_to)
    machine = {
        name: getattr(info, name)
        for name in ("scale", "timing", "replicates", "device", "device_name", "cores")
    }
    training = {
        "engine": info.engine,
        **{
            name: getattr(info, name)
            for name in ("batch_size", "epochs", "order", "init", "dataset", "schedule")
        },
        "optimizer": info.optimizer.to_dict(),
        "network": info.network.to_dict(),
    }
    return Observation(
        _setup(machine),
        _setup(training),
        case.stats.min,
        info.seconds,
        *_accuracies(info.test_accuracy),
        target,
        _mean_epochs(info.epochs_to[target]),
    )


def _of_report(run: Run) -> PastRun:
    summary = run.summary
    machine = summary.machine
    software = tuple(
        (name, str(getattr(machine, name, None) or (machine.model_extra or {}).get(name, "")))
        for name in SOFTWARE
    )
    rows = {
        case_id: _of_summary(run, case, fastest_epoch(run.curves[case_id]))
        for case_id, case in run.cases.items()
        if case_id in run.curves and not case.resumed
    }
    time = _time(summary.created) or datetime.fromtimestamp(0, UTC)
    return PastRun(run.folder.name, time, _clean(summary.commit or ""), time, software, rows)


def _of_summary(run: Run, case: CaseSummary, seconds: float) -> Observation:
    experiment, target = case.experiment, max(case.time_to_accuracy)
    machine = {
        "scale": run.summary.scale,
        "timing": case.timing,
        "replicates": case.timed_seeds,
        "device": case.device.partition(":")[0],
        "device_name": (case.hardware or run.summary.machine).device_name,
        "cores": (case.hardware or run.summary.machine).cores,
    }
    training = {
        "engine": case.engine,
        **{
            name: getattr(experiment, name)
            for name in ("batch_size", "epochs", "order", "init", "dataset", "schedule")
        },
        "optimizer": experiment.optimizer.to_dict(),
        "network": experiment.network.to_dict() if experiment.network else None,
    }
    return Observation(
        _setup(machine),
        _setup(training),
        seconds,
        case.seconds,
        # Of the run's own seeds: with others, an equal training would look like a step.
        *_accuracies(case.test_accuracy[: case.timed_seeds]),
        target,
        _mean_epochs(case.time_to_accuracy[target].epochs[: case.timed_seeds]),
    )


def _setup(values: Mapping[str, Any]) -> Setup:
    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)

    return tuple((name, text(value)) for name, value in values.items())


def _accuracies(values: Sequence[float]) -> tuple[float, float]:
    half = half_width(values)
    return fmean(values), 0.0 if half is None else float(half)


def _mean_epochs(epochs: Sequence[int | None]) -> float | None:
    known = [each for each in epochs if each is not None]
    return fmean(known) if len(known) == len(epochs) else None


def _clean(commit: str) -> str:
    """Returns the commit's digest; empty for what stands in its place without git."""
    digest = commit.removesuffix("-dirty")
    return digest if re.fullmatch("[0-9a-f]{7,64}", digest) else ""


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _commit_times(repository: Path) -> dict[str, datetime]:
    """Returns when each commit of the repository was made; nothing without git."""
    try:
        lines = git(repository, "log", "--all", "--format=%H %ct", timeout=60).splitlines()
    except ValueError:
        return {}
    return {
        commit: datetime.fromtimestamp(int(seconds), UTC)
        for commit, _, seconds in (line.partition(" ") for line in lines)
    }
