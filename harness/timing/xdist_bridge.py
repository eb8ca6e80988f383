"""pytest-benchmark under pytest-xdist: the workers' measurements reach the controller.

pytest-benchmark disables itself under xdist, because times taken in parallel cannot be trusted and the
records would stay in the workers. Neither applies here: a training leases the hardware that it runs on,
and each test's records travel with its report. The controller's own pytest-benchmark session does the
rest: tables, saving, comparing and gating. (Not `--benchmark-cprofile`, which would profile the timer
instead of a training.)

Only this file, `storage.py` and `benchmark_tables.py` use pytest-benchmark's private state, here
`config._benchmarksession`
with `benchmarks`, `disabled`, `skip`, `only`, `xdist_warning`, `compare_fail`, `save`, `autosave`,
`storage`, `handle_saving` and `display`, and `pytest_benchmark.stats.Metadata`. Tested with 5.2.3 and
5.3.1.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_benchmark import __version__
from pytest_benchmark.stats import Metadata
from pytest_benchmark.utils import safe_dumps

_PRIVATE = (
    "benchmarks",
    "disabled",
    "skip",
    "only",
    "xdist_warning",
    "compare_fail",
    "save",
    "autosave",
    "storage",
    "handle_saving",
    "display",
)
_ONLY = pytest.StashKey[bool]()


def benchmark_session(config: pytest.Config) -> Any:
    """Returns pytest-benchmark's session. Raises UsageError if it lacks an attribute used here."""
    session = getattr(config, "_benchmarksession", None)
    missing = [name for name in _PRIVATE if not hasattr(session, name)]
    if missing:
        raise pytest.UsageError(
            f"pytest-benchmark {__version__} has no {', '.join(missing)} in its session, which "
            "harness/timing/xdist_bridge.py needs; install 5.2.3 or 5.3.1, with which it was tested"
        )
    return session


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Runs before pytest-benchmark creates its session."""
    # pytest-benchmark refuses --benchmark-only under xdist; pytest_sessionstart sets it again.
    config.stash[_ONLY] = config.option.benchmark_only and _under_xdist(config)
    if config.stash[_ONLY]:
        config.option.benchmark_only = False
    if hasattr(config, "workerinput"):
        # A worker measures; the controller loads, saves and compares.
        option = config.option
        option.benchmark_save = option.benchmark_autosave = option.benchmark_json = None
        option.benchmark_compare, option.benchmark_compare_fail = [], None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    benchmarks = benchmark_session(config)
    if _under_xdist(config):
        benchmarks.disabled = config.option.benchmark_disable and not config.option.benchmark_enable
        benchmarks.xdist_warning = False
    if config.stash[_ONLY]:
        benchmarks.only, benchmarks.skip = True, False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and hasattr(item.config, "workerinput"):
        measured = benchmark_session(item.config).benchmarks
        # pytest serialises a report with all its attributes.
        vars(report)["benchmarks"] = [_serialise(benchmark) for benchmark in measured]
        measured.clear()
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if (node := getattr(report, "node", None)) is not None:  # it came from a worker
        benchmark_session(node.config).benchmarks.extend(
            _deserialise(plain) for plain in getattr(report, "benchmarks", ())
        )


def _under_xdist(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"


def _serialise(benchmark: Metadata) -> dict[str, Any]:
    """Returns the record as pytest-benchmark would save it, in types that xdist can send."""
    whole = {**benchmark.as_dict(include_data=True), "has_error": benchmark.has_error}
    plain: dict[str, Any] = json.loads(safe_dumps(whole))
    return plain


def _deserialise(plain: dict[str, Any]) -> Metadata:
    fixture = SimpleNamespace(
        **{name: plain[name] for name in ("name", "fullname", "group", "param", "params", "extra_info")},
        cprofile_stats=None,
        has_error=plain["has_error"],
    )
    benchmark = Metadata(fixture, iterations=plain["stats"]["iterations"], options=plain["options"])
    for seconds in plain["stats"]["data"]:
        benchmark.stats.update(seconds)
    return benchmark
