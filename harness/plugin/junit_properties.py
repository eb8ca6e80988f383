"""Times and accuracies in JUnit's file, as properties of its test suite.

The schema of xunit2 has no properties of test cases, so that each name begins with the row's node id.
The process that writes the file adds them, also under pytest-xdist.
"""

from __future__ import annotations

from collections.abc import Generator
from statistics import fmean
from typing import Any

import pytest

from ..files import sealed
from ..files.summary import Summary
from ..session_settings import SETTINGS


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Adds the properties after the summary was written, and before pytest writes JUnit's file."""
    config = session.config
    plugins = config.pluginmanager.get_plugins()
    junit: Any = next((each for each in plugins if hasattr(each, "add_global_property")), None)
    path = config.stash[SETTINGS].report_dir / "summary.json"
    if junit is not None and path.is_file():
        for case in sealed.read_model(path, Summary).cases:
            junit.add_global_property(f"{case.id} test_accuracy", fmean(case.test_accuracy))
            junit.add_global_property(f"{case.id} seconds", case.seconds)
            junit.add_global_property(
                f"{case.id} seconds_per_epoch", case.seconds / case.experiment.epochs
            )
            junit.add_global_property(f"{case.id} outcome", case.outcome)
    yield
