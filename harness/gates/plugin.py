"""The gates' options, and the hooks that run the gates and show their common result.

`--time-compare-fail` compares with all saved runs; `--accuracy-compare-fail` and pytest-benchmark's own
`--benchmark-compare-fail` compare with the runs that `--benchmark-compare` names. A gate that compared
nothing or could decide nothing fails. A run with inconclusive rows is saved, but not as a baseline.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..compare.github import tell_github
from ..hardware.machine import machine_of
from ..session_settings import KEPT_RUN, SETTINGS
from ..timing.session_rows import SESSION_ROWS
from ..timing.storage import ACCEPTED, INCONCLUSIVE_SUFFIX, counts, saved_files
from ..timing.xdist_bridge import benchmark_session
from ..wording import counted
from . import accuracy_gate, missing, time_gate, versions
from .baselines import (
    FOR_TIMES,
    KNOWN_AT_START,
    BaselineError,
    Cases,
    SavedRun,
    cases_of,
    read_saved_run,
)
from .gate_result import Finding, GateResult
from .retraining import RetrainingError, retrain

_BENCHMARK = "--benchmark-compare-fail"
_BARE = "--fail-bare-falls"
_UNDERPOWERED = "--fail-underpowered"
_NAMED = (accuracy_gate.ACCURACY_OPTION, _BENCHMARK)  # they need --benchmark-compare


@dataclass(frozen=True)
class OtherGate:
    """A gate of another package. A run that fails only such gates is saved all the same."""

    option: str
    check: Callable[[GateResult, Cases, Any], None]
    """Adds its findings to the result, given this run's cases and pytest-benchmark's storage."""


OTHER_GATES = pytest.StashKey[list[OtherGate]]()
"""`config.stash[OTHER_GATES]` has the active gates of other packages, if any."""


@dataclass(frozen=True)
class _Saved:
    """The saved runs, oldest first."""

    every: list[SavedRun]
    """All baselines."""
    named: list[SavedRun]
    """The runs that `--benchmark-compare` names."""


_SAVED = pytest.StashKey[_Saved]()
_RESULT = pytest.StashKey[GateResult]()

_BEFORE = pytest.StashKey[frozenset[Path]]()  # the files saved before an inconclusive run

_RERUNNING = ("lfplugin", "stepwiseplugin")  # pytest's plugins that remember failures
_NODE = "gate"  # the name of a failed gate among the tests


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("minibatch-bench")
    group.addoption(
        time_gate.TIME_OPTION,
        default=None,
        metavar="PERCENT",
        help="Fail if a row, or all rows together, train significantly slower than in the saved runs, "
        "by at least half of PERCENT. Rows that look slower are first trained again, to confirm it",
    )
    group.addoption(
        accuracy_gate.ACCURACY_OPTION,
        default=None,
        metavar="POINTS",
        help="With --benchmark-compare: fail if a row learns worse than in the saved run, compared seed "
        "by seed: its test accuracy drops significantly, by at least half of POINTS percentage points, "
        "or it takes significantly more epochs to reach a target accuracy",
    )
    group.addoption(
        _BARE,
        action="store_true",
        help="With one seed, where the noise is unknown: fail if test accuracy drops by more than the "
        f"POINTS of {accuracy_gate.ACCURACY_OPTION}",
    )
    group.addoption(
        _UNDERPOWERED,
        action="store_true",
        help="Also fail if a gate is inconclusive: a slowdown or drop of the requested size may have "
        "gone undetected in some rows",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    _check_number(time_gate.TIME_OPTION, option.time_compare_fail, 1000, "a slowdown in percent")
    _check_number(accuracy_gate.ACCURACY_OPTION, option.accuracy_compare_fail, 100, "percentage points")
    gates = _gates(config)
    if option.fail_bare_falls and accuracy_gate.ACCURACY_OPTION not in gates:
        raise pytest.UsageError(f"{_BARE} needs {accuracy_gate.ACCURACY_OPTION}")
    if option.fail_underpowered and not {time_gate.TIME_OPTION, accuracy_gate.ACCURACY_OPTION} & {
        *gates
    }:
        raise pytest.UsageError(
            f"{_UNDERPOWERED} needs {time_gate.TIME_OPTION} or {accuracy_gate.ACCURACY_OPTION}"
        )
    if gates and (idle := _trains_nothing(config)):
        raise pytest.UsageError(
            f"{' and '.join(gates)} cannot judge a run that trains or times nothing; leave out {idle}"
        )
    named = [gate for gate in gates if gate in _NAMED]
    if named and not option.benchmark_compare:
        raise pytest.UsageError(
            f"{' and '.join(named)} needs --benchmark-compare, which names the saved run to compare with"
        )


def _trains_nothing(config: pytest.Config) -> str | None:
    """Returns the option, if any, that makes this session train or time nothing."""
    option = config.option
    options = {
        "--collect-only": option.collectonly,
        "--setup-only or --setup-plan": option.setuponly or option.setupplan,
        "--benchmark-disable": option.benchmark_disable and not option.benchmark_enable,
        "--benchmark-skip": option.benchmark_skip and not option.benchmark_only,
    }
    return next((name for name, given in options.items() if given), None)


def _check_number(option: str, given: str | None, most: int, what: str) -> None:
    try:
        valid = given is None or 0 < float(given) <= most
    except ValueError:
        valid = False
    if not valid:
        raise pytest.UsageError(f"{option} is {given!r}; expected {what}, above 0 and up to {most}")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_compare_machine_info(config: pytest.Config, benchmarksession: Any) -> None:
    """Reads and checks the saved runs before pytest-benchmark does, which checks little."""
    _read(config, benchmarksession)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuses, before anything trains, saved runs that are already known not to be comparable."""
    config = session.config
    gates = " and ".join(_gates(config))
    if not gates and not config.option.benchmark_compare:
        return
    benchmarks = benchmark_session(config)
    saved = _read(config, benchmarks)
    if {*_gates(config)} & {*_NAMED} and not saved.named:
        raise pytest.UsageError(
            f"{gates} found no baseline in {benchmarks.storage}; save a run first, with "
            "--benchmark-autosave and without the gate"
        )
    if config.option.time_compare_fail is not None:
        _check_enough(config, benchmarks, saved.every)
    for run in saved.named if gates else []:
        if not run.cases:
            raise pytest.UsageError(
                f"{gates}: {run.path} has no row of this suite; name another saved run"
            )
        for name in KNOWN_AT_START:
            ours = getattr(config.stash[SETTINGS], name)
            theirs = sorted({str(getattr(case.extra_info, name)) for case in run.cases.values()})
            if ours not in theirs:  # a row may have a data set of its own
                expected = ", ".join(theirs)
                raise pytest.UsageError(
                    f"{gates}: this run has {name} {ours}; expected {expected}, as in {run.path}"
                )


def _check_enough(config: pytest.Config, benchmarks: Any, runs: list[SavedRun]) -> None:
    """Raises UsageError if too few saved runs can be compared, whatever this session trains."""
    settings = config.stash[SETTINGS]
    known: dict[str, object] = {name: getattr(settings, name) for name in KNOWN_AT_START}
    known["replicates"] = len(settings.seeds)
    most = time_gate.most_that_could_count(runs, known)
    if most < time_gate.FEWEST:
        described = ", ".join(f"{name} {value}" for name, value in known.items())
        of = f" (of {len(runs)} baselines)" if len(runs) > most else ""
        raise pytest.UsageError(
            f"{time_gate.TIME_OPTION} needs at least {time_gate.FEWEST} saved runs, found {most}{of} "
            f"with {described} in {benchmarks.storage}; save more first, with --benchmark-autosave and "
            "without the gate"
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Runs the gates before pytest-benchmark saves this run, since a run that fails is not saved."""
    config = session.config
    if _SAVED in config.stash and _gates(config) and session.testscollected:
        _finish(session)
    yield


def _finish(session: pytest.Session) -> None:
    config = session.config
    benchmarks = benchmark_session(config)
    result = _run_gates(config, benchmarks, config.stash[_SAVED])
    config.stash[_RESULT] = result
    benchmarks.compare_fail = []  # pytest-benchmark would report it again, with a traceback
    name = benchmarks.save or benchmarks.autosave
    others = {gate.option for gate in config.stash.get(OTHER_GATES, [])}
    if not result.holds:
        if name and (not result.failures or {each.gate for each in result.failures} - others):
            result.notes.append("This run was not saved, because it failed the gate.")
            benchmarks.save = benchmarks.autosave = None
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        _report_failure(config, result)
    elif result.inconclusive and name and benchmarks.save != ACCEPTED:
        config.stash[_BEFORE] = frozenset(saved_files(benchmarks.storage))
        benchmarks.save = f"{name}{INCONCLUSIVE_SUFFIX}"


def _note_saved(config: pytest.Config, result: GateResult) -> None:
    """Adds a note on how to make an inconclusive run, which has just been saved, a baseline."""
    if _BEFORE not in config.stash:
        return
    before = config.stash[_BEFORE]
    for path in frozenset(saved_files(benchmark_session(config).storage)) - before:
        baseline = path.with_name(path.name.replace(INCONCLUSIVE_SUFFIX, ""))
        result.notes.append(
            "This run was saved as inconclusive and is not a baseline. To make it one: "
            f"{shlex.join(['mv', str(path), str(baseline)])}"
        )


def _report_failure(config: pytest.Config, result: GateResult) -> None:
    """Reports the gate as a failed test to plugins that list tests, such as JUnit's."""
    report = pytest.TestReport(
        nodeid=_NODE,
        location=(_NODE, None, _NODE),
        keywords={},
        outcome="failed",
        longrepr=result.why_failed(),
        when="call",
    )
    # --last-failed and --stepwise cannot run it again, so their plugins are left out. The terminal lists
    # it as a failure but not in its progress. All tests have ended, so --maxfail must not stop anything.
    manager = config.pluginmanager
    reporter = manager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    reporter.stats.setdefault("failed", []).append(report)
    left_out = [reporter, *(plugin for name in _RERUNNING if (plugin := manager.get_plugin(name)))]
    most, config.option.maxfail = config.option.maxfail, 0
    try:
        manager.subset_hook_caller("pytest_runtest_logreport", left_out)(report=report)
    finally:
        config.option.maxfail = most


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    if _RESULT not in config.stash:
        return
    result = config.stash[_RESULT]
    _note_saved(config, result)
    terminalreporter.section(result.title, "=", **{result.colour: True})
    for line, colour in result.lines():
        terminalreporter.write_line(line, **({colour: True} if colour else {}))
    try:
        result.write(config.stash[SETTINGS].report_dir)
        tell_github(result.markdown(), result.annotations(), terminalreporter.write_line)
    except OSError as error:
        terminalreporter.write_line(
            f"gate.json or the GitHub job summary cannot be written: {error}", red=True
        )


def _run_gates(config: pytest.Config, benchmarks: Any, saved: _Saved) -> GateResult:
    option, settings = config.option, config.stash[SETTINGS]
    result = GateResult([], [], [], [], strict=option.fail_underpowered)
    measured = [each.as_dict(include_data=False) for each in benchmarks.benchmarks if not each.has_error]
    current = cases_of(measured)
    why = partial(config.stash[SESSION_ROWS].absence, config)
    used: list[SavedRun] = []
    if option.time_compare_fail is not None:
        again = (
            _refuse_to_retrain
            if KEPT_RUN in config.stash
            else partial(retrain, settings=settings, root=config.rootpath)
        )
        percent = float(option.time_compare_fail)
        used = time_gate.check_times(result, current, saved.every, percent, again)
        missing.report_missing(
            result, time_gate.TIME_OPTION, time_gate.absent(current, saved.every, used), why
        )
    for other in config.stash.get(OTHER_GATES, []):
        other.check(result, current, benchmarks.storage)
    named = [gate for gate in _gates(config) if gate in _NAMED]
    for run in saved.named if named else []:
        if option.accuracy_compare_fail is not None:
            points = float(option.accuracy_compare_fail)
            accuracy_gate.check_accuracies(result, current, run, points, bare=option.fail_bare_falls)
        if option.benchmark_compare_fail is not None:
            _check_benchmarks(result, current, run, option.benchmark_compare_fail)
        absent = {case: run.path.stem for case in run.cases if case not in current}
        missing.report_missing(result, named[0], absent, why)
        used = [*used, run]
    versions.report_versions(result, machine_of(config), used)
    return result


def _refuse_to_retrain(cases: Collection[str]) -> Cases:
    raise RetrainingError(
        f"{counted(len(cases), 'row')} were trained on other machines than this, which only reads them"
    )


def _check_benchmarks(result: GateResult, current: Cases, run: SavedRun, checks: list[Any]) -> None:
    """Adds to `result` which rows fail pytest-benchmark's own checks."""
    common = accuracy_gate.comparable(result, _BENCHMARK, current, run, FOR_TIMES)
    for case, ours in common.items():
        now, before = ours.stats.model_dump(), run.cases[case].stats.model_dump()
        failed = [check for check in checks if check.fails(now, before)]
        for check in failed:
            text = (
                f"{check.field} {now[check.field]:.3g} s per epoch, compared with "
                f"{before[check.field]:.3g} s in {run.path.stem}"
            )
            result.failures.append(Finding(_BENCHMARK, case, "slower", text))
        if not failed:
            result.passed.append(Finding(_BENCHMARK, case, "not slower", "not slower"))
    if common:
        result.notes.append(
            f"{_BENCHMARK}: {counted(len(common), 'row')} compared with {run.path.stem}."
        )


def _gates(config: pytest.Config) -> list[str]:
    """Returns the options of the active gates; a worker has none."""
    if hasattr(config, "workerinput"):
        return []
    option = config.option
    gates = {
        time_gate.TIME_OPTION: option.time_compare_fail,
        accuracy_gate.ACCURACY_OPTION: option.accuracy_compare_fail,
        _BENCHMARK: option.benchmark_compare_fail,
    }
    others = [gate.option for gate in config.stash.get(OTHER_GATES, [])]
    return [*(name for name, value in gates.items() if value is not None), *others]


def _read(config: pytest.Config, benchmarks: Any) -> _Saved:
    """Returns the saved runs that this session needs, which it reads once."""
    if _SAVED not in config.stash:
        option = config.option
        try:
            config.stash[_SAVED] = _Saved(
                every=[read_saved_run(path) for path in saved_files(benchmarks.storage) if counts(path)]
                if option.time_compare_fail
                else [],
                # True if the storage is empty.
                named=[
                    read_saved_run(path)
                    for path in saved_files(benchmarks.storage, option.benchmark_compare)
                ]
                if option.benchmark_compare and option.benchmark_compare is not True
                else [],
            )
        except BaselineError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_SAVED]
