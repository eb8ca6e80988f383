"""The gates' options, and the hooks that ask the gates and show their one answer.

`--time-compare-fail` goes by all saved runs, `--accuracy-compare-fail` and pytest-benchmark's own
`--benchmark-compare-fail` by those that `--benchmark-compare` names. A gate that compared nothing fails.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from ..settings import SETTINGS
from ..timing.xdist_bridge import benchmark_session, saved_files
from . import accuracy_gate, time_gate
from .answer import Answer, Finding, rows, tell_github
from .baselines import FOR_TIMES, KNOWN_AT_START, BaselineError, Cases, SavedRun, cases_of, read
from .retraining import retrain

_BENCHMARK = "--benchmark-compare-fail"


@dataclass(frozen=True)
class _Saved:
    """The saved runs, oldest first."""

    every: list[SavedRun]
    named: list[SavedRun]
    """Those that `--benchmark-compare` names."""


_SAVED = pytest.StashKey[_Saved]()
_ANSWER = pytest.StashKey[Answer]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("minibatch-bench")
    group.addoption(
        time_gate.OPTION,
        default=None,
        metavar="PERCENT",
        help="Fail if a row, or all together, became slower than in the saved runs: significantly, by "
        "half of PERCENT at least. Suspects are trained again first",
    )
    group.addoption(
        accuracy_gate.OPTION,
        default=None,
        metavar="POINTS",
        help="With --benchmark-compare: fail if a row learns worse, seed by seed: its accuracy fell "
        "significantly, by half of POINTS percentage points at least, or comes significantly later",
    )
    group.addoption(
        "--fail-bare-falls",
        action="store_true",
        help="With one seed, which tells nothing of noise: fail where the accuracy fell by more than "
        f"{accuracy_gate.OPTION}",
    )
    group.addoption(
        "--fail-underpowered",
        action="store_true",
        help="Fail also where a gate could not have found what it was asked for",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    _check_number(time_gate.OPTION, option.time_compare_fail, 1000, "a slowdown in percent")
    _check_number(accuracy_gate.OPTION, option.accuracy_compare_fail, 100, "percentage points")
    named = [gate for gate in _gates(config) if gate != time_gate.OPTION]
    if named and not option.benchmark_compare:
        raise pytest.UsageError(
            f"{' and '.join(named)} needs --benchmark-compare, which names the saved run"
        )


def _check_number(option: str, given: str | None, most: int, what: str) -> None:
    try:
        valid = given is None or 0 < float(given) <= most
    except ValueError:
        valid = False
    if not valid:
        raise pytest.UsageError(f"{option} is {given!r}; it takes {what}, above 0 and up to {most}")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_compare_machine_info(config: pytest.Config, benchmarksession: Any) -> None:
    """Reads what is compared before pytest-benchmark does, which checks little of it."""
    _read(config, benchmarksession)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuses saved runs that are known not to be comparable before anything trains."""
    config = session.config
    gates = " and ".join(_gates(config))
    if not gates and not config.option.benchmark_compare:
        return
    benchmarks = benchmark_session(config)
    saved = _read(config, benchmarks)
    if gates and not (saved.named or saved.every):
        raise pytest.UsageError(
            f"{gates}: no saved run in {benchmarks.storage}; make one with --benchmark-autosave"
        )
    for run in saved.named if gates else []:
        if not run.cases:
            raise pytest.UsageError(f"{gates}: {run.path} has no row of this suite")
        for name in KNOWN_AT_START:
            ours = getattr(config.stash[SETTINGS], name)
            theirs = sorted({getattr(case.extra_info, name) for case in run.cases.values()})
            if theirs != [ours]:
                raise pytest.UsageError(
                    f"{gates}: {run.path} has {name} {', '.join(theirs)}, this run has {ours}"
                )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Asks the gates before pytest-benchmark saves this run: one that fails is no baseline."""
    config = session.config
    if _SAVED in config.stash and _gates(config) and session.testscollected:
        benchmarks = benchmark_session(config)
        answer = _ask(config, benchmarks, config.stash[_SAVED])
        config.stash[_ANSWER] = answer
        benchmarks.compare_fail = []  # pytest-benchmark would say it again, with a traceback
        if not answer.holds:
            if benchmarks.save or benchmarks.autosave:
                answer.notes.append("This run was not saved.")
                benchmarks.save = benchmarks.autosave = None
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    if _ANSWER not in config.stash:
        return
    answer = config.stash[_ANSWER]
    terminalreporter.section(answer.title, red=not answer.holds, green=answer.holds)
    for line, colour in answer.lines():
        terminalreporter.write_line(line, **({colour: True} if colour else {}))
    try:
        answer.write(config.stash[SETTINGS].report_dir)
        tell_github(answer.markdown(), answer.annotations(), terminalreporter.write_line)
    except OSError as error:
        terminalreporter.write_line(f"gate.json or the job's summary was not written: {error}", red=True)


def _ask(config: pytest.Config, benchmarks: Any, saved: _Saved) -> Answer:
    option, settings = config.option, config.stash[SETTINGS]
    answer = Answer([], [], [], [], strict=option.fail_underpowered)
    current = cases_of([each.as_dict(include_data=False) for each in benchmarks.benchmarks])
    if option.time_compare_fail is not None:
        again = partial(retrain, settings=settings, root=config.rootpath)
        time_gate.ask(answer, current, saved.every, float(option.time_compare_fail), again)
    if option.accuracy_compare_fail is not None:
        points = float(option.accuracy_compare_fail)
        for run in saved.named:
            accuracy_gate.ask(answer, current, run, points, bare=option.fail_bare_falls)
    if option.benchmark_compare_fail is not None:
        for run in saved.named:
            _ask_benchmark(answer, current, run, option.benchmark_compare_fail)
    return answer


def _ask_benchmark(answer: Answer, current: Cases, run: SavedRun, checks: list[Any]) -> None:
    """pytest-benchmark's own checks."""
    common = accuracy_gate.comparable(answer, _BENCHMARK, current, run, FOR_TIMES)
    for case, ours in common.items():
        now, before = ours.stats.model_dump(), run.cases[case].stats.model_dump()
        failed = [check for check in checks if check.fails(now, before)]
        for check in failed:
            text = (
                f"{check.field} {now[check.field]:.3g} s an epoch, {before[check.field]:.3g} s in "
                f"{run.path.stem}"
            )
            answer.failures.append(Finding(_BENCHMARK, case, "slower", text))
        if not failed:
            answer.passed.append(Finding(_BENCHMARK, case, "not slower", "not slower"))
    if common:
        answer.notes.append(f"{_BENCHMARK}: {rows(len(common))} against {run.path.stem}.")


def _gates(config: pytest.Config) -> list[str]:
    """The options of the active gates; none in a worker."""
    if hasattr(config, "workerinput"):
        return []
    option = config.option
    gates = {
        time_gate.OPTION: option.time_compare_fail,
        accuracy_gate.OPTION: option.accuracy_compare_fail,
        _BENCHMARK: option.benchmark_compare_fail,
    }
    return [name for name, value in gates.items() if value is not None]


def _read(config: pytest.Config, benchmarks: Any) -> _Saved:
    """Reads the saved runs that this session needs, once."""
    if _SAVED not in config.stash:
        option = config.option
        try:
            config.stash[_SAVED] = _Saved(
                every=[read(path) for path in saved_files(benchmarks, None)]
                if option.time_compare_fail
                else [],
                named=[read(path) for path in saved_files(benchmarks, option.benchmark_compare)]
                if option.benchmark_compare
                else [],
            )
        except BaselineError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_SAVED]
