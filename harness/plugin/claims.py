"""Fixtures for claims: `trained` returns rows' trainings, and `decide` records the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pytest

from model.dataset import MNIST
from model.experiment import Training
from model.values import printable, shown

from ..claim import Claim
from ..engine_speeds.comparable import unlike
from ..exercise import Exercise
from ..files.record import ClaimRecord, RunFingerprint
from ..files.sealed import FileError
from ..results.evenness import format_uneven, slowest_epoch
from ..results.fingerprint import fingerprint_of
from ..results.records import to_training
from ..results.seed_blocks import of_first_seeds
from ..results.store import Store
from ..session_settings import SESSION_STUDY, SETTINGS
from ..verdicts import (
    INCONCLUSIVE,
    NOT_TESTABLE,
    ONE_SEED_IS_TOO_FEW,
    OPPOSITE,
    SEEDS_LEAVE_IT_OPEN,
    Verdict,
)
from .claim_looks import Look, look_of
from .fixtures import Recorded, exercise_of


class Decide(Protocol):
    """Records the verdict on a claim; see `decide`."""

    def __call__(
        self,
        holds: bool | None,
        evidence: str,
        *,
        timed: Mapping[object, Training] = ...,
        open_because: str = ...,
    ) -> None: ...


class Trained:
    """The trainings of an exercise's rows; keeps track of those that the test has looked at."""

    def __init__(self, exercise: Exercise, recorded: Recorded, look: Look):
        self._exercise = exercise
        self._recorded = recorded
        self._look = look

    def __call__(self, name: str) -> Training:
        """Returns the training of the row called `name`, with the seeds of the test's look."""
        training = to_training(self._recorded(name, seeds=self._look.seeds))
        self._look.rows.add(name)
        return of_first_seeds(training, self._look.seeds)

    def where(self, *, published: bool = False, **values: Any) -> dict[str, Training]:
        """Returns the trainings of the rows with these values, by name; see `Exercise.where`.

        The test fails if there are none.
        """
        try:
            rows = self._exercise.where(published=published, **values)
            matching = self._exercise.where(**values)
        except ValueError as error:
            pytest.fail(f"trained.where: {error}", pytrace=False)
        if not rows:
            wanted = ", ".join(f"{name}={shown(value)}" for name, value in values.items())
            pytest.fail(
                f"no {'published ' * published}row of {self._exercise.title!r} has {wanted}",
                pytrace=False,
            )
        self._look.unpublished.update(row.name for row in matching if row not in rows)
        return {row.name: self(row.name) for row in rows}

    @property
    def looked_at(self) -> list[str]:
        """The names of the rows that the test has looked at, in the exercise's order."""
        return [name for name in self._exercise.names if name in self._look.rows]

    @property
    def passed_over(self) -> list[str]:
        """The names of the rows that match the test's queries, but were left out as unpublished."""
        names = self._look.unpublished - self._look.rows
        return [name for name in self._exercise.names if name in names]


@pytest.fixture
def trained(request: pytest.FixtureRequest, recorded: Recorded) -> Trained:
    """`trained(name)`: a row's training, untimed; `trained.where(optimizer=Adam)`: several, by name.

    They come from the session's store; rows that no test has trained yet are trained now.
    """
    return Trained(exercise_of(request), recorded, look_of(request.node))


@pytest.fixture
def decide(request: pytest.FixtureRequest, trained: Trained) -> Decide:
    """`decide(holds, evidence)`: records the verdict on the test's claim, with its evidence.

    `holds` is None if the seeds' intervals, or the test set's sampling error, or the variation of times
    leaves it open; if something else does, `open_because` says what, in a sentence. A claim on time
    passes its trainings as `timed`: if they ran on different engines or devices, the verdict is
    inconclusive. Their epochs out of line are named after the evidence; see
    `harness.results.evenness.judge_times`. The record names the rows that the test looked at. The
    test fails if the opposite verdict is expected.
    """
    mark = request.node.get_closest_marker("claim")
    if mark is None or hasattr(request.node, "callspec"):
        pytest.fail("decide is for a test that is marked with @claim and runs once", pytrace=False)
    claim: Claim = mark.args[0]
    settings, study = request.config.stash[SETTINGS], request.config.stash[SESSION_STUDY].study
    look = look_of(request.node)

    def record(
        holds: bool | None,
        evidence: str,
        *,
        timed: Mapping[object, Training] = MappingProxyType({}),
        open_because: str = "",
    ) -> None:
        if not (holds is None or isinstance(holds, bool | np.bool)):
            pytest.fail(f"decide: holds is {shown(holds)}; expected True, False or None", pytrace=False)
        try:
            printable("evidence", evidence)
            printable("open_because", open_because)
        except ValueError as error:
            pytest.fail(f"decide: {error}", pytrace=False)
        testable = settings.scale == study.full_scale or not claim.needs
        verdict, reason = _verdict(claim, holds, timed, look.seeds, open_because, testable=testable)
        look.is_open = verdict == INCONCLUSIVE and SEEDS_LEAVE_IT_OPEN in reason
        if look.seeds > len(settings.seeds) and verdict in claim.verdicts[:2]:
            reason += f" Decided with {look.seeds} seeds."
        if trained.passed_over:
            reason += f" Based on the published rows only, without {', '.join(trained.passed_over)}."
        decision = ClaimRecord(
            run=RunFingerprint(**fingerprint_of(request.config)),
            id=request.node.nodeid,
            verdict=verdict,
            evidence=evidence + reason,
            rows=trained.looked_at,
            **asdict(claim),
        )
        try:
            Store(settings.report_dir).put_claim(decision)
        except FileError as error:
            pytest.fail(str(error), pytrace=False)
        if claim.expected and verdict == OPPOSITE.get(claim.expected) and settings.dataset == MNIST.name:
            pytest.fail(
                f"verdict changed: expected {claim.expected}, got {verdict}: {evidence}", pytrace=False
            )

    return record


def _verdict(
    claim: Claim,
    holds: bool | None,
    timed: Mapping[object, Training],
    seeds: int,
    open_because: str,
    *,
    testable: bool,
) -> tuple[Verdict, str]:
    """Returns the verdict, and a note to append to the evidence."""
    if not testable:
        return NOT_TESTABLE, f" It needs {claim.needs}."
    if note := unlike({str(name): each.ran_on for name, each in timed.items()}):
        return INCONCLUSIVE, f" {note}"
    uneven = format_uneven(
        (str(name), slowest_epoch(each.epoch_seconds)) for name, each in timed.items()
    )
    note = f" {uneven}" if uneven else ""
    if holds is None:
        if seeds > 1:
            reason = f"The intervals of {seeds} {SEEDS_LEAVE_IT_OPEN}"
        else:
            reason = "The times vary too much to tell." if timed else ONE_SEED_IS_TOO_FEW
        return INCONCLUSIVE, f" {open_because or reason}{note}"
    return claim.verdicts[0 if holds else 1], note
