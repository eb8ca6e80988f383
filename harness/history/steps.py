"""The steps of a track: where, how large, and how sure; and which of them were accepted."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..compare.significance import FloatArray
from ..gates.slowdown import to_percent
from ..stats import Interval, welch_interval
from .detection import BEFORE, FALSE_STEPS, FEWEST_ROWS, Detection
from .tracks import Track

TOGETHER = "all rows together"
STEP_POINTS = 1.0
"""The change of accuracy, in percentage points, that matters as much as the percent of a time."""
ACCEPTED_STEPS = "accepted-steps.txt"
"""The file in a study's folder with the steps that its history need not report again."""
SHARE_OF_TIMES = 0.8
"""The part of the rate of false steps that is that of times; the rest is that of accuracies."""
# The 95 % quantile of the likelihood ratio of a step's place: B. E. Hansen, "Sample splitting and
# threshold estimation" (2000), section 3.
_PLACE = -2 * math.log(1 - math.sqrt(0.95))
_ONE_SIDED = 0.01  # the p-value of the steps' directions from which a history says so


@dataclass(frozen=True)
class HistoryStep:
    """A step in a row's time or accuracy, or in the times of all rows together."""

    track: Track
    case: str
    """The row's node id, or TOGETHER."""
    measure: str
    """`time` or `accuracy`."""
    row: int | None
    first: int
    """The first run after the step, by its place in the track."""
    earliest: int
    """The first run that may be after it, with 95 % confidence."""
    latest: int
    """The first run that is after it for sure."""
    found: int
    """The run after which it was found."""
    change: float
    """In percent of the time, or in points of accuracy."""
    interval: Interval
    """The 95 % interval of `change`."""
    accepted: str = ""
    """By what it was accepted; empty if it was not."""

    @property
    def worse(self) -> bool:
        return (self.change > 0) == (self.measure == "time")

    @property
    def size(self) -> str:
        low, high = self.interval
        if self.measure == "time":
            verb = "slower" if self.change > 0 else "faster"
            return f"{abs(self.change):.1f} % {verb} ({low:+.1f} to {high:+.1f} %)"
        verb = "more" if self.change > 0 else "less"
        return f"{abs(self.change):.2f} points {verb} accurate ({low:+.2f} to {high:+.2f})"

    @property
    def commits(self) -> str:
        """The commits between which it is, with 95 % confidence."""
        before, after = self.track.runs[self.earliest - 1], self.track.runs[self.latest]
        if before.commit == after.commit:
            return f"{after.short_commit or 'no commit'}, runs {before.name} to {after.name}"
        return f"{before.short_commit or before.name}..{after.short_commit or after.name}"

    @property
    def confirmation(self) -> str:
        """The command that confirms it by A/B of the commits around it; empty without commits."""
        before, after = self.track.runs[self.earliest - 1], self.track.runs[self.latest]
        if not before.commit or not after.commit or before.commit == after.commit:
            return ""
        make = f"make ab BASE={before.short_commit}"
        if self.row is not None:
            make += f" ARGS={_quoted(shlex.quote(self.case).replace('$', '$$'))}"
        return f"git switch --detach {after.short_commit} && {make}"

    @property
    def search(self) -> str:
        """The command that finds its commit by bisection; empty if the row did not get worse."""
        before, after = self.track.runs[self.earliest - 1], self.track.runs[self.latest]
        if not self.confirmation or not self.worse or self.row is None:
            return ""
        row = _quoted(self.case.replace("$", "$$"))
        return f"make bisect ROW={row} GOOD={before.short_commit} BAD={after.short_commit}"

    @property
    def acceptance(self) -> str:
        """The line of ACCEPTED_STEPS that accepts it."""
        run = self.track.runs[self.first]
        return f"{run.short_commit or run.name} {self.measure} {self.case}"


def find_steps(track: Track, percent: float, accepted: Sequence[Acceptance] = ()) -> list[HistoryStep]:
    """Returns the steps of a track in the order in which they are found.

    Steps of less than half of `percent` in times, or of half of STEP_POINTS in accuracies, are ignored.
    """
    found = []
    for measure in ("time", "accuracy"):
        values = track.values(measure)
        if measure == "time":
            values = np.log(values)
            least, level = math.log1p(percent / 100) / 2, SHARE_OF_TIMES * FALSE_STEPS
        else:
            values = 100 * values
            least, level = STEP_POINTS / 2, (1 - SHARE_OF_TIMES) * FALSE_STEPS
        detection = Detection(len(track.cases), least=least, shared=measure == "time", level=level)
        restarts: dict[int | None, list[int]] = {}
        for at, run in enumerate(track.runs):
            detection.look(values[at])
            if run.accepted:
                for trained in np.flatnonzero(np.isfinite(values[at])).tolist():
                    detection.restart(trained)
                    restarts.setdefault(trained, []).append(at)
        columns = _Columns(values, detection, restarts)
        for detected in detection.steps:
            row = detected.row
            earliest, latest = columns.place(row, detected.first)
            change, interval = columns.size(row, detected.first)
            step = HistoryStep(
                track, TOGETHER if row is None else track.cases[row], measure, row, detected.first,
                earliest, latest, detected.found, change, interval,
            )  # fmt: skip
            if measure == "time":
                step = _replaced(
                    step, change=to_percent(change), interval=tuple(map(to_percent, interval))
                )
            later = [at for at in restarts.get(row, []) if at >= step.first]
            by = f"the run {track.runs[later[0]].name}" if later else ""
            by = by or next((each.source for each in accepted if each.accepts(step)), "")
            found.append(_replaced(step, accepted=by))
    return sorted(found, key=lambda step: (step.found, step.first))


def _quoted(text: str) -> str:
    """Returns the text quoted for a shell, in the way that is easier to read."""
    return shlex.quote(text) if {*text} & {*'"$`\\!'} else f'"{text}"'


def _replaced(step: HistoryStep, **changes: object) -> HistoryStep:
    return HistoryStep(**{**vars(step), **changes})


class _Columns:
    """The values of a track's rows without shares, and the last column those of all rows together."""

    def __init__(self, values: FloatArray, detection: Detection, restarts: dict[int | None, list[int]]):
        count = values.shape[1]
        self._borders: dict[int | None, list[int]] = {
            row: sorted(
                {0, len(values)}
                | {step.first for step in detection.steps if step.row == row}
                | {*restarts.get(row, [])}
            )
            for row in (*range(count), None)
        }
        shares = np.zeros(len(values))
        if detection.shared:
            shares = self._shares(values)
        self._values = np.column_stack([values - shares[:, None], shares])

    def _shares(self, values: FloatArray) -> FloatArray:
        """Returns the shares of the runs, given what is usual for each row between its steps."""
        shares = np.zeros(len(values))
        for _ in range(2):
            residuals = values - shares[:, None]
            for row in range(values.shape[1]):
                for begin, end in zip(self._borders[row][:-1], self._borders[row][1:], strict=True):
                    part = residuals[begin:end, row]
                    if np.isfinite(part).any():
                        residuals[begin:end, row] -= np.nanmedian(part)
            residuals += shares[:, None]
            known = np.isfinite(residuals).sum(axis=1) >= FEWEST_ROWS
            shares = np.zeros(len(values))
            shares[known] = np.nanmedian(residuals[known], axis=1)
        return shares

    def _around(self, row: int | None, first: int) -> tuple[FloatArray, FloatArray]:
        """Returns runs and values between the row's steps before and after this one."""
        borders = self._borders[row]
        at = borders.index(first)
        runs = np.arange(max(borders[at - 1], first - BEFORE), min(borders[at + 1], first + BEFORE))
        values = self._values[runs, -1 if row is None else row]
        known = np.isfinite(values)
        return runs[known], values[known]

    def size(self, row: int | None, first: int) -> tuple[float, Interval]:
        """Returns the difference of the means after and before the step, with its 95 % interval."""
        runs, values = self._around(row, first)
        before, since = values[runs < first], values[runs >= first]
        change = float(since.mean() - before.mean())
        return change, welch_interval(since.tolist(), before.tolist()) or (-math.inf, math.inf)

    def place(self, row: int | None, first: int) -> tuple[int, int]:
        """Returns the first and the last run that may be the first one after the step."""
        runs, values = self._around(row, first)
        errors = np.array(
            [_squares(values[:at]) + _squares(values[at:]) for at in range(1, len(values))]
        )
        best = errors.min()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = len(values) * np.log(errors / best) if best > 0 else np.where(errors > 0, np.inf, 0)
        likely = runs[1:][ratio <= _PLACE]
        return min(first, int(likely[0])), max(first, int(likely[-1]))


def _squares(values: FloatArray) -> float:
    return float(((values - values.mean()) ** 2).sum())


@dataclass(frozen=True)
class Acceptance:
    """A line of ACCEPTED_STEPS: a run or commit, a measure, and a row's node id or TOGETHER."""

    run: str
    measure: str
    case: str
    source: str

    def accepts(self, step: HistoryStep) -> bool:
        """Returns whether it names the step by one of the runs that may be the first after it."""
        runs = step.track.runs[step.earliest : step.latest + 1]
        return (self.measure, self.case) == (step.measure, step.case) and any(
            run.name == self.run or run.commit.startswith(self.run) for run in runs
        )


def read_acceptances(path: Path) -> list[Acceptance]:
    """Returns the accepted steps in the file; none if there is no such file.

    Raises ValueError, naming the line, for one that is not "COMMIT MEASURE ROW".
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(maxsplit=2)
        if len(parts) < 3 or parts[1] not in ("time", "accuracy") or len(parts[0]) < 7:
            raise ValueError(
                f"{path}, line {number}, is {line!r}; expected a commit of 7 digits or more or a run's "
                f"name, time or accuracy, and a row's node id or {TOGETHER!r}"
            )
        found.append(Acceptance(parts[0], parts[1], parts[2].strip(), f"{path.name}, line {number}"))
    return found


def one_sidedness(steps: Iterable[HistoryStep]) -> str | None:
    """Returns a warning if nearly all steps in times go one way, which true ones seldom do.

    Steps of several rows in one run count once.
    """
    events = {(id(step.track), step.first, step.change > 0) for step in steps if step.measure == "time"}
    slower = sum(up for _, _, up in events)
    if not events:
        return None
    from scipy.stats import binomtest

    p = float(binomtest(slower, len(events)).pvalue)
    if p > _ONE_SIDED:
        return None
    more, word = max((slower, "slower"), (len(events) - slower, "faster"))
    return (
        f"{more} of {len(events)} steps are {word} (p = {p:.2g} if both ways were as likely): unless "
        "the code really changed so, look for what else did"
    )
