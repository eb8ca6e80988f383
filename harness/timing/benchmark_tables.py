"""pytest-benchmark's tables, which the suite's own replace unless the session asks for them.

They are shown with `-v` or any option of pytest-benchmark about what to show or compare. Saving,
comparing and failing do not depend on it.
"""

from __future__ import annotations

import os
import shlex

import pytest

_ASKED_BY = (
    "--benchmark-columns",
    "--benchmark-sort",
    "--benchmark-group-by",
    "--benchmark-name",
    "--benchmark-histogram",
    "--benchmark-time-unit",
    "--benchmark-compare",
    "--benchmark-cprofile",
    "--benchmark-verbose",
)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    if session is not None and not _asked(config):
        session.quiet = True


def _asked(config: pytest.Config) -> bool:
    given = [
        *map(str, config.invocation_params.args),
        *config.getini("addopts"),
        *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")),
    ]
    return config.option.verbose > 0 or any(each.startswith(_ASKED_BY) for each in given)
