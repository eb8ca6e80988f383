"""What to run after a run, and what for: more epochs, one engine for all rows, more seeds.

Each step is the run's own command with another option; it never repeats what the run already did. Times
are predicted from the run's own and, for another engine, from the engines' speeds in the same report.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from ..engine_speeds.comparable import NOT_COMPARABLE
from ..exercise import case_id, module_of
from ..files.record import Decision
from ..files.speeds import SpeedFile
from ..files.summary import CaseSummary, Summary
from ..verdicts import INCONCLUSIVE, NOT_TESTABLE, ONE_SEED_IS_TOO_FEW, SEEDS_LEAVE_IT_OPEN
from ..wording import counted, format_duration

_SEEDS = 5


class NextStep(NamedTuple):
    """A command, and what it is for."""

    command: str
    why: str
    claims: tuple[Decision, ...] = ()
    """The open claims that it may decide."""


def next_steps(summary: Summary, speed: SpeedFile | None = None) -> list[NextStep]:
    """Returns the steps that this run suggests; none if its command cannot be read.

    `speed` has the engines' speeds, if they were measured.
    """
    try:
        words = shlex.split(summary.command)
    except ValueError:  # it was written by another program
        return []
    if not words or not summary.cases or summary.shard or "&&" in words:  # of several sessions
        return []
    return [
        *_at_full_scale(summary, words),
        *_on_one_engine(summary, words, speed),
        *_with_more_seeds(summary, words),
    ]


def open_without(steps: Sequence[NextStep], summary: Summary) -> list[Decision]:
    """Returns the inconclusive claims that none of the steps may decide."""
    listed = [claim for step in steps for claim in step.claims]
    return [claim for claim in summary.claims if claim.verdict == INCONCLUSIVE and claim not in listed]


def _at_full_scale(summary: Summary, words: list[str]) -> list[NextStep]:
    if summary.full_scale in ("", summary.scale):
        return []
    untestable = tuple(claim for claim in summary.claims if claim.verdict == NOT_TESTABLE)
    more = f", which may decide {counted(len(untestable), 'more claim')}" if untestable else ""
    full = {case: each.full_epochs for each in summary.exercises for case in each.cases}
    epochs = [each for case in summary.cases if (each := full.get(case.id))]
    if len(epochs) < len(summary.cases):
        why = f"the scale {summary.full_scale}{more}"
    else:
        seconds = sum(
            case.seconds / case.experiment.epochs * each
            for case, each in zip(summary.cases, epochs, strict=True)
        )
        most = counted(max(epochs), "epoch")
        why = f"{most}{more}: about {format_duration(seconds)} of training"
    return [NextStep(_with(words, "--scale", summary.full_scale), why, untestable)]


def _on_one_engine(summary: Summary, words: list[str], speed: SpeedFile | None) -> list[NextStep]:
    """Suggests eager, which trains every row, if claims on time are open as engines differ."""
    undecided = _inconclusive(summary, NOT_COMPARABLE)
    if not undecided or len({case.engine for case in summary.cases}) == 1:
        return []
    slowdowns = [_slowdown_by_eager(case, speed) for case in summary.cases]
    # It is the slowest: the engine of a row whose slowdown is not known was no slower.
    about = "more than" if None in slowdowns else "about"
    seconds = sum(
        case.seconds * (slowdown or 1) for case, slowdown in zip(summary.cases, slowdowns, strict=True)
    )
    why = (
        f"the same engine for all rows, which may decide {counted(len(undecided), 'claim')} about time: "
        f"{about} {format_duration(seconds)} of training, as eager, PyTorch's plain loop, is the slowest"
    )
    return [NextStep(_with(words, "--engine", "eager"), why, undecided)]


def _slowdown_by_eager(case: CaseSummary, speed: SpeedFile | None) -> float | None:
    """Returns how many times as long eager would train the row; None if that was not measured."""
    if case.engine == "eager":
        return 1.0
    experiment = case.experiment
    wanted = (case.engine, experiment.optimizer.label, experiment.batch_size, case.timed_seeds)
    return next(
        (
            row.ratio_to_eager
            for row in (speed.rows if speed else ())
            if (row.engine, row.optimizer, row.batch_size, row.replicates) == wanted
            and case.device.startswith(row.device)
        ),
        None,
    )


def _with_more_seeds(summary: Summary, words: list[str]) -> list[NextStep]:
    """Suggests a few seeds for all rows, then more of them for the rows that open claims compare."""
    seeds = max(len(case.seeds) for case in summary.cases)
    by_seeds = _inconclusive(summary, SEEDS_LEAVE_IT_OPEN, ONE_SEED_IS_TOO_FEW)
    open_claims = counted(len(by_seeds), "inconclusive claim")
    if seeds > 1 and not by_seeds:
        return []
    per_seed = {case.id: case.seconds / case.timed_seeds for case in summary.cases}
    if seeds >= _SEEDS:
        most = 4 * seeds
        compared = {case_id(module_of(each.id), name) for each in by_seeds for name in each.rows}
        if not all(each.rows for each in by_seeds):  # an earlier report
            compared = {*per_seed}
        seconds = most * sum(each for case, each in per_seed.items() if case in compared)
        why = (
            f"up to {most} seeds for the rows of {open_claims}: at most "
            f"{format_duration(seconds)} of training for these"
        )
        return [NextStep(_with(words, "--seeds-until-decided", str(most)), why, by_seeds)]
    seconds = _SEEDS * sum(per_seed.values())
    gives = f"may decide {open_claims}" if by_seeds else "95 % intervals"
    return [
        NextStep(
            _with(words, "--replicates", str(_SEEDS)),
            f"{_SEEDS} seeds, {gives}: at most {format_duration(seconds)} of training",
            by_seeds,
        )
    ]


def _inconclusive(summary: Summary, *reasons: str) -> tuple[Decision, ...]:
    """Returns the inconclusive claims whose evidence gives one of the reasons."""
    return tuple(
        claim
        for claim in summary.claims
        if claim.verdict == INCONCLUSIVE and any(reason in claim.evidence for reason in reasons)
    )


def _with(words: list[str], option: str, value: str) -> str:
    """Returns the pytest command with the option set to that value, for a report folder of its own."""
    end = words.index("--") if "--" in words else len(words)
    kept = without(words[:end], option, "--report-dir")
    return shlex.join([*kept, option, value, *words[end:]])


def without(words: list[str], *options: str) -> list[str]:
    """Returns a pytest command's words without `--resume` and these options, which take values."""
    kept: list[str] = []
    before = iter(words)
    for word in before:
        if word in options:
            next(before, None)
        elif not (word.startswith(tuple(f"{option}=" for option in options)) or word == "--resume"):
            kept.append(word)
    return kept
