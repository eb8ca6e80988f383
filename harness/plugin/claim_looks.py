"""Looks at claims: if seeds leave one open, its test runs again when its rows have more of them."""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol  # which plugins that repeat tests use, too

from ..session_settings import SETTINGS
from ..stats import deciding_at


class Look:
    """What a claim's test looks at: so many seeds of some rows."""

    def __init__(self, seeds: int):
        self.begin(seeds)

    def begin(self, seeds: int) -> None:
        """Begins a look at rows with `seeds` seeds."""
        self.seeds = seeds
        self.is_open = False
        """Whether these seeds leave the claim open, and more may decide it."""
        self.lacks_seeds = False
        """Whether the session only reads a run, which has fewer seeds."""
        self.rows: set[str] = set()
        """The names of the rows that the test has looked at."""
        self.unpublished: set[str] = set()
        """The names of the rows that match its queries, but are not published."""


_LOOK = pytest.StashKey[Look]()


def look_of(item: pytest.Item) -> Look:
    """Returns the test's current look, at first with the seeds of the run."""
    return item.stash.setdefault(_LOOK, Look(len(item.config.stash[SETTINGS].seeds)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a claim's test, with its fixtures, once for each look until it is decided.

    Only the last look is reported.
    """
    looks = item.config.stash[SETTINGS].looks
    if len(looks.seeds) == 1 or "decide" not in getattr(item, "fixturenames", ()):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    look, reports = look_of(item), list[pytest.TestReport]()
    for seeds in looks.seeds:
        look.begin(seeds)
        item._initrequest()  # type: ignore[attr-defined]  # or the fixtures of the look before are kept
        with deciding_at(looks.confidence):
            found = runtestprotocol(item, log=False, nextitem=nextitem)
        if look.lacks_seeds and reports:  # the verdict is that of the look before
            break
        reports = found
        if not look.is_open:
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
