"""Which tests are run on a mutant, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .traced import TracedTest

_MOST_SECONDS = 15.0


@dataclass(frozen=True)
class Trial:
    """The outcome of tests on a mutant."""

    status: int | None
    """Pytest's exit status, None if they took too long."""
    failed: str | None = None
    """The node id of the first test that failed."""

    @property
    def detected(self) -> bool:
        return self.status != 0


class Order:
    """The tests of a module: those that detected the latest mutants first, then the fastest."""

    def __init__(self, module: str, tests: Iterable[TracedTest], patience: float = 10):
        """`patience` is how many seconds later than expected the tests may end."""
        self._module, self._patience = module, patience
        self._tests = sorted(tests, key=lambda test: (test.seconds, test.name))
        self._detected: list[str] = []  # the latest last

    def tests(
        self, lines: Collection[int] | None = None, *, first: Collection[int] = ()
    ) -> list[TracedTest]:
        """Returns the tests that run one of these lines of the module, or, without lines, all tests.

        Those that run one of the lines `first` come first. If they take over 15 s together, the last of
        them are left out.
        """
        chosen = [test for test in self._tests if lines is None or self._runs(test, lines)]
        ranks = {name: rank for rank, name in enumerate(self._detected, start=1)}
        chosen.sort(key=lambda test: (not self._runs(test, first), -ranks.get(test.name, 0)))
        seconds = 0.0
        for count, test in enumerate(chosen):
            seconds += test.seconds
            if count and seconds > _MOST_SECONDS:
                return chosen[:count]
        return chosen

    def _runs(self, test: TracedTest, lines: Collection[int]) -> bool:
        return not test.lines.get(self._module, frozenset()).isdisjoint(lines)

    def limit(self, tests: Iterable[TracedTest]) -> float:
        """Returns after how many seconds these tests are taken to hang."""
        return self._patience + 5 * sum(test.seconds for test in tests)

    def note(self, trial: Trial) -> None:
        """Notes which test detected a mutant, if any: it is likely to detect the next."""
        if trial.failed:
            self._detected = [each for each in self._detected if each != trial.failed] + [trial.failed]
