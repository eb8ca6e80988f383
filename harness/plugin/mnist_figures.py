"""Assertions about MNIST's figures, which are left out, and listed, on other data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from model.dataset import MNIST

from ..session_settings import SETTINGS

_LEFT_OUT = "minibatch-bench: left out"  # a property of the test's report, with the data set's name


@pytest.fixture
def on_mnist(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """`on_mnist()`: whether the session trains on MNIST, so that MNIST's figures can be asserted.

    If it does not, the test is listed at the end as one that left out assertions.
    """
    dataset = request.config.stash[SETTINGS].dataset

    def asked() -> bool:
        if dataset != MNIST.name:
            request.node.user_properties.append((_LEFT_OUT, dataset))
        return dataset == MNIST.name

    return asked


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = dict.fromkeys(
        report.nodeid
        for report in _reports(terminalreporter)
        if any(name == _LEFT_OUT for name, _ in report.user_properties)
    )
    if left_out:
        dataset = terminalreporter.config.stash[SETTINGS].dataset
        terminalreporter.section(f"assertions left out on {dataset}: they hold on mnist only")
        for name in left_out:
            terminalreporter.write_line(name)


def _reports(terminalreporter: pytest.TerminalReporter) -> Iterator[pytest.TestReport]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            if isinstance(report, pytest.TestReport):
                yield report
