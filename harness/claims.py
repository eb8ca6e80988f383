"""Claims: the assignment's sentences, each decided by a test, and the verdicts on them.

A claim is a test of an exercise's module, marked with what it is about:

    @claim("Adam is best at 0.001.", source="answer 4.3", verdict=REPRODUCED)
    def test_adam_is_best_at_0_001(trained, decide):
        ...
        decide(holds, "Adam ends at 0.974 at 0.001, at 0.944 at 0.01.")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import ModuleType

import pytest

from .options import KEY
from .store import Store, StoreError

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_TESTABLE = "not testable at this scale"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of the assignment, in short."""

    text: str
    source: str
    """Where it stands: exercise and table, figure or paragraph."""
    verdict: str | None
    """The verdict known from runs at the paper's scale on MNIST; None where machines may differ."""
    needs: str | None
    """What the quick scale lacks to decide it; None where that scale decides it as well."""


def claim(
    text: str, *, source: str, verdict: str | None = None, needs: str | None = None
) -> pytest.MarkDecorator:
    """Marks the test that decides a `Claim`."""
    return pytest.mark.claim(Claim(text=text, source=source, verdict=verdict, needs=needs))


def claims_of(module: ModuleType) -> dict[str, Claim]:
    """The claims of an exercise's module by their tests' names, in the module's order."""
    return {
        name: mark.args[0]
        for name, test in vars(module).items()
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "claim"
    }


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim: a sentence of the assignment, decided by this test")


@pytest.fixture
def decide(request: pytest.FixtureRequest) -> Callable[[bool | None, str], None]:
    """`decide(holds, evidence)`: records the verdict on the test's claim, with the figures behind it.

    `holds` is None where the seeds leave it open. The test fails where the verdict is the
    opposite of the one that is known.
    """
    about: Claim = request.node.get_closest_marker("claim").args[0]
    settings = request.config.stash[KEY]

    def record(holds: bool | None, evidence: str) -> None:
        if about.needs and settings.scale == "quick":
            verdict, said = NOT_TESTABLE, f"{evidence} It needs {about.needs}."
        elif holds is None:
            verdict = NOT_TESTABLE
            said = f"{evidence} The intervals of {len(settings.seeds)} seeds leave it open."
        else:
            verdict, said = REPRODUCED if holds else NOT_REPRODUCED, evidence
        decided = {
            "id": request.node.nodeid,
            "exercise": request.module.EXERCISE.number,
            **asdict(about),
            "verdict": verdict,
            "evidence": said,
        }
        try:
            Store(settings.report_dir).put_claim(decided)
        except StoreError as error:
            pytest.fail(str(error), pytrace=False)
        opposite = {REPRODUCED: NOT_REPRODUCED, NOT_REPRODUCED: REPRODUCED}.get(about.verdict)
        if verdict == opposite and settings.dataset == "mnist":
            pytest.fail(f"it is known as {about.verdict}, and here: {evidence}", pytrace=False)

    return record
