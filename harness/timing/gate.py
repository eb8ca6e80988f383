"""The accuracy gate, and the check that both gates need: that the baseline is comparable.

`--benchmark-compare-fail`, pytest-benchmark's own, gates on time; `--accuracy-compare-fail` gates on
test accuracy. A gate that compared nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ..settings import SETTINGS
from ..stats import significantly_less
from .xdist_bridge import benchmark_session

# Fields of `extra_info` that must match between a case and its baseline; for the time gate the
# model of CPU or GPU, too.
_MUST_MATCH = ("scale", "dataset", "timing", "device", "engine")
_MUST_MATCH_FOR_TIMES = (*_MUST_MATCH, "device_name")
_KNOWN_AT_START = ("scale", "dataset", "timing")
_FINDINGS = pytest.StashKey[tuple[list[str], list[str]]]()

Cases = Mapping[str, Mapping[str, Any]]  # `extra_info` by pytest node id


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("minibatch-bench").addoption(
        "--accuracy-compare-fail",
        default=None,
        metavar="POINTS",
        help="With --benchmark-compare: fail if a case's mean test accuracy fell by more than POINTS "
        "percentage points, significantly so where both sides have several seeds",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    points = config.option.accuracy_compare_fail
    if points is not None:
        try:
            valid = 0 <= float(points) <= 100
        except ValueError:
            valid = False
        if not valid:
            raise pytest.UsageError(
                f"--accuracy-compare-fail is {points!r}; it takes percentage points, from 0 to 100"
            )
    if (gates := _gates(config)) and not config.option.benchmark_compare:
        raise pytest.UsageError(f"{gates} needs --benchmark-compare, which names the baseline")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_compare_machine_info(config: pytest.Config, compared_benchmark: Any) -> None:
    """Checks the parts of a saved file that pytest-benchmark itself does not look at."""
    try:
        whole = isinstance(compared_benchmark["machine_info"], dict) and all(
            isinstance(case["fullname"], str) and _readable(case.get("extra_info") or {})
            for case in compared_benchmark["benchmarks"]
        )
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise pytest.UsageError(
            "--benchmark-compare: the baseline in "
            f"{config.option.benchmark_storage} is damaged, or not in pytest-benchmark's format"
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuses a baseline that is known not to be comparable before anything trains."""
    config = session.config
    gates = _gates(config)
    if not gates:
        return
    baselines = _baselines(config)
    if not baselines:
        raise pytest.UsageError(
            f"{gates}: no readable baseline in {config.option.benchmark_storage}; "
            "make one with --benchmark-autosave"
        )
    for path, cases in baselines.items():
        if not cases:
            raise pytest.UsageError(f"{gates}: the baseline {path} has no case of this suite")
        for name in _KNOWN_AT_START:
            ours = getattr(config.stash[SETTINGS], name)
            theirs = sorted({str(info.get(name)) for info in cases.values()})
            if theirs != [ours]:
                raise pytest.UsageError(
                    f"{gates}: the baseline {path} has {name} {', '.join(theirs)}, this run has {ours}"
                )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if not _gates(config) or not session.testscollected:
        return
    benchmarks = benchmark_session(config)
    current = _cases({benchmark.fullname: benchmark.extra_info for benchmark in benchmarks.benchmarks})
    points = config.option.accuracy_compare_fail
    failures: list[str] = []
    notes: list[str] = []
    for path, baseline in _baselines(config).items():
        for found, lines in zip(
            (failures, notes),
            compare(
                current,
                baseline,
                points=None if points is None else float(points),
                times=bool(benchmarks.compare_fail),
            ),
            strict=True,
        ):
            found += [f"{line} (baseline {path})" for line in lines]
    config.stash[_FINDINGS] = (failures, notes)
    if failures and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _FINDINGS not in terminalreporter.config.stash:
        return
    failures, notes = terminalreporter.config.stash[_FINDINGS]
    terminalreporter.section("gate: failed" if failures else "gate: held", red=bool(failures))
    for line in failures:
        terminalreporter.write_line(line, red=True)
    for line in notes:
        terminalreporter.write_line(line)


def compare(
    current: Cases, baseline: Cases, *, points: float | None, times: bool
) -> tuple[list[str], list[str]]:
    """Compares the cases in both; returns failures and notes, a line each.

    An accuracy may fall by `points` percentage points; None does not gate accuracies. `times` says
    whether pytest-benchmark gates times, which needs cases whose times are comparable.
    """
    common = [case for case in current if case in baseline]
    if not common:
        return ["nothing was compared: this run and the baseline have no case in common"], []
    failures, notes = [], []
    for case in common:
        ours, theirs = current[case], baseline[case]
        differing = [
            f"{name} {theirs.get(name)} there, {ours.get(name)} here"
            for name in (_MUST_MATCH_FOR_TIMES if times else _MUST_MATCH)
            if ours.get(name) != theirs.get(name)
        ]
        if differing:
            failures.append(f"{case}: cannot be compared: {'; '.join(differing)}")
        elif points is not None and _fell(ours["test_accuracy"], theirs["test_accuracy"], points):
            failures.append(
                f"{case}: test accuracy fell from {_mean(theirs['test_accuracy']):.4f} "
                f"to {_mean(ours['test_accuracy']):.4f}, by more than {points:g} points"
            )
    if new := [case for case in current if case not in baseline]:
        notes.append(f"not gated, not in the baseline: {', '.join(new)}")
    if missing := [case for case in baseline if case not in current]:
        notes.append(f"not gated, not timed in this run: {', '.join(missing)}")
    notes.append(f"gated: {len(common)} case{'s' if len(common) > 1 else ''}")
    return failures, notes


def _fell(ours: Sequence[float], theirs: Sequence[float], points: float) -> bool:
    """Whether the mean fell by more than `points` percentage points, and significantly."""
    return (_mean(theirs) - _mean(ours)) * 100 > points and significantly_less(ours, theirs)


def _readable(info: Mapping[str, Any]) -> bool:
    accuracies = info.get("test_accuracy", [0])
    return (
        isinstance(accuracies, list)
        and len(accuracies) > 0
        and all(isinstance(accuracy, int | float) for accuracy in accuracies)
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _gates(config: pytest.Config) -> str:
    """The options of the active gates, in words; empty in a worker."""
    if hasattr(config, "workerinput"):
        return ""
    option = config.option
    gates = {
        "--benchmark-compare-fail": option.benchmark_compare_fail,
        "--accuracy-compare-fail": option.accuracy_compare_fail,
    }
    return " and ".join(name for name, value in gates.items() if value is not None)


def _baselines(config: pytest.Config) -> dict[str, Cases]:
    return {
        str(path): _cases({name: case.get("extra_info") or {} for name, case in benchmarks.items()})
        for path, benchmarks in benchmark_session(config).compared_mapping.items()
    }


def _cases(infos: Cases) -> Cases:
    """The cases of this suite, without other benchmarks in the same file."""
    return {case: info for case, info in infos.items() if "test_accuracy" in info}
