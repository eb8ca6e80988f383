"""`--history-fail`: the option, and its place among the gates."""

from __future__ import annotations

from typing import Any

import pytest

from model.values import one_line

from ..gates.baselines import Cases
from ..gates.gate_result import GateResult
from ..gates.plugin import OTHER_GATES, OtherGate
from ..hardware.machine import git_commit, machine_of
from ..session_settings import SESSION_STUDY
from ..timing.storage import saved_files
from .gate import HISTORY_OPTION, check_history, saved_history, this_run
from .steps import ACCEPTED_STEPS, STEP_POINTS, read_acceptances


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("minibatch-bench").addoption(
        HISTORY_OPTION,
        default=None,
        metavar="PERCENT",
        help="Fail if the saved runs, with this one, have a step that is not accepted: from some run on "
        "a row, or all rows together, trains slower by PERCENT, or a row is less accurate by "
        f"{STEP_POINTS:g} point",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    given = config.option.history_fail
    if given is None or hasattr(config, "workerinput"):
        return
    try:
        valid = 0 < float(given) <= 1000
    except ValueError:
        valid = False
    if not valid:
        raise pytest.UsageError(
            f"{HISTORY_OPTION} is {given!r}; expected a step in percent, above 0 and up to 1000"
        )
    study = config.stash[SESSION_STUDY]
    try:
        accepted = read_acceptances(study.path / ACCEPTED_STEPS)
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"{HISTORY_OPTION}: {one_line(error)}") from None

    def check(result: GateResult, current: Cases, storage: Any) -> None:
        versions = machine_of(config)
        now = this_run(current, versions, git_commit(config.rootpath) or "")
        runs, left_out = saved_history(saved_files(storage))
        result.notes.extend(f"{HISTORY_OPTION}: left out: {line}" for line in left_out)
        check_history(result, [*runs, now], float(given), accepted, study.home)

    config.stash.setdefault(OTHER_GATES, []).append(OtherGate(HISTORY_OPTION, check))
